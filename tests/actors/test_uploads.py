"""Files on their way in: by signed link, by form, as a ZIP, by URL. Against S3 and the default storage."""

from __future__ import annotations

import io
import json
import stat
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django.fixtures import Settings as SettingsWrapper
from pytest_django.live_server_helper import LiveServer

from actors import archives, arrivals, remote_images, storage, tasks
from actors.models import Actor, ImageUpload, TrainingDataset, TrainingImage
from actors.registry import training_data
from actors.remote_images import RefusedUrl
from tests.actors.pictures import as_bytes, portrait, turned_photograph
from tests.factories import make_actor
from tests.s3_server import S3Server

PICTURE = as_bytes(portrait(pixels=300))
OTHER = as_bytes(portrait(2, pixels=300))


pytestmark = pytest.mark.usefixtures("tasks_at_once")


@pytest.fixture
def actor(db: None) -> Actor:
    return make_actor(images=0)


@pytest.fixture
def curator(admin_client: Client) -> Client:
    return admin_client


@dataclass
class Store:
    """Sends a PUT as a browser would, to whichever store the site uses."""

    site: str

    def put(self, url: str, content: bytes) -> int:
        return httpx.put(url if "://" in url else f"{self.site}{url}", content=content).status_code


@pytest.fixture(params=["files", "s3"])
def store(request: pytest.FixtureRequest, live_server: LiveServer, settings: SettingsWrapper) -> Store:
    settings.SITE_URL = live_server.url
    request.getfixturevalue("media" if request.param == "files" else "s3_storage")
    return Store(live_server.url)


def start(
    client: Client, actor: Actor, name: str = "a.png", content: bytes = PICTURE, **more: Any
) -> dict[str, str]:
    body = {"files": [{"name": name, "size": len(content), **more}]}
    answer = client.post(f"/actors/{actor.pk}/dataset/start", body, content_type="application/json")
    told: dict[str, str] = answer.json()["files"][0]
    return told


def finish(client: Client, actor: Actor, upload: dict[str, str]) -> dict[str, Any]:
    answer = client.post(
        f"/actors/{actor.pk}/dataset/uploads/{upload['id']}/finish", "{}", "application/json"
    )
    told: dict[str, Any] = answer.json()
    return told


# By signed link


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


# As a ZIP


def make_zip(**members: bytes) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    buffer.seek(0)
    return buffer


def test_a_zip_brings_pictures_with_their_captions(store: Store, curator: Client) -> None:
    actor = make_actor(images=0)
    content = make_zip(
        set__one_dot_png=PICTURE, set__one_dot_txt=b"portrait of anna, smiling\n", set__two_dot_png=OTHER
    ).read()
    upload = start(curator, actor, "set.zip", content)
    store.put(upload["url"], content)
    told = finish(curator, actor, upload)
    assert told["state"] in ("working", "done")
    assert ImageUpload.objects.get().message == "2 images added."
    captions = dict(actor.dataset.images.values_list("file_name", "caption"))
    assert captions == {"one.png": "portrait of anna, smiling", "two.png": ""}


def unpacked(actor: Actor, file: io.BytesIO) -> archives.Unpacked:
    return archives.unpack(actor.dataset, file)


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "a/../../evil.png", "C:\\evil.png"])
def test_a_zip_with_names_that_lead_out_is_refused_for_those(media: Path, actor: Actor, name: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, PICTURE)
        archive.writestr("good.png", OTHER)
    done = unpacked(actor, buffer)
    assert (len(done.added), len(done.refused)) == (1, 1)
    assert "leads out" in done.refused[0]


