"""What browser tests of datasets share: files to send, and datasets to look at."""

from __future__ import annotations

import random
from pathlib import Path

from playwright.sync_api import Page

from actors import ingest, tasks
from actors.models import Actor
from tests.actors.pictures import as_bytes, as_file
from worker.portraits import paint, random_portrait, random_scene


def make_files(folder: Path, count: int) -> list[Path]:
    """One painted adult in several scenes, as files on somebody's disk."""
    rng = random.Random(3)
    person = random_portrait(rng)
    paths = []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"{number:02d}.png"
        path.write_bytes(as_bytes(paint(random_scene(person, rng), 520, 1)))
        paths.append(path)
    return paths


def fill(actor: Actor, count: int) -> None:
    """Inspected images with captions."""
    rng = random.Random(4)
    person = random_portrait(rng)
    for number in range(count):
        scene = random_scene(person, rng)
        ingest.take_in(
            actor.dataset, as_file(paint(scene, 520, 1)), f"{number}.png", caption=scene.caption(actor.name)
        )
    tasks.inspect(actor.dataset.pk)


def open_dataset(page: Page, actor: Actor) -> None:
    """The dataset's page."""
    page.goto(f"/actors/{actor.pk}/dataset")
