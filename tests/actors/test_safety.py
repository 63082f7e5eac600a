"""What strangers' files and addresses must not be able to do, beyond what the tests of uploads show."""

from __future__ import annotations

import http.client
import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from django.core.files.base import ContentFile
from django.test import Client
from PIL import Image, PngImagePlugin
from pytest_django.fixtures import Settings as SettingsWrapper
from pytest_django.live_server_helper import LiveServer

from actors import archives, images, ingest, remote_images, storage
from actors.images import RefusedImage
from actors.models import TrainingImage
from actors.remote_images import RefusedUrl
from tests.actors.pictures import as_bytes, as_file, portrait
from tests.factories import make_actor
from tests.s3_server import S3Server

PICTURE = as_bytes(portrait(pixels=64))
PLACE = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><exif:GPSLatitude>52,31N</exif:GPSLatitude></x:xmpmeta>'


@pytest.fixture(params=["files", "s3"])
def store(request: pytest.FixtureRequest, live_server: LiveServer, settings: SettingsWrapper) -> str:
    """The site's address, with either storage."""
    settings.SITE_URL = live_server.url
    request.getfixturevalue("media" if request.param == "files" else "s3_storage")
    return live_server.url


def whole(site: str, link: str) -> str:
    return link if "://" in link else site + link


# Links to images are signed and expire


def test_a_signed_link_shows_the_image_to_whoever_holds_it(store: str) -> None:
    url = storage.save("actors/7/images/a.png", ContentFile(PICTURE))
    answer = httpx.get(whole(store, storage.download_link(url)))
    assert (answer.status_code, answer.content) == (200, PICTURE)


def test_a_link_without_its_signature_or_with_a_forged_one_shows_nothing(store: str) -> None:
    url = storage.save("actors/7/images/a.png", ContentFile(PICTURE))
    storage.save("actors/7/images/b.png", ContentFile(PICTURE))
    link = whole(store, storage.download_link(url))
    for forged in (link.partition("?")[0], link.replace("a.png", "b.png"), link[:-1] + "x"):
        answer = httpx.get(forged)
        assert answer.status_code in (302, 400, 403), forged
        assert PICTURE not in answer.content


def test_an_expired_link_shows_nothing(store: str, settings: SettingsWrapper) -> None:
    url = storage.save("actors/7/images/a.png", ContentFile(PICTURE))
    # Links of this site are rounded up to the hour.
    link = whole(store, storage.download_link(url, 1 if settings.S3_BUCKET else -7200))
    if settings.S3_BUCKET:
        time.sleep(2.2)
    answer = httpx.get(link)
    assert answer.status_code in (400, 403)
    assert PICTURE not in answer.content


def test_a_link_to_read_does_not_write(store: str) -> None:
    url = storage.save("actors/7/images/a.png", ContentFile(PICTURE))
    assert httpx.put(whole(store, storage.download_link(url)), content=b"other").status_code == 403
    with storage.opened(url, 10**6) as file:
        assert file.read() == PICTURE


# Uploads take what was announced


def test_a_link_takes_the_announced_number_of_bytes_only(store: str) -> None:
    link = whole(store, storage.upload_link("incoming/sized", 60, len(PICTURE)))
    assert httpx.put(link, content=PICTURE + b"more").status_code == 403
    assert storage.size(storage.own("incoming/sized").s3) is None
    assert httpx.put(link, content=PICTURE).status_code == 200


def test_a_body_without_an_announced_end_is_not_read(live_server: LiveServer, media: Path) -> None:
    link = urlsplit(storage.upload_link("incoming/endless", 60))
    site = urlsplit(live_server.url)
    connection = http.client.HTTPConnection(site.hostname or "", site.port, timeout=20)
    connection.putrequest("PUT", f"{link.path}?{link.query}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    assert connection.getresponse().status == 411
    connection.close()
    assert not (media / "incoming" / "endless").exists()


# Nothing an upload contains is ever served as HTML


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "page.xhtml", "noending", "feed.xml"])
def test_a_stored_page_is_a_download_of_bytes_from_either_store(store: str, name: str) -> None:
    url = storage.save(f"actors/7/{name}", ContentFile(b"<script>alert(1)</script>"))
    answer = httpx.get(whole(store, storage.download_link(url)))
    assert answer.headers["Content-Type"] == "application/octet-stream"


