"""A registry of 10,000 images on the pages that show many: only small pictures, only those in sight."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from actors.models import Actor, TrainingDataset, TrainingImage
from tests.actors.pictures import as_bytes, portrait

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
#: Faces among the numbers of a real inspection weigh most of a row.
MEASURES = {
    "sharpness": 200.0,
    "brightness": 110.0,
    "burnt": 0.0,
    "black": 0.0,
    "hash": "0f" * 64,
    "layout": "7f" * 48,
    "faces": [{"box": [0.3, 0.2, 0.3, 0.3], "turn": 0.1, "embedding": [0.1234] * 128}],
}


class Loaded:
    """Which pictures the browser asks for."""

    def __init__(self, page: Page) -> None:
        self.thumbnails: set[str] = set()
        self.originals: set[str] = set()
        page.on("request", self.note)

    def note(self, request: Request) -> None:
        path = request.url.partition("?")[0]
        if "/files/thumbs/" in path:
            self.thumbnails.add(path)
        elif "/files/" in path:
            self.originals.add(path)


def make_datasets(media: Path, actors: int, images: int) -> list[TrainingDataset]:
    """Rows of inspected images; every thumbnail is there, no original is."""
    made = Actor.objects.bulk_create(
        Actor(name=f"{number:04d}_nordic_41_female", position=number) for number in range(actors)
    )
    kind = TrainingDataset.Kind.PHOTOGRAPHS
    datasets = [TrainingDataset(actor=actor, kind=kind, synced_at="2026-01-01T00:00:00Z") for actor in made]
    TrainingDataset.objects.bulk_create(datasets)
    rows = TrainingImage.objects.bulk_create(
        TrainingImage(
            dataset=dataset,
            position=number,
            url=f"s3://local/actors/{dataset.actor_id}/images/{number}.png",
            file_name=f"{number}.png",
            caption=f"portrait of {dataset.actor.name}, smiling",
            sha256=f"{dataset.pk:032d}{number:032d}",
            width=1024,
            height=1024,
            measures=MEASURES,
            inspected_at="2026-01-01T00:00:00Z",
            has_thumbnail=True,
        )
        for dataset in datasets
        for number in range(images)
    )
    write_thumbnails(media, rows)
    for dataset in datasets:
        dataset.write_verdict()
    return datasets


def write_thumbnails(media: Path, rows: Iterable[TrainingImage]) -> None:
    (media / "thumbs").mkdir(parents=True)
    picture = media / "thumbs" / "one.webp"
    picture.write_bytes(as_bytes(portrait(pixels=128), "WEBP"))
    for row in rows:
        (media / row.thumbnail_key).hardlink_to(picture)


def test_the_library_scrolls_through_10_000_images_without_loading_an_original(
    transactional_db: None, media: Path, signed_in_page: Page
) -> None:
    make_datasets(media, 500, 20)
    page, loaded = signed_in_page, Loaded(signed_in_page)
    page.goto("/library" if "library" in page.url else "/")
    page.goto(page.get_by_role("link", name="Library").first.get_attribute("href") or "/")
    posters = page.locator("#sheet .poster")
    expect(posters.first).to_be_visible()
    seen = posters.count()
    assert seen < 200, "a page at a time"
    for _ in range(60):
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(150)
        if posters.count() == 500:
            break
    expect(posters).to_have_count(500)
    page.wait_for_load_state("networkidle")
    assert loaded.originals == set()
    assert 0 < len(loaded.thumbnails) <= 500, "one small picture an actor, and only where somebody scrolled"


def test_a_dataset_of_10_000_images_shows_a_page_of_thumbnails_in_time(
    transactional_db: None, media: Path, signed_in_page: Page
) -> None:
    (dataset,) = make_datasets(media, 1, 10_000)
    page, loaded = signed_in_page, Loaded(signed_in_page)
    began = time.monotonic()
    page.goto(f"/actors/{dataset.actor_id}/dataset")
    seconds = time.monotonic() - began
    expect(page.locator("#thumbs .thumb")).to_have_count(120)
    page.locator("#thumbs .thumb").last.scroll_into_view_if_needed()
    page.get_by_role("link", name="84", exact=True).click()
    expect(page.get_by_text("9961", exact=True).first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert loaded.originals == set()
    assert len(loaded.thumbnails) <= 240
    assert seconds < 10, f"{seconds:.1f} s"