def test_a_link_in_a_zip_is_refused(media: Path, actor: Actor) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("secret.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "a link, not a file" in unpacked(actor, buffer).refused[0]


def test_a_zip_bomb_is_refused_by_its_ratio(media: Path, actor: Actor) -> None:
    done = unpacked(actor, make_zip(bomb_dot_png=b"\0" * 30_000_000))
    assert "as bombs do" in done.refused[0]


def test_a_zip_bomb_is_refused_by_its_sum(media: Path, actor: Actor, settings: SettingsWrapper) -> None:
    settings.MAX_ZIP_BYTES = 1000
    with pytest.raises(archives.RefusedArchive, match="too much"):
        unpacked(actor, make_zip(a_dot_png=PICTURE))


def test_a_zip_that_lies_about_a_size_is_stopped_while_unpacking() -> None:
    with pytest.raises(Exception, match="larger than 0 MB"):
        archives.copy_bounded(io.BytesIO(b"x" * 3000), io.BytesIO(), 1000)


def test_a_zip_with_too_many_files_is_refused(media: Path, actor: Actor, settings: SettingsWrapper) -> None:
    settings.MAX_DATASET_IMAGES = 1
    with pytest.raises(archives.RefusedArchive, match="holds 3 files"):
        unpacked(actor, make_zip(a_dot_png=PICTURE, b_dot_png=OTHER, c_dot_png=OTHER))


def test_scripts_svgs_and_nested_archives_in_a_zip_are_refused(media: Path, actor: Actor) -> None:
    done = unpacked(
        actor, make_zip(a_dot_svg=b"<svg/>", b_dot_html=b"<p>", c_dot_zip=b"PK", d_dot_png=b"<svg onload=x>")
    )
    assert (done.added, len(done.refused)) == ([], 4)


@pytest.mark.parametrize("content", [b"PK\x03\x04 and then nothing", b"", PICTURE[:50]])
def test_a_broken_zip_is_no_crash(media: Path, actor: Actor, content: bytes) -> None:
    with pytest.raises(archives.RefusedArchive, match="broken"):
        unpacked(actor, io.BytesIO(content))


def test_what_is_packed_wrong_is_refused_and_the_rest_comes_in(media: Path, actor: Actor) -> None:
    content = make_zip(a_dot_png=PICTURE, a_dot_txt=b"portrait, in the rain, smiling", b_dot_png=OTHER).read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        places = [archive.getinfo(name).header_offset + 30 + len(name) for name in ("a.png", "a.txt")]
    broken = bytearray(content)
    for place in places:
        broken[place : place + 8] = b"\xff" * 8
    done = unpacked(actor, io.BytesIO(bytes(broken)))
    assert [image.file_name for image in done.added] == ["b.png"]
    assert [line.partition(" (")[0] for line in done.refused] == [
        "a.txt: broken in the ZIP",
        "a.png: broken in the ZIP",
    ]


def test_what_file_managers_leave_behind_is_passed_over(media: Path, actor: Actor) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("__MACOSX/._a.png", b"x")
        archive.writestr(".DS_Store", b"x")
        archive.writestr("a.png", PICTURE)
    done = unpacked(actor, buffer)
    assert (len(done.added), done.refused) == (1, [])


def test_a_dataset_goes_out_as_a_zip_and_comes_back_the_same(store: Store, curator: Client) -> None:
    actor, twin = make_actor(images=0), make_actor(images=0)
    archives.unpack(
        actor.dataset, make_zip(a_dot_png=PICTURE, a_dot_txt=b"one", b_dot_png=OTHER, b_dot_txt=b"two")
    )
    answer = curator.get(f"/actors/{actor.pk}/dataset.zip")
    content = answer.getvalue()
    archives.unpack(twin.dataset, io.BytesIO(content))
    rows = [list(each.dataset.images.values_list("file_name", "sha256", "caption")) for each in (actor, twin)]
    assert rows[0] == rows[1]
    assert twin.dataset.fingerprint() == actor.dataset.fingerprint()


def test_captions_go_out_are_edited_and_come_back(media: Path, actor: Actor, curator: Client) -> None:
    archives.unpack(actor.dataset, make_zip(a_dot_png=PICTURE, a_dot_txt=b"old"))
    answer = curator.get(f"/actors/{actor.pk}/dataset.zip?only=captions")
    with zipfile.ZipFile(io.BytesIO(answer.getvalue())) as archive:
        assert (archive.namelist(), archive.read("a.txt")) == (["a.txt"], b"old\n")
    done = archives.unpack(actor.dataset, make_zip(a_dot_txt=b"new", missing_dot_txt=b"?"))
    assert (
        done.summary() == "0 images added, 1 captions changed, 1 refused: missing.txt: no image of that name."
    )
    assert actor.dataset.images.get().caption == "new"


# By URL


class Origin(BaseHTTPRequestHandler):
    """A web server that images are imported from."""

    answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}

    def do_GET(self) -> None:
        code, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def origin(settings: SettingsWrapper) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://pictures.example:{server.server_port}"
    settings.IMAGE_URL_HOSTS = [host]
    Origin.answers = {
        "/a.png": (200, {}, PICTURE),
        "/page.png": (200, {}, b"<html>"),
        "/away.png": (302, {"Location": f"{host}/a.png"}, b""),
        "/inside.png": (302, {"Location": "http://127.0.0.1/secret"}, b""),
        "/metadata.png": (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
        "/loop.png": (302, {"Location": "/loop.png"}, b""),
    }
    yield host
    server.shutdown()
    server.server_close()


def local(host: str, port: int) -> str:
    """Stands in for a public address: the test's server is on this machine."""
    return "127.0.0.1"


def fetched(url: str, **options: Any) -> bytes:
    target = io.BytesIO()
    remote_images.fetch(url, target, **options)
    return target.getvalue()


def test_a_picture_is_fetched_from_an_allowed_host_also_after_a_redirect(origin: str) -> None:
    assert fetched(f"{origin}/a.png", resolve=local) == PICTURE
    assert fetched(f"{origin}/away.png", resolve=local) == PICTURE


@pytest.mark.parametrize("path", ["inside.png", "metadata.png"])
def test_a_redirect_to_a_private_address_is_not_followed(origin: str, path: str) -> None:
    with pytest.raises(RefusedUrl, match="not among the hosts"):
        fetched(f"{origin}/{path}", resolve=local)


def test_redirects_in_a_circle_end(origin: str) -> None:
    with pytest.raises(RefusedUrl, match="redirects"):
        fetched(f"{origin}/loop.png", resolve=local)


def test_a_name_is_looked_up_once_so_a_changed_answer_changes_nothing(origin: str) -> None:
    answers = iter(["127.0.0.1", "10.0.0.1"])
    assert fetched(f"{origin}/a.png", resolve=lambda *_: next(answers)) == PICTURE
    assert next(answers) == "10.0.0.1", "the second answer was never asked for"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "100.64.0.1",
    ],
)
def test_private_addresses_are_never_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "socket.getaddrinfo",
        lambda *_, **__: [(2, 1, 6, "", ("93.184.215.14", 443)), (2, 1, 6, "", (address, 443))],
    )
    with pytest.raises(RefusedUrl, match="private address"):
        remote_images.public_address("pictures.example", 443)


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example/a.png",
        "https://other.example/a.png",
        "https://pictures.example:8443/a.png",
        "https://me@pictures.example/a.png",
        "file:///etc/passwd",
        "https://127.0.0.1/a.png",
        "https://[::1",
        "ftp://pictures.example/",
    ],
)
def test_other_hosts_ports_and_schemes_are_refused(url: str, settings: SettingsWrapper) -> None:
    settings.IMAGE_URL_HOSTS = ["pictures.example"]
    with pytest.raises(RefusedUrl):
        remote_images.check(url)
    assert remote_images.check("https://pictures.example/a.png") == ("pictures.example", 443)