# Pictures that are something else as well


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "rest",
    [b"<html><body>", b"<SCRIPT>alert(1)</SCRIPT>", b"<svg onload=x>", b"%PDF-1.7", b"<?php echo 1;"],
)
def test_polyglots_are_refused(kind: str, rest: bytes) -> None:
    with pytest.raises(RefusedImage, match="web page, SVG or PDF"):
        images.examine(io.BytesIO(as_bytes(portrait(pixels=64), kind) + rest))


def test_a_polyglot_in_a_comment_of_the_picture_is_refused() -> None:
    with pytest.raises(RefusedImage, match="web page"):
        images.examine(as_file(portrait(pixels=64), "JPEG", comment=b"<script>alert(1)</script>"))


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b'<?xml version="1.0"?>\n', b"<!-- x -->"])
def test_svg_is_refused_however_it_starts(start: bytes) -> None:
    with pytest.raises(RefusedImage):
        images.examine(io.BytesIO(start + b'<svg xmlns="http://www.w3.org/2000/svg"/>'))


def test_a_place_in_xmp_data_does_not_reach_trainings(media: Path, db: None) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", PLACE.decode())
    files = [as_bytes(portrait(pixels=64), "JPEG", xmp=PLACE), as_bytes(portrait(2, 64), "PNG", pnginfo=text)]
    dataset = make_actor(images=0).dataset
    for number, content in enumerate(files):
        assert b"GPSLatitude" in content
        image = ingest.take_in(dataset, io.BytesIO(content), f"{number}.png")
        with storage.opened(image.url, 10**6) as read, storage.opened(image.original_url, 10**6) as original:
            assert b"GPSLatitude" not in read.read()
            assert original.read() == content, "the original is kept byte for byte"


def test_huge_dimensions_in_every_format_are_refused_before_decoding(settings: SettingsWrapper) -> None:
    settings.MAX_IMAGE_PIXELS = 64 * 63
    for kind in images.ENDINGS:
        with pytest.raises(RefusedImage, match="scale it down"):
            images.examine(as_file(portrait(pixels=64), kind))


# Paths


@pytest.mark.parametrize(
    "key", ["../settings.py", "%2e%2e/settings.py", "a/../../settings.py", "/etc/passwd", "a%00.png"]
)
def test_paths_that_lead_out_of_the_store_open_nothing(admin_client: Client, media: Path, key: str) -> None:
    media.mkdir(exist_ok=True)
    (media.parent / "settings.py").write_text("SECRET")
    answer = admin_client.get(f"/files/{key}")
    assert answer.status_code in (400, 404)
    assert b"SECRET" not in answer.content


def test_links_in_the_store_are_not_listed(media: Path) -> None:
    (media / "scans").mkdir(parents=True)
    (media / "real.png").write_bytes(PICTURE)
    (media / "scans" / "link.png").symlink_to(media / "real.png")
    assert storage.list_prefix("local", "scans/") == {}


def test_a_zip_in_a_zip_a_device_and_an_encrypted_member_are_refused(media: Path, db: None) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.zip", buffer.getvalue())
        device = zipfile.ZipInfo("device.png")
        device.external_attr = 0o020666 << 16
        archive.writestr(device, b"")
    done = archives.unpack(make_actor(images=0).dataset, buffer)
    assert len(done.refused) == 2
    assert not TrainingImage.objects.exists()


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "::10.0.0.1",
        "2002:a00:1::",
        "fe80::1%eth0",
        "ff02::1",
        "224.0.0.1",
        "fec0::1",
        "2001:db8::1",
        "255.255.255.255",
    ],
)
def test_addresses_that_lead_inside_by_a_detour_are_private(address: str) -> None:
    assert not remote_images.is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:220:1::1", "::ffff:93.184.215.14"])
