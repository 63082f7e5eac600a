"""Which version looks best by the numbers, and why, in one sentence. People decide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from training.models import TrainingVersion
from training.score_models import VersionScore

#: Bleed below this many percent is nothing that anybody sees.
SLIGHT_BLEED = 10.0


@dataclass(frozen=True)
class Suggestion:
    """``version`` is None when the numbers favour nobody; ``why`` is for people.

    ``is_clear`` is false where the numbers tell nothing apart and the version is only the newest.
    """

    version: TrainingVersion | None
    why: str
    is_clear: bool = True


def suggest(scores: Iterable[VersionScore]) -> Suggestion | None:
    """The best of the measured versions of one actor; ``None`` when there are not two to choose from.

    Likeness decides. Where it can't tell versions apart (the intervals overlap), the one that bleeds least
    does, and at last the newest.
    """
    measured = [(score.version, score) for score in scores if score.is_measured]
    if len(measured) < 2:
        return None
    if len({(score.yardstick, score.scorer) for _, score in measured}) > 1:
        why = "The versions were measured against different training images. Measure again to compare them."
        return Suggestion(None, why)
    measured.sort(key=lambda each: (-(each[1].value or 0), -each[0].number))
    top, top_score = measured[0]
    close = [each for each in measured if overlap(each[1], top_score)]
    if len(close) == 1:
        runner, second = measured[1]
        why = (
            f"{top.name} comes nearest to the training images: {top_score.words}, "
            f"against {second.words} of {runner.name}"
        )
        return Suggestion(top, f"{why}{warning(top_score)}.")
    best, score = min(close, key=lambda each: (slight(each[1].bleed), -each[0].number))
    names = listed([version.name for version, _ in sorted(close, key=lambda each: each[0].number)])
    why = f"{names} can't be told apart by likeness; {best.name} "
    worst = max((other.bleed or 0.0) for _, other in close)
    if score.bleed is not None and worst - max(score.bleed, SLIGHT_BLEED) > 0:
        why += f"bleeds least into other prompts ({score.bleed_words}, against {worst:.0f} %)"
        return Suggestion(best, f"{why}.")
    why += f"is the newest of them ({score.words}){warning(score)}"
    return Suggestion(best, f"{why}.", is_clear=False)


def overlap(one: VersionScore, other: VersionScore) -> bool:
    """Whether the difference may be chance: one's mean lies within the other's interval.

    So few pictures that there is no interval can't tell anything apart.
    """
    if one.high is None or other.low is None:
        return True
    return one.high >= (other.value or 0) or other.low <= (one.value or 0)


def slight(bleed: float | None) -> float:
    """Bleed as it weighs: little is none; unknown counts as much."""
    return 100.0 if bleed is None else max(bleed, SLIGHT_BLEED)


def warning(score: VersionScore) -> str:
    """What speaks against a version although its likeness is best."""
    if score.bleed is None or score.bleed <= SLIGHT_BLEED:
        return ""
    return f", but it bleeds into prompts without the trigger ({score.bleed_words})"


def listed(names: list[str]) -> str:
    """``V1, V2 and V3``."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
