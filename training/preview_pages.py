"""What the pages of previews show: pictures in sheets, whose rows and columns compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone

from training.models import Preview, PreviewImage, TrainingVersion
from training.preview_models import PreviewStatus

#: Pictures side by side.
ACROSS = 8
LOOKS = {
    PreviewStatus.PENDING: ("training", "waits to be sent"),
    PreviewStatus.CLAIMED: ("training", "being sent"),
    PreviewStatus.SUBMITTED: ("training", "in the queue"),
    PreviewStatus.DONE: ("done", "done"),
    PreviewStatus.FAILED: ("failed", "failed"),
    PreviewStatus.CANCELLED: ("cancelled", "cancelled"),
}
STAGES = {"starting": "starting", "downloading": "fetching the LoRA", "drawing": "drawing"}


def state_of(preview: Preview) -> tuple[str, str]:
    """The state's name in the look, and in words."""
    if preview.can_be_resolved:
        return "attention", "needs a decision"
    return LOOKS[PreviewStatus(preview.status)]


@dataclass(frozen=True)
class Variant:
    """What a picture was drawn with, apart from prompt and seed."""

    checkpoint_step: int | None
    strength: float

    @classmethod
    def of(cls, image: PreviewImage) -> Variant:
        """The base alone is the same at every checkpoint."""
        return cls(image.checkpoint_step if image.strength else None, image.strength)


@dataclass
class Row:
    """One strip: its label, a word below it, and frames, empty where nothing was ordered."""

    label: str
    note: str = ""
    frames: list[PreviewImage | None] = field(default_factory=list)


@dataclass
class Sheet:
    """Rows and columns of pictures. ``title`` says what all have in common."""

    heads: list[str]
    rows: list[Row]
    title: str = ""

    @property
    def columns(self) -> int:
        """For the style sheet."""
        return len(self.heads)


def sheets(images: Iterable[PreviewImage], trigger: str, last_step: int | None) -> list[Sheet]:
    """Grids of strength and checkpoint if there are several of both, else one sheet of all."""
    found = list(images)
    checkpoints = {image.checkpoint_step for image in found if image.strength}
    strengths = {image.strength for image in found if image.strength}
    if len(checkpoints) > 1 and len(strengths) > 1:
        return grids(found, trigger, last_step)
    places = list(dict.fromkeys((image.prompt, image.seed) for image in found))
    variants = sorted({Variant.of(image) for image in found}, key=_order, reverse=True)
    by_place = {(image.prompt, image.seed, Variant.of(image)): image for image in found}
    if len(places) == 1 and len(variants) > 1:
        return [_in_a_row(places[0], variants[::-1], by_place, trigger, last_step)]
    result = []
    for start in range(0, len(places), ACROSS):
        part = places[start : start + ACROSS]
        rows = [
            Row(*_words(variant, last_step, several=len(checkpoints) > 1), _frames(part, variant, by_place))
            for variant in variants
        ]
        result.append(Sheet([_head(prompt, seed, trigger) for prompt, seed in part], rows))
    return result


def grids(images: Iterable[PreviewImage], trigger: str, last_step: int | None) -> list[Sheet]:
    """Per prompt and seed: rows are checkpoints, the last on top, columns are strengths."""
    groups: dict[tuple[str, int], dict[Variant, PreviewImage]] = {}
    for image in images:
        groups.setdefault((image.prompt, image.seed), {})[Variant.of(image)] = image
    result = []
    for (prompt, seed), by_variant in groups.items():
        strengths = sorted({variant.strength for variant in by_variant})
        steps = {variant.checkpoint_step for variant in by_variant if variant.strength} or {None}
        rows = []
        for step in sorted(steps, key=lambda step: step if step is not None else float("inf"), reverse=True):
            frames = [by_variant.get(Variant(step if each else None, each)) for each in strengths]
            label, note = _words(Variant(step, 1.0), last_step, several=True)
            rows.append(Row(label, note, frames))
        heads = [f"strength {each:g}" if each else "base alone" for each in strengths]
        result.append(Sheet(heads, rows, title=_head(prompt, seed, trigger)))
    return result


def _in_a_row(
    place: tuple[str, int],
    variants: list[Variant],
    by_place: dict[tuple[str, int, Variant], PreviewImage],
    trigger: str,
    last_step: int | None,
) -> Sheet:
    """One prompt at one seed: what differs stands side by side."""
    steps = len({variant.checkpoint_step for variant in variants if variant.strength}) > 1
    heads = []
    for variant in variants:
        label, note = _words(variant, last_step, several=steps)
        heads.append(f"{note} {label}" if variant.strength else "base alone")
    frames = [by_place[(*place, variant)] for variant in variants]
    return Sheet(heads, [Row(str(place[1]), "seed", list(frames))], title=_head(*place, trigger))


