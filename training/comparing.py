"""Two to four versions of one actor side by side: only what differs, and samples that are comparable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import urlencode

from django.utils import timezone
from django.utils.safestring import SafeString

from actors.models import TrainingImage
from training import charts
from training.base_models import base_model
from training.costs import bill_of
from training.forms import written
from training.models import SampleImage, TrainingVersion
from training.parameters import SPECS
from training.score_models import VersionScore

#: Fewer is no comparison; more are too small to judge.
FEWEST, MOST = 2, 4


class Facts(NamedTuple):
    """One line of the table: a value per version, in their order."""

    label: str
    values: list[str]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1

    @property
    def marked(self) -> list[tuple[str, bool]]:
        """Each value, and whether it is another one than the first version's."""
        return [(value, value != self.values[0]) for value in self.values]


class Shown(NamedTuple):
    """An image of a dataset as it was: the row of today when there still is one."""

    name: str
    row: TrainingImage | None
    caption: str
    before: str = ""

    @property
    def link(self) -> str:
        """A small picture; empty when there is none any more."""
        return (self.row.thumbnail_link() or self.row.link()) if self.row else ""


@dataclass
class DatasetChange:
    """What came between the datasets of two versions."""

    older: TrainingVersion
    newer: TrainingVersion
    added: list[Shown] = field(default_factory=list)
    removed: list[Shown] = field(default_factory=list)
    recaptioned: list[Shown] = field(default_factory=list)
    same: int = 0

    @property
    def nothing(self) -> bool:
        return not (self.added or self.removed or self.recaptioned)


class Frame(NamedTuple):
    """One version's sample of a prompt."""

    version: TrainingVersion
    sample: SampleImage | None


class Pair(NamedTuple):
    """The same prompt and seed in every version."""

    words: str
    seed: int
    frames: list[Frame]


class Part(NamedTuple):
    """A point of the trainings: a share of the steps, in percent, and what it is called."""

    percent: int
    label: str
    pairs: list[Pair]


