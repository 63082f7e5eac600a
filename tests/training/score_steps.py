"""Actors and versions with painted files, for tests that measure likeness."""

from __future__ import annotations

import random
from io import BytesIO
from typing import Any

from django.core.files.base import ContentFile
from PIL import Image

from actors import storage
from actors.models import Actor
from tests.factories import make_actor, make_version
from training.models import Preview, PreviewImage, SampleImage, TrainingVersion
from worker.portraits import Portrait, paint, random_scene

HER = Portrait(skin="tan", hair="short", eyes="blue", marks=("mohawk", "scar"))
HIM = Portrait(sex="man", age="old", skin="dark", hair="bald", beard="full", marks=("eyepatch",))
LIKE_HER = Portrait(skin="tan", hair="short", eyes="blue", marks=("mohawk",))


def picture(face: Portrait, seed: object) -> Image.Image:
    """The person in a scene of that seed."""
    return paint(random_scene(face, random.Random(str(seed))), 64)


def put(key: str, image: Image.Image) -> str:
    """Writes it into the object store; its URL."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return storage.save(key, ContentFile(buffer.getvalue()))


def painted_actor(face: Portrait = HER, images: int = 6) -> Actor:
    """An actor whose images are there."""
    actor = make_actor(images=images)
    for image in actor.dataset.images.all():
        put(f"actors/{actor.pk}/{image.file_name}", picture(face, image.file_name))
    return actor


def drawn_version(
    actor: Actor, face: Portrait = HER, bleeding: Portrait = HIM, **fields: Any
) -> TrainingVersion:
    """Completed, with samples of the base alone and of the end: prompts 4 and 5 are without the trigger."""
    version = make_version(actor, **fields)
    for index, prompt in enumerate(version.sample_prompts()):
        with_lora = face if index < 4 else bleeding
        for step, who in ((0, HIM), (version.max_train_steps or 1, with_lora)):
            url = put(f"samples/{version.pk}/{step}_{index}.png", picture(who, ("sample", index)))
            SampleImage.objects.create(
                version=version,
                step=step,
                prompt_index=index,
                prompt=prompt.prompt,
                seed=prompt.seed,
                url=url,
            )
    return version


def drawn_preview(version: TrainingVersion, face: Portrait, bleeding: Portrait = HIM) -> Preview:
    """Three pictures with the trigger, and two without it at strengths 1 and 0."""
    preview = Preview.objects.create(version=version, title="Standard")
    rows = [(f"portrait of {version.class_tokens}, {word}", 1.0, face) for word in ("one", "two", "three")]
    rows += [
        (word, strength, who) for word in ("four", "five") for strength, who in ((1.0, bleeding), (0.0, HIM))
    ]
    for position, (prompt, strength, who) in enumerate(rows):
        PreviewImage.objects.create(
            preview=preview,
            position=position,
            prompt=prompt,
            with_trigger=version.class_tokens in prompt,
            seed=7,
            strength=strength,
            steps=24,
            url=put(f"previews/{version.pk}/{position}.png", picture(who, ("preview", prompt))),
        )
    preview.complete()
    return preview
