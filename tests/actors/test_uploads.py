"""Files on their way in, by signed link and by form, against S3 and the default storage."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django.fixtures import Settings as SettingsWrapper

from actors import archives, arrivals, storage, tasks
from actors.models import Actor, ImageUpload, TrainingDataset, TrainingImage
from actors.registry import training_data
from tests.actors.pictures import turned_photograph
from tests.actors.uploading import OTHER, PICTURE, Store, finish, make_zip, start
from tests.factories import make_actor
from tests.s3_server import S3Server

pytestmark = pytest.mark.usefixtures("tasks_at_once")


def test_a_picture_comes_in_by_a_signed_link_and_is_inspected(store: Store, curator: Client) -> None:
    actor = make_actor(images=0)
    upload = start(curator, actor)
    assert store.put(upload["url"], PICTURE) == 200
    assert finish(curator, actor, upload)["state"] == "done"
    image = actor.dataset.images.get()
    assert (image.file_name, image.is_synced, image.width) == ("a.png", True, 300)
    assert image.inspected_at
    assert image.has_thumbnail
    with storage.opened(image.url, 10**6) as file:
        assert file.read() == PICTURE
    assert storage.size(storage.own(f"incoming/{upload['id']}").s3) is None, "the incoming copy is gone"


def test_finishing_twice_adds_one_image(store: Store, curator: Client) -> None:
    actor = make_actor(images=0)
    upload = start(curator, actor)
    store.put(upload["url"], PICTURE)
    assert finish(curator, actor, upload) == finish(curator, actor, upload)
    assert actor.dataset.images.count() == 1


def test_finishing_before_the_bytes_are_there_says_so_and_can_be_repeated(
    store: Store, curator: Client
) -> None:
    actor = make_actor(images=0)
    upload = start(curator, actor)
    assert finish(curator, actor, upload)["state"] == "waiting"
    store.put(upload["url"], PICTURE)
    assert finish(curator, actor, upload)["state"] == "done"


def test_a_forged_link_stores_nothing(store: Store, curator: Client) -> None:
    actor = make_actor(images=0)
    upload = start(curator, actor)
    other = uuid.uuid4()
    assert store.put(upload["url"].replace(upload["id"], str(other)), PICTURE) == 403
    assert storage.size(storage.own(f"incoming/{other}").s3) is None


def test_an_expired_link_stores_nothing(store: Store, settings: SettingsWrapper) -> None:
    seconds = 1 if settings.S3_BUCKET else -7200  # local links are rounded up to the hour
    link = storage.upload_link("incoming/late", seconds)
    if settings.S3_BUCKET:
        time.sleep(2.2)
    assert store.put(link, PICTURE) in (400, 403)
    assert storage.size(storage.own("incoming/late").s3) is None


def test_a_link_of_s3_takes_the_announced_size_only(s3_storage: S3Server, db: None, curator: Client) -> None:
    upload = start(curator, make_actor(images=0))
    assert httpx.put(upload["url"], content=PICTURE + b"more").status_code == 403


def test_a_page_instead_of_a_picture_is_refused_and_leaves_nothing(store: Store, curator: Client) -> None:
    actor = make_actor(images=0)
    page = b"<!doctype html><script>alert(1)</script>"
    upload = start(curator, actor, "innocent.png", page)
    store.put(upload["url"], page)
    told = finish(curator, actor, upload)
    assert (told["state"], "web page" in told["message"]) == ("refused", True)
    assert not actor.dataset.images.exists()
    assert storage.size(storage.own(f"incoming/{upload['id']}").s3) is None


def test_known_bytes_are_skipped_before_and_after_the_upload(store: Store, curator: Client) -> None:
    actor = make_actor(images=0)
    for state in ("done", "skipped"):
        upload = start(curator, actor)
        store.put(upload["url"], PICTURE)
        assert finish(curator, actor, upload)["state"] == state
    known = actor.dataset.images.get().sha256
    assert start(curator, actor, sha256=known)["state"] == "skipped"


def test_files_too_large_or_empty_are_not_even_started(media: Path, actor: Actor, curator: Client) -> None:
    body = {"files": [{"name": "a.png", "size": 10**9}, {"name": "b.png", "size": 0}]}
    answer = curator.post(f"/actors/{actor.pk}/dataset/start", body, content_type="application/json")
    assert [each["state"] for each in answer.json()["files"]] == ["refused", "refused"]
    assert not ImageUpload.objects.exists()


@pytest.mark.parametrize(
    "body", ["", "[]", '{"files": 3}', '{"files": [{"name": "a"}]}', '{"files": [null]}']
)
def test_a_start_that_makes_no_sense_is_answered_with_an_example(
    media: Path, actor: Actor, curator: Client, body: str
) -> None:
    answer = curator.post(f"/actors/{actor.pk}/dataset/start", body, content_type="application/json")
    assert answer.status_code == 400
    assert "size" in answer.json()["error"]


def test_viewers_can_not_upload(media: Path, actor: Actor, client: Client) -> None:
    client.force_login(User.objects.create_user("ines"))
    body = {"files": [{"name": "a.png", "size": 5}]}
    assert client.post(f"/actors/{actor.pk}/dataset/start", body, "application/json").status_code == 403
    assert client.post(f"/actors/{actor.pk}/dataset/files").status_code == 403


def test_stored_files_are_never_served_as_html(media: Path, curator: Client) -> None:
    for name in ("x.html", "x.svg", "x.png"):
        (media / "actors").mkdir(parents=True, exist_ok=True)
        (media / "actors" / name).write_bytes(b"<script>alert(1)</script>")
        answer = curator.get(f"/files/actors/{name}")
        assert answer["Content-Type"] in ("application/octet-stream", "image/png")
        assert "sandbox" in answer["Content-Security-Policy"]
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_old_uploads_are_tidied_away_with_their_bytes(media: Path, actor: Actor, curator: Client) -> None:
    upload = ImageUpload.objects.create(dataset=actor.dataset, file_name="a.png")
    (media / "incoming").mkdir(parents=True)
    (media / upload.key).write_bytes(PICTURE)
    tasks.tidy()
    assert ImageUpload.objects.exists()
    ImageUpload.objects.update(created_at="2020-01-01T00:00:00Z")
    tasks.tidy()
    assert not ImageUpload.objects.exists()
    assert not (media / upload.key).exists()


# By form


def test_a_plain_form_takes_several_files_and_names_those_it_refuses(
    media: Path, actor: Actor, curator: Client
) -> None:
    files = [
        SimpleUploadedFile("a.png", PICTURE),
        SimpleUploadedFile("b.png", b"nothing"),
        SimpleUploadedFile("c.png", OTHER),
    ]
    answer = curator.post(f"/actors/{actor.pk}/dataset/files", {"files": files}, follow=True)
    said = [str(message) for message in answer.context["messages"]]
    assert said == ["b.png: This is no picture we read: JPEG, PNG, WebP, AVIF and HEIC.", "2 images added."]
    assert actor.dataset.images.count() == 2


def test_a_folder_of_the_bucket_is_listed_where_it_lies(store: Store, curator: Client) -> None:
    actor = make_actor(images=0)
    storage.save("scans/anna/1.png", ContentFile(PICTURE))
    storage.save("scans/anna/notes.doc", ContentFile(b"no picture"))
    storage.save("scans/anna/2.jpg", ContentFile(turned_photograph()))
    storage.save("scans/anna/same.png", ContentFile(PICTURE))
    storage.save("scans/anna/page.png", ContentFile(b"<!doctype html>"))
    curator.post(f"/actors/{actor.pk}/dataset/urls", {"urls": "scans/anna/"})
    curator.post(f"/actors/{actor.pk}/dataset/urls", {"urls": "scans/anna/"})
    plain, turned = actor.dataset.images.all()
    assert (plain.url, plain.has_thumbnail) == (storage.own("scans/anna/1.png").s3, True)
    assert turned.original_url == storage.own("scans/anna/2.jpg").s3
    assert (turned.width, turned.height) == (300, 512), "trainings read an upright copy"
    ends = dict(actor.dataset.uploads.values_list("file_name", "state"))
    assert ends == {"1.png": "done", "2.jpg": "done", "page.png": "refused", "same.png": "skipped"}
    page = curator.get(f"/actors/{actor.pk}/dataset").content.decode()
    assert "page.png" in page
    assert "The file holds a web page" in page


def test_a_store_that_stops_answering_ends_an_import_with_a_reason(
    media: Path, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.save("scans/anna/1.png", ContentFile(PICTURE))

    def opened(url: str, limit: int) -> Any:
        raise OSError(f"{url} can't be read: no answer")

    monkeypatch.setattr(storage, "opened", opened)
    arrivals.start_prefix(actor.dataset, "scans/anna/", by=None)
    upload = actor.dataset.uploads.get()
    assert (upload.state, "Import it again" in upload.message) == ("refused", True)
    assert not actor.dataset.images.exists()


def test_an_uploaded_dataset_shows_in_the_registry(store: Store, curator: Client) -> None:
    actor = make_actor(images=0)
    archives.unpack(actor.dataset, make_zip(a_dot_png=PICTURE, b_dot_png=OTHER))
    dataset = TrainingDataset.objects.get(actor=actor)
    first, second = dataset.images.all()
    TrainingImage.objects.filter(pk=second.pk).update(included=False)
    assert training_data(dataset) == {"s3_urls": [first.url], "local_path": "", "count": 1, "synced": True}
    assert json.dumps(training_data(dataset))