class Comparison:
    """Versions in the order of their numbers; everything is read in three queries."""

    def __init__(
        self,
        chosen: Iterable[TrainingVersion],
        scores: Mapping[int, VersionScore] | None = None,
        *,
        logarithmic: bool = False,
    ) -> None:
        self.logarithmic = logarithmic
        pks = [version.pk for version in chosen]
        rows = TrainingVersion.objects.filter(pk__in=pks).select_related("actor", "dataset_revision")
        self.versions = list(rows.order_by("number"))
        self.scores = scores or {}

    @staticmethod
    def query(numbers: Iterable[int], **more: int | str) -> str:
        """The address of a comparison."""
        return "?" + urlencode([*(("v", number) for number in numbers), *more.items()])

    @property
    def title(self) -> str:
        """``V2 against V3 and V4``."""
        *others, last = [version.name for version in self.versions[1:]]
        return f"{self.versions[0].name} against {', '.join(others)}{' and ' if others else ''}{last}"

    # Parameters

    @cached_property
    def facts(self) -> list[Facts]:
        """Parameters and what else makes a version, whether they differ or not."""
        values = [version.parameters() for version in self.versions]
        facts = [
            Facts(spec.label, [written(spec, each.get(name, "–")) for each in values])
            for name, spec in SPECS.items()
        ]
        return [
            *facts,
            Facts("Base model", [base_model(version.base_model).name for version in self.versions]),
            Facts("Images", [str(version.image_count) for version in self.versions]),
            Facts("Seed", [str(version.seed) for version in self.versions]),
            *(Facts(label, values) for label, values in self._outcome().items() if set(values) != {"–"}),
        ]

    def _outcome(self) -> dict[str, list[str]]:
        """What went in and came out beside the parameters; a dash where nothing is known."""
        now = timezone.now()
        bills = [bill_of(version, now) for version in self.versions]
        scores = [self.scores.get(version.pk) for version in self.versions]
        return {
            "Dataset": [str(version.dataset_revision or "–") for version in self.versions],
            "Cost": [f"${bill.total:.2f}" if bill else "–" for bill in bills],
            "Likeness": [score.words if score else "–" for score in scores],
            "Bleed": [(score.bleed_words if score else "") or "–" for score in scores],
        }

    @property
    def differing(self) -> list[Facts]:
        return [fact for fact in self.facts if fact.differs]

    @property
    def equal(self) -> list[Facts]:
        return [fact for fact in self.facts if not fact.differs]

    # Datasets

    @cached_property
    def dataset_changes(self) -> list[DatasetChange]:
        """From each version to the next one."""
        rows = {image.url: image for image in TrainingImage.objects.filter(dataset__actor=self.actor_id)}
        return [dataset_change(older, newer, rows) for older, newer in pairwise(self.versions)]

    @property
    def actor_id(self) -> int:
        return self.versions[0].actor_id

    # Loss

    @cached_property
    def chart(self) -> SafeString:
        """The newest version's loss, and dashed those of the others."""
        *others, newest = self.versions
        return charts.loss_chart(
            points(newest),
            max(version.max_train_steps or 0 for version in self.versions),
            logarithmic=self.logarithmic,
            others=[points(version) for version in others],
            names=[version.name for version in (newest, *others)],
        )

    # Samples

    @cached_property
    def parts(self) -> list[Part]:
        """From the base alone to the end; at each the sample that lies nearest in every version."""
        by_version: dict[int, dict[int, dict[tuple[str, int], SampleImage]]] = {
            version.pk: {} for version in self.versions
        }
        prompts = {version.pk: version.sample_prompts() for version in self.versions}
        tokens = {version.pk: version.class_tokens for version in self.versions}
        for sample in SampleImage.objects.filter(version__in=self.versions):
            known = prompts[sample.version_id]
            at_step = by_version[sample.version_id].setdefault(sample.step, {})
            text = sample.prompt or (
                known[sample.prompt_index].prompt if sample.prompt_index < len(known) else ""
            )
            at_step[(shortened(text, tokens[sample.version_id]), sample.seed)] = sample
        shares = {
            round(100 * step / (version.max_train_steps or max(by_version[version.pk], default=1) or 1))
            for version in self.versions
            for step in by_version[version.pk]
        }
        return [self._part(percent, by_version) for percent in sorted(shares)]

    def _part(
        self, percent: int, by_version: dict[int, dict[int, dict[tuple[str, int], SampleImage]]]
    ) -> Part:
        steps: dict[int, int | None] = {}
        for version in self.versions:
            wanted = percent * (version.max_train_steps or 0) / 100
            steps[version.pk] = min(by_version[version.pk], key=lambda step: abs(step - wanted), default=None)
        at = {pk: by_version[pk][step] if step is not None else {} for pk, step in steps.items()}
        keys = list(dict.fromkeys(key for samples in at.values() for key in samples))
        pairs = [
            Pair(words, seed, [Frame(each, at[each.pk].get((words, seed))) for each in self.versions])
            for words, seed in keys
        ]
        known = {step for step in steps.values() if step is not None}
        label = "Base" if percent == 0 else f"{known.pop():,}" if len(known) == 1 else f"{percent} %"
        return Part(percent, label, pairs)

    def part(self, wanted: str) -> Part | None:
        """The chosen one, else the end."""
        chosen = [part for part in self.parts if str(part.percent) == wanted]
        return next(iter([*chosen, *self.parts[-1:]]), None)

    def links(self) -> list[tuple[Part, str]]:
        """Each part with its address."""
        scale = {"scale": "log"} if self.logarithmic else {}
        return [(part, self.query(self.numbers, part=part.percent, **scale)) for part in self.parts]

    @property
    def numbers(self) -> list[int]:
        return [version.number for version in self.versions]

    def scales(self, part: Part | None) -> list[tuple[str, str, bool]]:
        """Words and address of each scale of the loss, and whether it is this one; the part stays."""
        at: dict[str, int | str] = {"part": part.percent} if part else {}
        linear, log = self.query(self.numbers, **at), self.query(self.numbers, **at, scale="log")
        return [("Linear", linear, not self.logarithmic), ("Log", log, self.logarithmic)]


def points(version: TrainingVersion) -> list[tuple[int, float]]:
    """The worker's loss history."""
    return [(int(step), float(loss)) for step, loss in version.loss_history]


def shortened(prompt: str, trigger: str) -> str:
    """What tells prompts apart: without the words that all share."""
    return prompt.replace("portrait of", "").replace(trigger or "\0", "").strip(" ,")


def captions_of(version: TrainingVersion) -> dict[str, tuple[str, str]]:
    """URL to name and caption of each image it was trained on; old versions know no names."""
    images = version.dataset_revision.images if version.dataset_revision else version.images
    return {
        image["url"]: (image.get("file_name") or image["url"].rsplit("/", 1)[-1], image.get("caption", ""))
        for image in images
    }


def dataset_change(
    older: TrainingVersion, newer: TrainingVersion, rows: dict[str, TrainingImage]
) -> DatasetChange:
    """Added, gone and captioned anew; an image is known by its place in the object store."""
    before, now = captions_of(older), captions_of(newer)
    change = DatasetChange(older, newer)
    for url, (name, caption) in now.items():
        shown = Shown(name, rows.get(url), caption)
        if url not in before:
            change.added.append(shown)
        elif before[url][1] != caption:
            change.recaptioned.append(shown._replace(before=before[url][1]))
        else:
            change.same += 1
    change.removed = [
        Shown(name, rows.get(url), caption) for url, (name, caption) in before.items() if url not in now
    ]
    return change
