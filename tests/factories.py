"""Rows for tests. Everything has a default; name only what the test is about."""

from __future__ import annotations

import random
from io import BytesIO
from itertools import count
from typing import Any

from actors.ingest import take_in
from actors.models import Actor, TrainingDataset, TrainingImage
from training import paid
from training.base_models import EMBEDDED, auto_adjust
from training.models import TERMINAL, Status, TrainingVersion
from worker.portraits import Portrait, paint, random_scene

_ids = count(1)


def make_actor(*, images: int = 15, synced: bool = True, **fields: Any) -> Actor:
    """An actor with a dataset of captioned images (rows only, no files)."""
    number = next(_ids)
    name = fields.pop("name", f"{number:04d}_nordic_41_female")
    facts = {"age": 41, "sex": "female", "ethnicity": "nordic", "position": number} | fields
    actor = Actor.objects.create(name=name, **facts)
    dataset = TrainingDataset.objects.create(actor=actor, kind=TrainingDataset.Kind.DRAWN)
    state = TrainingImage.State.SYNCED if synced else TrainingImage.State.LOCAL_ONLY
    TrainingImage.objects.bulk_create(
        TrainingImage(
            dataset=dataset,
            position=index,
            url=f"s3://local/actors/{actor.pk}/{index}.png",
            file_name=f"{index}.png",
            state=state,
            caption=f"portrait of {name}, smiling",
            sha256=f"{actor.pk:032d}{index:032d}",
        )
        for index in range(images)
    )
    return actor


def make_drawn_actor(*, images: int = 12) -> Actor:
    """An actor whose files exist: the inspection, when it comes to them, finds them fit."""
    actor = make_actor(images=0)
    chance = random.Random(actor.pk)
    for number in range(images):
        scene = random_scene(Portrait(), chance)
        file = BytesIO()
        paint(scene, 512).save(file, "PNG")
        take_in(actor.dataset, file, f"{number:02d}.png", caption=scene.caption(actor.name))
    return actor


def make_version(
    actor: Actor | None = None, *, status: str = Status.COMPLETED, **fields: Any
) -> TrainingVersion:
    """A version with recommended parameters; a completed one has a LoRA, an active one a job."""
    actor = actor or make_actor()
    parameters = auto_adjust(15, EMBEDDED)[0].to_dict() | {"class_tokens": actor.trigger_token}
    number = fields.pop("number", None) or actor.next_version_number()
    defaults: dict[str, Any] = parameters | {
        "base_model": EMBEDDED.key,
        "request_id": f"{actor.pk}_{number}",
        "image_count": 15,
        "endpoint_id": "local",
        "images": [{"url": f"s3://local/actors/{actor.pk}/0.png", "caption": "portrait"}],
    }
    if status == Status.COMPLETED:
        defaults["lora_url"] = (
            f"https://bucket.s3.us-east-1.amazonaws.com/loras/actor_{actor.pk}_V{number}.safetensors"
        )
    if status in (Status.QUEUED, Status.TRAINING):
        defaults["job_id"] = f"job-{actor.pk}-{number}"
    version = TrainingVersion.objects.create(actor=actor, number=number, status=status, **defaults | fields)
    if status in TERMINAL:
        paid.keep_bill(version)  # as the verbs do that end one
    return version
