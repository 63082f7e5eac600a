"""What a start depends on: facts of dataset and actor, read for one actor or for thousands, and judged once.

The page of one actor and the plan of a batch ask the same functions, so they never disagree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db.models import Count, Q
from django.template.defaultfilters import pluralize

from actors.dataset_page import WORDS
from actors.models import (
    IMAGES_BEST,
    IMAGES_FLOOR,
    IMAGES_MANY,
    Actor,
    TrainingDataset,
    TrainingImage,
    Verdict,
)
from actors.rights import Flaw, flaw_of, flaws_of
from training.models import TrainingVersion


@dataclass(frozen=True)
class Check:
    """One fact that decides whether a training may start, and the way out when it may not."""

    level: Literal["ok", "warning", "error"]
    fact: str
    reason: str = ""
    #: What mends it: a page (``dataset``, ``training``, ``rights``, ``budget``, ``actor``), more ``images``,
    #: a decision on ``findings``, or nothing.
    mend: str = ""
    #: A Curator may start all the same, with a reason that stays on the version.
    can_override: bool = False


@dataclass(frozen=True)
class Facts:
    """What the checks count of one actor. Findings are those that nobody has accepted."""

    included: int = 0
    stored: int = 0
    uncaptioned: int = 0
    uninspected: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    claims: Sequence[str] = ()
    #: The name of the version that trains now.
    active: str = ""
    #: What is wrong with the rights to the likeness.
    rights: Flaw | None = None


#: Told by the checks of count and captions already.
_TOLD = ("too_few", "too_many", "no_caption")


def facts(actor: Actor) -> Facts:
    """Of one actor. Five queries at most; images and rights that are prefetched take none."""
    running = TrainingVersion.objects.active().filter(actor=actor).first()
    name = running.name if running else ""
    flaw = flaw_of(actor)
    dataset: TrainingDataset | None = getattr(actor, "dataset", None)
    if dataset is None:
        return Facts(active=name, rights=flaw)
    included = dataset.included_images()
    levels = _by_level(dataset.open_findings())
    return Facts(
        included=len(included),
        stored=sum(image.is_synced for image in included),
        uncaptioned=sum(not image.caption for image in included),
        uninspected=sum(image.inspected_at is None for image in included),
        errors=levels["error"],
        warnings=levels["warning"],
        claims=dataset.claim_warnings(),
        active=name,
        rights=flaw,
    )


#: Longer lists cost the database more than the rows that a span around them brings too many.
LONG = 1000


def among(column: str, actor_ids: Sequence[int]) -> Q:
    """Rows of these actors; of very many also others between them, which the caller does not look up."""
    if len(actor_ids) <= LONG:
        return Q(**{f"{column}__in": actor_ids})
    return Q(**{f"{column}__gte": min(actor_ids), f"{column}__lte": max(actor_ids)})


def facts_of(actor_ids: Sequence[int]) -> dict[int, Facts]:
    """Of many actors, as far as they keep a training from starting: warnings are left out. Seven queries."""
    images = TrainingImage.objects.filter(among("dataset__actor", actor_ids), included=True).order_by()
    stored = Q(state=TrainingImage.State.SYNCED) & ~Q(url="")
    counts = {
        actor: (included, synced)
        for actor, included, synced in images.values_list("dataset__actor").annotate(
            listed=Count("pk"), synced=Count("pk", filter=stored)
        )
    }
    running = dict(
        TrainingVersion.objects.active().filter(among("actor", actor_ids)).values_list("actor_id", "name")
    )
    # An open error makes a dataset not fit, so only there is anything to read.
    unfit = images.filter(dataset__verdict=Verdict.NOT_FIT).exclude(findings=[])
    findings: dict[int, list[dict[str, Any]]] = {}
    for actor, found, accepted in unfit.values_list("dataset__actor", "findings", "accepted"):
        findings.setdefault(actor, []).extend(each for each in found if each["code"] not in accepted)
    sets = TrainingDataset.objects.filter(among("actor", actor_ids), verdict=Verdict.NOT_FIT)
    sets = sets.exclude(findings=[])
    for actor, found in sets.values_list("actor_id", "findings"):
        findings.setdefault(actor, []).extend(found)
    flaws = flaws_of(actor_ids)
    return {
        actor: Facts(
            *counts.get(actor, (0, 0)),
            errors=_by_level(findings[actor])["error"] if actor in findings else {},
            active=running.get(actor, ""),
            rights=flaws.get(actor),
        )
        for actor in actor_ids
    }


def _by_level(findings: Iterable[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {"error": Counter(), "warning": Counter()}
    for finding in findings:
        if finding["code"] not in _TOLD and finding["level"] in counts:
            counts[finding["level"]][finding["code"]] += 1
    return counts


def checks(actor: Actor, known: Facts) -> list[Check]:
    """What dataset and actor say about a start, in no order."""
    return [*_dataset_checks(known), *_actor_checks(actor, known)]


def _dataset_checks(known: Facts) -> list[Check]:
    if not known.included:
        return [Check("error", "No training images.", "Add 20 to 30 images of this person first.", "images")]
    found = [
        Check("warning", claim, "Check the dataset before you train.", "dataset") for claim in known.claims
    ]
    if waiting := known.included - known.stored:
        fact = f"{_of(waiting, known.included)} {pluralize(waiting, 'is,are')} not in the object store."
        found.append(Check("error", fact, "Sync the dataset, or leave these images out.", "dataset"))
    else:
        found.append(Check("ok", "All images are in the object store."))
    if known.uncaptioned:
        fact = (
            f"{_of(known.uncaptioned, known.included)} {pluralize(known.uncaptioned, 'has,have')} no caption."
        )
        reason = f"{pluralize(known.uncaptioned, 'It trains,They train')} on the trigger token alone."
        found.append(Check("warning", fact, reason, "findings"))
    return [*found, _count_check(known.included), *_inspection_checks(known)]


def _of(some: int, count: int) -> str:
    return f"{some} of {count} image{pluralize(count)}"


def _inspection_checks(known: Facts) -> list[Check]:
    """What the inspection found: errors by kind, warnings in one line."""
    found = [
        Check(
            "error",
            f"{WORDS.get(code, code)}: {count} image{pluralize(count)}.",
            "Replace or leave out, or accept the finding with a reason.",
            "findings",
            can_override=True,
        )
        for code, count in sorted(known.errors.items())
    ]
    if known.warnings:
        often = sorted(known.warnings.items(), key=lambda each: -each[1])
        kinds = ", ".join(f"{WORDS.get(code, code)} ({count})" for code, count in often)
        found.append(Check("warning", "The inspection found flaws.", f"{kinds}.", "findings"))
    if known.uninspected:
        verb = pluralize(known.uninspected, "is,are")
        fact = f"{_of(known.uninspected, known.included)} {verb} not inspected yet."
        found.append(Check("warning", fact, "Wait a moment: flaws may still show.", "dataset"))
    return found


def _count_check(count: int) -> Check:
    low, high = IMAGES_BEST
    if count < IMAGES_FLOOR:
        return Check(
            "error",
            f"Only {count} image{pluralize(count)}: {IMAGES_FLOOR} is the floor.",
            f"{low} to {high} in varied pose and light train best.",
            "images",
            can_override=True,
        )
    if count > IMAGES_MANY:
        return Check(
            "warning", f"{count} images dilute the likeness.", f"Choose the best {low} to {high}.", "dataset"
        )
    return Check("ok", f"{count} images.", "" if low <= count <= high else f"{low} to {high} are best.")


def rights_checks(flaw: Flaw | None) -> list[Check]:
    """What the rights to a likeness say about a start; of a preview, too."""
    return [Check("error" if flaw.stops else "warning", flaw.fact, flaw.reason, "rights")] if flaw else []


def _actor_checks(actor: Actor, known: Facts) -> list[Check]:
    found = rights_checks(known.rights)
    if actor.retired_at:
        fact = f"{actor.name} is retired."
        return [*found, Check("error", fact, "Bring the actor back before you train.", "actor")]
    if known.active:
        reason = "One training per actor at a time: wait for its end, or cancel it."
        return [*found, Check("error", f"{known.active} is training already.", reason, "training")]
    return found
