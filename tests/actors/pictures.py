"""Pictures for tests, painted here: every flaw of a dataset can be made on purpose."""

from __future__ import annotations

import importlib.util
import random
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from PIL import Image

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
