"""Pictures by URL: allowed hosts only, and never an address inside."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.test import Client
from pytest_django.fixtures import Settings as SettingsWrapper

from actors import arrivals, remote_images
from actors.models import Actor
from actors.remote_images import RefusedUrl
from tests.actors.uploading import PICTURE

pytestmark = pytest.mark.usefixtures("tasks_at_once")


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