def test_addresses_of_the_open_internet_are_public(address: str) -> None:
    assert remote_images.is_public(address)


def test_a_redirect_to_an_allowed_host_that_leads_inside_is_not_followed(
    settings: SettingsWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host's addresses are looked up and checked, also after a redirect."""
    settings.IMAGE_URL_HOSTS = ["pictures.example", "inside.example"]
    asked: list[str] = []

    def lookup(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        address = "93.184.215.14" if host == "pictures.example" else "10.0.0.1"
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr("socket.getaddrinfo", lookup)
    monkeypatch.setattr(
        httpx.HTTPTransport,
        "handle_request",
        lambda *_: httpx.Response(302, headers={"Location": "https://inside.example/a.png"}),
    )
    with pytest.raises(RefusedUrl, match=r"inside\.example leads to a private address"):
        remote_images.fetch("https://pictures.example/a.png", io.BytesIO())
    assert asked == ["pictures.example", "inside.example"]


def test_a_name_that_changes_its_address_between_two_imports_is_checked_again(
    settings: SettingsWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: an answer that was public once says nothing about the next one."""
    settings.IMAGE_URL_HOSTS = ["pictures.example"]
    answers = iter(["93.184.215.14", "127.0.0.1"])
    monkeypatch.setattr("socket.getaddrinfo", lambda _host, port, **_: [(2, 1, 6, "", (next(answers), port))])
    assert remote_images.public_address("pictures.example", 443) == "93.184.215.14"
    with pytest.raises(RefusedUrl, match="private address"):
        remote_images.public_address("pictures.example", 443)


def test_a_download_whose_file_is_gone_says_so_and_has_the_rest(media: Path, db: None) -> None:
    dataset = make_actor(images=0).dataset
    for number in range(3):
        ingest.take_in(dataset, as_file(portrait(number, 64)), f"{number}.png")
    storage.delete(dataset.images.all()[1].url)
    packed = io.BytesIO(b"".join(archives.pack(dataset)))
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["0.png", "2.png", "MISSING.md"]
        assert b"1.png" in archive.read("MISSING.md")
        with archive.open("2.png") as file:
            assert Image.open(file).size == (64, 64)


def test_the_link_of_s3_names_the_kind_of_file(s3_storage: S3Server) -> None:
    link = storage.download_link(storage.own("actors/7/evil.html").s3)
    assert "response-content-type=application%2Foctet-stream" in link


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        (
            {"S3_BUCKET": "studio", "S3_REGION": "eu-central-1"},
            "https://studio.s3.eu-central-1.amazonaws.com",
        ),
        ({"S3_BUCKET": "my.studio"}, "https://s3.us-east-1.amazonaws.com"),
        (
            {"S3_BUCKET": "studio", "S3_ENDPOINT_URL": "https://minio.example:9000"},
            "https://minio.example:9000",
        ),
    ],
)
def test_the_content_security_policy_names_the_host_of_the_links(
    variables: dict[str, str], host: str
) -> None:
    """With the site's real settings: browsers send to this host, and nowhere else."""
    code = (
        "import django; django.setup(); from django.conf import settings; from actors import storage;"
        "print(*settings.CONTENT_SECURITY_POLICY['DIRECTIVES']['connect-src']);"
        "print(storage.upload_link('incoming/1', 60, 5))"
    )
    environment = os.environ | variables | {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    environment |= {"DJANGO_SETTINGS_MODULE": "actortrain_site.settings", "ENV_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    sources, link = done.stdout.splitlines()
    assert host in sources.split()
    assert link.startswith(f"{host}/")
