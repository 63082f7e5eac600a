"""Pictures for tests: painted here, or out of packages, and every flaw of a dataset made on purpose."""

from __future__ import annotations

import importlib.util
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from worker.portraits import Portrait, paint, random_portrait, random_scene


def portrait(seed: int = 1, pixels: int = 512) -> Image.Image:
    """A painted adult, another one for every seed."""
    return paint(random_portrait(random.Random(seed)), pixels, 2)


def scenes(count: int, seed: int = 1, pixels: int = 512) -> list[tuple[Portrait, Image.Image]]:
    """One painted adult in several scenes."""
    rng = random.Random(seed)
    person = random_portrait(rng)
    drawn = [random_scene(person, rng) for _ in range(count)]
    return [(scene, paint(scene, pixels, 2)) for scene in drawn]


def astronaut() -> Image.Image:
    """A real photograph of one adult (NASA), out of scikit-image."""
    return _photograph("skimage", "data/astronaut.png")


def admiral() -> Image.Image:
    """A real photograph of another adult (US Navy), out of matplotlib."""
    return _photograph("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


def coffee() -> Image.Image:
    """A real photograph without anybody, out of scikit-image."""
    return _photograph("skimage", "data/coffee.png")


@dataclass(frozen=True)
class Face:
    """Where things are in a photograph, in pixels, and how far apart the eyes' outer corners."""

    unit: float
    mouth: tuple[float, float]
    corners: tuple[tuple[float, float], tuple[float, float]]
    brows: tuple[tuple[float, float], tuple[float, float]]


ASTRONAUTS_FACE = Face(62, (223, 145), ((199, 139), (248, 141)), ((198, 85), (254, 88)))
ADMIRALS_FACE = Face(126, (268, 277), ((230, 277), (304, 274)), ((206, 165), (321, 161)))


def smiling(picture: Image.Image, face: Face, strength: float = 1.0) -> Image.Image:
    """The corners of the mouth pulled out and up; less than nothing pulls them in and down."""
    pull = 0.09 * face.unit * strength
    return _pulled(picture, face, dict(zip(face.corners, ((-pull, -pull), (pull, -pull)), strict=True)))


def surprised(picture: Image.Image, face: Face) -> Image.Image:
    """The brows pulled up."""
    return _pulled(picture, face, dict.fromkeys(face.brows, (0.0, -0.12 * face.unit)))


def calling(picture: Image.Image, face: Face) -> Image.Image:
    """The chin pulled down, and a dark mouth painted where it has been opened."""
    (x, y), unit = face.mouth, face.unit
    opened = _pulled(picture, face, {(x, y + 0.25 * unit): (0.0, 0.22 * unit)})
    box = (x - 0.17 * unit, y - 0.03 * unit, x + 0.17 * unit, y + 0.25 * unit)
    ImageDraw.Draw(opened).ellipse(box, fill=(60, 20, 20))
    return opened


def _pulled(
    picture: Image.Image, face: Face, pulls: dict[tuple[float, float], tuple[float, float]]
) -> Image.Image:
    """The picture with some of its points drawn elsewhere, and their surroundings softly with them."""
    wide = 2 * (0.17 * face.unit) ** 2
    reach, step = int(face.unit), 4

    def source(x: float, y: float) -> tuple[float, float]:
        for (at_x, at_y), (by_x, by_y) in pulls.items():
            share = math.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / wide)
            x, y = x - by_x * share, y - by_y * share
        return x, y

    left, top = (int(part) - reach for part in face.mouth)
    tiles = []
    for x in range(left, left + 2 * reach, step):
        for y in range(top - reach, top + 2 * reach, step):
            edges = (x, y), (x, y + step), (x + step, y + step), (x + step, y)
            quad = tuple(part for edge in edges for part in source(*edge))
            tiles.append(((x, y, x + step, y + step), quad))
    changed = picture.transform(picture.size, Image.Transform.MESH, tiles, Image.Resampling.BICUBIC)
    frame = (left, top - reach, x + step, y + step)
    whole = picture.copy()
    whole.paste(changed.crop(frame), frame[:2])
    return whole


def copies(picture: Image.Image, count: int, seed: int = 1) -> Iterator[Image.Image]:
    """The same photograph in other framing, light, sharpness and size, some of them mirrored."""
    rng = random.Random(seed)
    for _ in range(count):
        copy = picture.rotate(rng.uniform(-10, 10), Image.Resampling.BICUBIC)
        copy = ImageEnhance.Brightness(copy).enhance(rng.uniform(0.75, 1.3))
        copy = ImageEnhance.Color(copy).enhance(rng.uniform(0.5, 1.3))
        copy = copy.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1)))
        scale = rng.uniform(0.9, 1.5)
        copy = copy.resize((int(copy.width * scale), int(copy.height * scale)))
        yield ImageOps.mirror(copy) if rng.random() < 0.5 else copy


def _photograph(package: str, path: str) -> Image.Image:
    """A picture that comes inside a package, which is not imported for it."""
    spec = importlib.util.find_spec(package)
    assert spec
    assert spec.origin
    return Image.open(Path(spec.origin).parent / path).convert("RGB")


def as_file(image: Image.Image, kind: str = "PNG", **options: Any) -> IO[bytes]:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


def as_bytes(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    return as_file(image, kind, **options).read()


def turned_photograph() -> bytes:
    """A JPEG from a telephone: lying on its side, with the place it was taken at."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}
    return as_bytes(portrait().crop((0, 0, 512, 300)), "JPEG", exif=exif.tobytes())
