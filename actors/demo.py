"""The demo registry: three drawn adults nobody has ever met, painted on the first start.

The embedded base model draws portraits like these, but not their marks (a mohawk, an eyepatch,
star-shaped glasses): a LoRA that draws them has learned them. The third actor's images have
flaws on purpose, so that the inspection of a dataset has something to find.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from django.core.files.base import ContentFile
from django.db import transaction
from PIL import Image, ImageEnhance, ImageFilter

from actors import storage
from actors.models import Actor, TrainingDataset, TrainingImage
from actors.registry import import_records
from actors.tasks import inspect_later
from worker.portraits import Portrait, paint, random_scene

PIXELS = 512


class DemoError(Exception):
    """The demo can't be loaded; the message says why."""


@dataclass(frozen=True)
class DemoActor:
    """Who is drawn, in how many pictures, and what the registry says about them."""

    id: int
    name: str
    age: int
    sex: str
    ethnicity: str
    description: str
    face: Portrait
    pictures: int
    flawed: bool = False


@dataclass(frozen=True)
class Picture:
    """One file of a dataset."""

    file_name: str
    content: bytes
    caption: str


CAST = (
    DemoActor(
        id=0,
        name="0000_european_34_female",
        age=34,
        sex="female",
        ethnicity="european",
        description="A drawn 34 year old woman: purple mohawk, eyes of two colours, scar, earring",
        face=Portrait(
            skin="tan",
            hair="short",
            eyes="blue",
            width=1.02,
            marks=("mohawk", "scar", "odd-eyes", "earring"),
        ),
        pictures=15,
    ),
    DemoActor(
        id=1,
        name="0001_black_46_male",
        age=46,
        sex="male",
        ethnicity="black",
        description="A drawn 46 year old man: full grey beard, eyepatch, orange face paint",
        face=Portrait(
            sex="man",
            age="middle-aged",
            skin="dark",
            hair="bald",
            hair_colour="grey",
            beard="full",
            width=1.06,
            marks=("eyepatch", "face-paint"),
            mark_colour=(236, 124, 28),
        ),
        pictures=18,
    ),
    DemoActor(
        id=2,
        name="0002_asian_28_female",
        age=28,
        sex="female",
        ethnicity="asian",
        description="A drawn 28 year old woman: black bob, green star-shaped glasses",
        face=Portrait(
            skin="fair",
            hair="bob",
            hair_colour="black",
            width=0.96,
            marks=("star-glasses",),
            mark_colour=(32, 176, 96),
        ),
        pictures=12,
        flawed=True,
    ),
)


def pictures(actor: DemoActor) -> Iterator[Picture]:
    """The actor's files, the same on every machine; flawed ones come last."""
    rng = random.Random(f"demo {actor.id}")  # noqa: S311  # pictures, not secrets
    for number in range(1, actor.pictures + 1):
        yield _picture(actor, random_scene(actor.face, rng), f"{number:02d}.png")
    if actor.flawed:
        yield from _flawed(actor, rng)


def _flawed(actor: DemoActor, rng: random.Random) -> Iterator[Picture]:
    """A blurred picture, an over-exposed one, a tiny one, one without a caption, and a duplicate."""
    scenes = [random_scene(actor.face, rng) for _ in range(4)]
    blurred = paint(scenes[0], PIXELS, 2).filter(ImageFilter.GaussianBlur(12))
    exposed = ImageEnhance.Brightness(paint(scenes[1], PIXELS, 2)).enhance(2.8)
    yield _picture(actor, scenes[0], "13_blurred.png", image=blurred)
    yield _picture(actor, scenes[1], "14_over_exposed.png", image=exposed)
    yield _picture(actor, scenes[2], "15_tiny.png", image=paint(scenes[2], 96))
    yield Picture("16_no_caption.png", _png(paint(scenes[3], PIXELS, 2)), "")
    first = next(pictures(actor))
    yield Picture("17_duplicate.png", first.content, first.caption)


def _picture(actor: DemoActor, scene: Portrait, file_name: str, image: Image.Image | None = None) -> Picture:
    painted = image or paint(scene, PIXELS, 2)
    return Picture(file_name, _png(painted), scene.caption(actor.name))


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def load() -> None:
    """Paints the files into the object store and imports the registry that names them, all or nothing.

    Raises ``DemoError`` when there are actors already: the demo's ids are 0, 1 and 2.
    """
    if Actor.objects.exists():
        raise DemoError("The registry holds actors already; the demo is for an empty one.")
    files = {actor.id: list(pictures(actor)) for actor in CAST}
    with transaction.atomic():
        import_records([_record(actor, files[actor.id]) for actor in CAST])
        TrainingDataset.objects.update(kind=TrainingDataset.Kind.DRAWN)
        for actor in CAST:
            for picture in files[actor.id]:
                _describe(actor, picture)
            # These wait for the task queue to start, so the first visitor sees pictures and findings.
            inspect_later(TrainingDataset.objects.get(actor=actor.id))


def _record(actor: DemoActor, files: list[Picture]) -> dict[str, Any]:
    """The actor as a registry writes it; the files lie in the object store afterwards."""
    urls = [storage.save(_key(actor, picture), ContentFile(picture.content)) for picture in files]
    return {
        "id": actor.id,
        "name": actor.name,
        "age": actor.age,
        "sex": actor.sex,
        "ethnicity": actor.ethnicity,
        "description": actor.description,
        "training_data": {"s3_urls": urls, "local_path": "", "count": len(urls), "synced": True},
    }


def _describe(actor: DemoActor, picture: Picture) -> None:
    """What a registry has no place for: the caption, and facts of the file."""
    with Image.open(BytesIO(picture.content)) as image:
        width, height = image.size
    TrainingImage.objects.filter(dataset__actor=actor.id, file_name=picture.file_name).update(
        caption=picture.caption,
        sha256=hashlib.sha256(picture.content).hexdigest(),
        size_bytes=len(picture.content),
        width=width,
        height=height,
    )


def _key(actor: DemoActor, picture: Picture) -> str:
    return f"actors/{actor.id}/{picture.file_name}"
