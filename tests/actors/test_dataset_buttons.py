"""What the dataset page shows of its images, what its buttons do on the server, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from pytest_django.fixtures import Settings as SettingsWrapper

from actors import arrivals, ingest, storage
from actors.models import Actor, ImageUpload, TrainingImage
from tests.actors.pictures import as_bytes, as_file, portrait
from tests.factories import make_actor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media", "tasks_at_once")]
State = TrainingImage.State


@pytest.fixture
def actor() -> Actor:
    """Two images in the store that nobody has inspected yet."""
    actor = make_actor(images=0)
    for number in range(2):
        ingest.take_in(actor.dataset, as_file(portrait(number, 64)), f"{number}.png")
    return actor


def press(client: Client, actor: Actor, button: str, **values: str) -> list[str]:
    """Sends the button's form; returns what the next page says."""
    answer = client.post(f"/actors/{actor.pk}/dataset/{button}", values, follow=True)
    return [str(message) for message in answer.context["messages"]]


def test_compare_with_the_store_says_what_is_there_and_inspects_what_is_new(
    admin_client: Client, actor: Actor
) -> None:
    storage.delete(actor.dataset.images.get(file_name="1.png").url)
    assert press(admin_client, actor, "sync") == ["1 in the object store, 1 missing (1.png)."]
    first, second = actor.dataset.images.all()
    assert (first.state, second.state) == (State.SYNCED, State.MISSING)
    assert first.inspected_at
    page = admin_client.get(f"/actors/{actor.pk}/dataset").content.decode()
    assert "1 not in the object store" in page


def test_compare_with_the_store_pushes_the_local_folder(
    admin_client: Client, actor: Actor, settings: SettingsWrapper, tmp_path: Path
) -> None:
    settings.DATASET_ROOT = tmp_path / "root"
    (tmp_path / "root" / "anna").mkdir(parents=True)
    (tmp_path / "root" / "anna" / "9.png").write_bytes(as_bytes(portrait(9, 64)))
    actor.dataset.local_path = "anna"
    actor.dataset.save()
    said = press(admin_client, actor, "sync")
    assert said[0] == "1 pictures of anna are being compared."
    assert actor.dataset.images.get(file_name="9.png").state == State.SYNCED


def test_local_images_that_can_not_be_pushed_are_told_with_the_reason(
    admin_client: Client, actor: Actor
) -> None:
    TrainingImage.objects.create(dataset=actor.dataset, file_name="9.png", state=State.LOCAL_ONLY)
    assert press(admin_client, actor, "sync")[0] == (
        "Nothing was pushed. Local folders are off: name their root in DATASET_ROOT."
    )


def test_inspect_again_reads_every_file_once_more(admin_client: Client, actor: Actor) -> None:
    press(admin_client, actor, "inspect")
    images = actor.dataset.images
    images.filter(file_name="0.png").update(measures={}, findings=[], has_thumbnail=False)
    assert press(admin_client, actor, "inspect") == ["2 images are being inspected."]
    again = images.get(file_name="0.png")
    assert again.measures["sharpness"] > 0
    assert again.has_thumbnail


def test_the_list_of_refused_imports_is_cleared_and_uploads_under_way_stay(
    admin_client: Client, actor: Actor
) -> None:
    storage.save("scans/page.png", ContentFile(b"<!doctype html>"))
    arrivals.start_prefix(actor.dataset, "scans/", by=None)
    waiting = ImageUpload.objects.create(dataset=actor.dataset, file_name="a.png")
    page = admin_client.get(f"/actors/{actor.pk}/dataset").content.decode()
    assert "page.png" in page
    press(admin_client, actor, "clear")
    assert list(actor.dataset.uploads.all()) == [waiting]


def test_a_download_is_streamed_and_named_after_the_actor(admin_client: Client, actor: Actor) -> None:
    answer = admin_client.get(f"/actors/{actor.pk}/dataset.zip")
    assert answer.streaming
    assert answer["Content-Type"] == "application/zip"
    assert f'filename="{actor.number}_dataset_' in answer["Content-Disposition"]


def test_each_thumbnail_shows_its_worst_finding_and_how_many_more(admin_client: Client, actor: Actor) -> None:
    first, second = actor.dataset.images.all()
    first.findings = [
        {"code": "near_duplicate", "level": "warning", "message": "Nearly the same.", "twin": second.pk},
        {"code": "blurred", "level": "error", "message": "Sharpness 3."},
    ]
    second.findings = [{"code": "near_duplicate", "level": "warning", "message": "…", "twin": first.pk}]
    TrainingImage.objects.bulk_update([first, second], ["findings"])
    page = admin_client.get(f"/actors/{actor.pk}/dataset").content.decode()
    thumbs = {pk: page.partition(f'id="image-{pk}"')[2].partition("</li>")[0] for pk in (first.pk, second.pk)}
    assert "Blurred" in thumbs[first.pk]
    assert "+1" in thumbs[first.pk]
    assert "Twin of 01" in thumbs[second.pk]
    first.accepted = {"blurred": {"reason": "meant so", "by": "", "at": "2026-01-01T00:00:00+00:00"}}
    first.save()
    page = admin_client.get(f"/actors/{actor.pk}/dataset").content.decode()
    assert "Twin of 02" in page.partition(f'id="image-{first.pk}"')[2].partition("</li>")[0]
