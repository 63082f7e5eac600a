"""The likeness score on photographs, as far as the photographs inside packages go (``docs/likeness.md``).

There are two people in colour (scikit-image's astronaut, matplotlib's admiral) and a hundred small grey faces
(scikit-image's ``lfw_subset``). So nothing is trained here: a "version" is four copies of one photograph in
other framing, light, sharpness and file quality; half-learned is stood in for by a blend with the other
person, eyes upon eyes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from actors import faces
from training.likeness import Points, Yardstick, area_under_curve, distances

PEOPLE = {
    "astronaut": ("skimage", "data/astronaut.png", (178, 70, 278, 180)),
    "admiral": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (160, 110, 380, 352)),
}
REFERENCES, VERSIONS, PICTURES = 10, 8, 4
SIDE = 320


def inside(package: str, path: str) -> Path:
    """A file that came with a package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed: requirements/dev.txt has it.")
    return Path(spec.origin).parent / path


def face_of(name: str) -> Image.Image:
    """The head, upright, with some room around it."""
    package, path, box = PEOPLE[name]
    with Image.open(inside(package, path)) as image:
        left, top, right, bottom = box
        room = (right - left) // 2
        wide = (left - room, top - room, right + room, bottom + room)
        return ImageOps.fit(image.convert("RGB").crop(wide), (SIDE, SIDE))


def copies(face: Image.Image, rng: random.Random) -> Iterator[Image.Image]:
    """Without end: other framing, light, sharpness, file quality, and mirrored."""
    while True:
        image = face.rotate(rng.uniform(-9, 9), Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))
        edge = rng.randint(0, SIDE // 9)
        image = image.crop((edge, edge, SIDE - rng.randint(0, edge), SIDE - rng.randint(0, edge)))
        image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.7, 1.35))
        image = ImageEnhance.Color(image).enhance(rng.uniform(0.4, 1.4))
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.6)))
        if rng.random() < 0.5:
            image = ImageOps.mirror(image)
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(35, 90))
        yield Image.open(buffer).convert("RGB")


def eyes(face: Image.Image) -> tuple[complex, complex]:
    """Where they are, as complex numbers: a similarity between faces is then one product and one sum."""
    detector, landmarks, _ = faces._models()  # noqa: SLF001  # the site itself needs no landmarks
    pixels = np.asarray(face)
    shape = landmarks(pixels, detector(pixels, 1)[0])
    points = [complex(point.x, point.y) for point in shape.parts()]
    return (points[0] + points[1]) / 2, (points[2] + points[3]) / 2


def blend(face: Image.Image, other: Image.Image) -> Image.Image:
    """Half one, half the other, the eyes of both in the same place."""
    (a, b), (c, d) = eyes(face), eyes(other)
    turn = (c - d) / (a - b)
    move = c - turn * a
    affine = (turn.real, -turn.imag, move.real, turn.imag, turn.real, move.imag)
    laid = other.transform(other.size, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    return Image.blend(face, laid, 0.5)


def embedded(images: Iterator[Image.Image], count: int) -> Points:
    """The first ``count`` in which a face is found."""
    found: list[list[float]] = []
    while len(found) < count:
        if seen := faces.find(next(images)):
            found.append(seen[0]["embedding"])
    return np.array(found, np.float32)


def strangers() -> Points:
    """The small grey faces, enlarged tenfold."""
    pixels = np.load(inside("skimage", "data/lfw_subset.npy"))[:100]
    found = []
    for each in pixels:
        small = Image.fromarray((each * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
        large = ImageOps.expand(small.resize((250, 250), Image.Resampling.BICUBIC), 75, (128, 128, 128))
        if seen := faces.find(large):
            found.append(seen[0]["embedding"])
    return np.array(found, np.float32)


def main() -> int:
    """Prints the table."""
    if not faces.available():
        sys.exit("The extra for photographs is not installed: requirements/faces.txt.")
    rng = random.Random(7)
    crowd = strangers()
    pairs = distances(crowd, crowd)[np.triu_indices(len(crowd), 1)]
    print(
        f"{len(crowd)} of 100 small faces found; {len(pairs):,} pairs are {pairs.mean():.2f} apart on average"
    )
    portraits = {name: face_of(name) for name in PEOPLE}
    titles = (
        "actor",
        "own distance",
        "copies",
        "half-learned",
        "the other",
        "strangers",
        "AUC against the three",
    )
    print(f"\n| {' | '.join(titles)} |\n|{' --- |' * len(titles)}")
    for name, face in portraits.items():
        other = next(each for key, each in portraits.items() if key != name)
        ruler = Yardstick.of(embedded(copies(face, rng), REFERENCES), faces.STRANGERS_APART)

        def scores(image: Image.Image, ruler: Yardstick = ruler) -> list[float]:
            source = copies(image, rng)
            return [ruler.likeness(embedded(source, PICTURES)).value for _ in range(VERSIONS)]

        own, half, another = scores(face), scores(blend(face, other)), scores(other)
        groups = [crowd[at : at + PICTURES] for at in range(0, len(crowd) - PICTURES, PICTURES)]
        unknown = [ruler.likeness(group).value for group in groups]
        means = " | ".join(f"{100 * np.mean(each):.0f} %" for each in (own, half, another, unknown))
        areas = ", ".join(f"{area_under_curve(own, each):.3f}" for each in (half, another, unknown))
        print(f"| {name} | {ruler.own:.2f} | {means} | {areas} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