def _frames(
    places: list[tuple[str, int]], variant: Variant, by_place: dict[tuple[str, int, Variant], PreviewImage]
) -> list[PreviewImage | None]:
    return [by_place.get((prompt, seed, variant)) for prompt, seed in places]


def _order(variant: Variant) -> tuple[float, float]:
    if not variant.strength:
        return (-1.0, 0.0)
    step = variant.checkpoint_step
    return (float("inf") if step is None else float(step), variant.strength)


def _words(variant: Variant, last_step: int | None, *, several: bool) -> tuple[str, str]:
    if not variant.strength:
        return "0", "base"
    if several:
        step = variant.checkpoint_step if variant.checkpoint_step is not None else last_step
        return f"{step:,}" if step else "end", "step"
    return f"{variant.strength:g}", "strength"


def _head(prompt: str, seed: int, trigger: str) -> str:
    shown = prompt.replace(trigger, "…").removeprefix("portrait of").strip(" ,") if trigger else prompt
    return f"{shown} · seed {seed}"


def words_for(image: PreviewImage, version: TrainingVersion) -> str:
    """What the viewer says below a picture."""
    if not image.strength:
        drawn = "the base alone"
    elif image.checkpoint_step is not None:
        drawn = f"{version.name} at step {image.checkpoint_step:,}, strength {image.strength:g}"
    else:
        drawn = f"{version.name}, strength {image.strength:g}"
    return f"{drawn}, seed {image.seed}, {image.steps} steps: {image.prompt}"


@dataclass
class Look:
    """A preview as pages show it."""

    preview: Preview
    images: list[PreviewImage]

    @classmethod
    def at(cls, preview: Preview) -> Look:
        """With its pictures, which may be prefetched."""
        images = list(preview.images.all())
        for image in images:
            image.words = words_for(image, preview.version)  # type: ignore[attr-defined]
        return cls(preview, images)

    @property
    def drawn(self) -> int:
        """Pictures in the store."""
        return sum(bool(image.url) for image in self.images)

    @property
    def state(self) -> str:
        """The state's name in the look."""
        return state_of(self.preview)[0]

    @property
    def words(self) -> str:
        """The state in words."""
        preview = self.preview
        if preview.status == PreviewStatus.SUBMITTED and preview.started_at:
            return f"{STAGES.get(preview.stage, 'working')}, {self.drawn} of {len(self.images)}"
        if preview.status == PreviewStatus.FAILED and self.drawn:
            return f"failed, {self.drawn} of {len(self.images)} drawn"
        return state_of(preview)[1]

    @property
    def mark(self) -> str:
        """Changes whenever the page would."""
        preview = self.preview
        parts = (preview.status, preview.stage, self.drawn, len(preview.log), preview.can_be_resolved)
        return "-".join(map(str, (*parts, bool(preview.error))))

    @property
    def sheets(self) -> list[Sheet]:
        """Its pictures in rows and columns."""
        version = self.preview.version
        return sheets(self.images, version.class_tokens, version.max_train_steps)

    @property
    def strip(self) -> list[PreviewImage]:
        """A few for a list: full strength first."""
        return sorted((image for image in self.images if image.url), key=lambda image: -image.strength)[
            :ACROSS
        ]

    @property
    def seconds(self) -> float | None:
        """From the order to the end, or to now."""
        preview = self.preview
        end = preview.finished_at or (timezone.now() if preview.is_active else None)
        return (end - preview.created_at) / timedelta(seconds=1) if end else None


def grid_of(version: TrainingVersion, prompt: str, seed: int) -> Sheet | None:
    """All that was ever drawn of one prompt and seed with a version; of equal pictures the latest."""
    images = list(
        PreviewImage.objects.drawn().filter(preview__version=version, prompt=prompt, seed=seed).order_by("pk")
    )
    for image in images:
        image.words = words_for(image, version)  # type: ignore[attr-defined]
    found = grids(images, version.class_tokens, version.max_train_steps)
    return found[0] if found else None


def drawn_places(version: TrainingVersion) -> list[tuple[str, int]]:
    """Prompts and seeds that were drawn with a version, those in most variants first."""
    seen: dict[tuple[str, int], set[Variant]] = {}
    images = PreviewImage.objects.drawn().filter(preview__version=version).order_by("preview", "position")
    for image in images.only("prompt", "seed", "strength", "checkpoint_step"):
        seen.setdefault((image.prompt, image.seed), set()).add(Variant.of(image))
    return sorted(seen, key=lambda place: -len(seen[place]))
