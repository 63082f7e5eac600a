"""Does the likeness score tell a full training from a short one and from another actor's? The table of
``docs/likeness.md``.

    nice python -m benchmarks.likeness_table [FOLDER]

The first run trains 16 LoRAs (``likeness_set.py``), about half an hour of one core; what is in the folder is
not made again, so later runs take seconds. Scores are computed as the site does, without its database.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image

from benchmarks import likeness_set
from benchmarks.likeness_set import STANDARD, TRIGGERS
from training.drawn_likeness import network
from training.likeness import Measured, Points, Yardstick, area_under_curve, distances
from training.payload import sample_steps

Embed = Callable[[list[Image.Image]], Points]
#: Prompts of a training's samples that name the actor, and those that don't.
CALLING, OTHERS = range(4), (4, 5)
CALLING_PREVIEWS, OTHER_PREVIEWS = range(5), range(5, len(STANDARD))


class Gallery:
    """Pictures of the set as embeddings, each looked at once."""

    def __init__(self, folder: Path, embed: Embed, far: float) -> None:
        self.folder, self.embed, self.far = folder, embed, far
        self._known: dict[Path, Points] = {}

    def points(self, files: Iterable[Path]) -> Points:
        """A row for each file."""
        chosen = list(files)
        for file in chosen:
            if file not in self._known:
                with Image.open(file) as image:
                    self._known[file] = self.embed([image.convert("RGB")])[0]
        return np.stack([self._known[file] for file in chosen])

    def yardstick(self, trigger: str) -> Yardstick:
        """The actor's training images as the scale."""
        return Yardstick.of(self.training_images(trigger), self.far)

    def training_images(self, trigger: str) -> Points:
        """In the order of their names."""
        return self.points(sorted((self.folder / trigger / "full" / "images").glob("*.png")))

    def samples(self, trigger: str, kind: str, step: int, prompts: Iterable[int] = CALLING) -> Points:
        """Drawn during the training."""
        where = self.folder / trigger / kind / "samples"
        return self.points(where / f"step-{step:06d}-prompt-{prompt}.png" for prompt in prompts)

    def previews(self, where: str, prompts: Iterable[int] = CALLING_PREVIEWS) -> Points:
        """Of the standard set."""
        return self.points(self.folder / where / f"prompt-{prompt}.png" for prompt in prompts)

    def last(self, kind: str) -> int:
        """The last step of a training of this kind."""
        return likeness_set.SHORT_STEPS if kind == "short" else FULL_STEPS

    def version(self, trigger: str, kind: str) -> Points:
        """Samples of the end and previews: what the site measures."""
        samples = self.samples(trigger, kind, self.last(kind))
        return np.concatenate([samples, self.previews(f"{trigger}/{kind}/previews")])

    def bleed(self, trigger: str, kind: str) -> Measured:
        """Of samples and previews without the trigger."""
        drawn, alone = (self.samples(trigger, kind, step, OTHERS) for step in (self.last(kind), 0))
        drawn = np.concatenate([drawn, self.previews(f"{trigger}/{kind}/previews", OTHER_PREVIEWS)])
        alone = np.concatenate([alone, self.previews("base", OTHER_PREVIEWS)])
        return self.yardstick(trigger).bleed(drawn, alone)


FULL_STEPS = likeness_set.full_steps()


Score = Callable[[str, Points], float]


def curves(gallery: Gallery, pictures: Callable[[str, str], Points], score: Score) -> dict[str, float]:
    """Area under the curve by what the full trainings are told apart from."""
    full = [score(trigger, pictures(trigger, "full")) for trigger in TRIGGERS]
    short = [score(trigger, pictures(trigger, "short")) for trigger in TRIGGERS]
    as_another = [score(trigger, gallery.previews(f"{trigger}/another")) for trigger in TRIGGERS]
    others = [score(one, pictures(other, "full")) for one in TRIGGERS for other in TRIGGERS if one != other]
    return {
        "20 steps": area_under_curve(full, short),
        "another's LoRA, this trigger": area_under_curve(full, as_another),
        "another's LoRA, its own pictures": area_under_curve(full, others),
        "all of them": area_under_curve(full, [*short, *as_another, *others]),
    }


def raw(images: list[Image.Image]) -> Points:
    """What needs no learning: the picture itself at 16 × 16, to compare with."""
    small = [np.asarray(image.resize((16, 16), Image.Resampling.BOX), np.float32) for image in images]
    return np.stack([(each / 255).ravel() for each in small])


def spoken(measured: Measured) -> str:
    """``88 ± 9``."""
    if measured.low is None or measured.high is None:
        return f"{100 * measured.value:.0f}"
    return f"{100 * measured.value:.0f} ± {50 * (measured.high - measured.low):.0f}"


def print_actors(gallery: Gallery) -> None:
    """A row for each actor."""
    print("| actor | full | 20 steps | another's LoRA | nearest other actor | bleed, full | 20 steps |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for trigger in TRIGGERS:
        ruler = gallery.yardstick(trigger)
        others = [ruler.likeness(gallery.version(other, "full")) for other in TRIGGERS if other != trigger]
        cells = [
            spoken(ruler.likeness(gallery.version(trigger, "full"))),
            spoken(ruler.likeness(gallery.version(trigger, "short"))),
            spoken(ruler.likeness(gallery.previews(f"{trigger}/another"))),
            spoken(max(others, key=lambda each: each.value)),
            spoken(gallery.bleed(trigger, "full")),
            spoken(gallery.bleed(trigger, "short")),
        ]
        print(f"| {trigger} | {' | '.join(cells)} |")


def print_steps(gallery: Gallery) -> None:
    """How the score grows within the full trainings."""
    print("\n| step | likeness, mean | lowest | highest |\n| --- | --- | --- | --- |")
    for step in sample_steps(FULL_STEPS):
        values = [
            100 * gallery.yardstick(trigger).likeness(gallery.samples(trigger, "full", step)).value
            for trigger in TRIGGERS
        ]
        print(f"| {step} | {fmean(values):.0f} | {min(values):.0f} | {max(values):.0f} |")


def main() -> int:
    """Makes what is missing, then prints the tables. 1 when the score falls short of 0.95."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "var/likeness")
    likeness_set.train_all(folder)
    likeness_set.draw_previews(folder)
    scorer = network()
    gallery = Gallery(folder, scorer.embed, scorer.far)
    print_actors(gallery)
    print_steps(gallery)
    plain = Gallery(folder, raw, far=0)

    def likeness(trigger: str, drawn: Points) -> float:
        return gallery.yardstick(trigger).likeness(drawn).value

    def nearness(trigger: str, drawn: Points) -> float:
        return -float(distances(drawn, plain.training_images(trigger)).mean())

    rows = {
        "samples and previews": curves(gallery, gallery.version, likeness),
        "samples alone (4 pictures)": curves(
            gallery, lambda trigger, kind: gallery.samples(trigger, kind, gallery.last(kind)), likeness
        ),
        "previews alone (5 pictures)": curves(
            gallery, lambda trigger, kind: gallery.previews(f"{trigger}/{kind}/previews"), likeness
        ),
        "raw pixels instead of the scorer": curves(plain, plain.version, nearness),
    }
    names = next(iter(rows.values()))
    print(f"\n| full training against | {' | '.join(names)} |\n| --- |{' --- |' * len(names)}")
    for label, areas in rows.items():
        print(f"| {label} | {' | '.join(f'{area:.3f}' for area in areas.values())} |")
    return 0 if min(rows["samples and previews"].values()) >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
