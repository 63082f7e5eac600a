"""Actors with files in the object store, and with files in a folder only."""

from __future__ import annotations

from typing import Any

from actors import ingest
from actors.models import Actor, TrainingImage
from tests.actors.pictures import as_file, portrait
from tests.factories import make_actor

State = TrainingImage.State


def make_stored(count: int = 3) -> Actor:
    actor = make_actor(images=0)
    for number in range(count):
        ingest.take_in(actor.dataset, as_file(portrait(number, 128)), f"{number}.png")
    return actor


def make_local(path: str, **fields: Any) -> Actor:
    actor = make_actor(images=0)
    actor.dataset.local_path = path
    actor.dataset.save()
    for name in fields.pop("names", []):
        TrainingImage.objects.create(dataset=actor.dataset, file_name=name, state=State.LOCAL_ONLY, **fields)
    return actor