def test_without_allowed_hosts_the_import_is_off_and_says_how_to_switch_it_on() -> None:
    with pytest.raises(RefusedUrl, match="IMAGE_URL_HOSTS"):
        remote_images.check("https://pictures.example/a.png")


def test_an_endless_file_is_cut_off(origin: str, settings: SettingsWrapper) -> None:
    settings.MAX_IMAGE_BYTES = 1000
    with pytest.raises(RefusedUrl, match="larger than"):
        fetched(f"{origin}/a.png", resolve=local)


@pytest.mark.parametrize(
    ("path", "state", "word"),
    [("a.png", "done", ""), ("page.png", "refused", "web page"), ("none.png", "refused", "404")],
)
def test_an_import_by_url_ends_like_an_upload(
    origin: str, media: Path, actor: Actor, monkeypatch: pytest.MonkeyPatch, path: str, state: str, word: str
) -> None:
    monkeypatch.setattr(remote_images, "public_address", local)
    upload = arrivals.start_url(actor.dataset, f"{origin}/{path}", by=None)
    upload.refresh_from_db()
    assert (upload.state, word in upload.message) == (state, True)
    assert actor.dataset.images.count() == (state == "done")


def test_the_page_says_which_urls_it_refuses(media: Path, actor: Actor, curator: Client) -> None:
    answer = curator.post(
        f"/actors/{actor.pk}/dataset/urls", {"urls": "https://evil.example/a.png\nincoming/"}, follow=True
    )
    said = [str(message) for message in answer.context["messages"]]
    assert "IMAGE_URL_HOSTS" in said[0]
    assert "Name a folder" in said[1]


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
