"""``python -m actortrain_site.start`` as a person runs it: a real process with real children."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.started_site import ROOT, Site, start, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("start")]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose site has been started and stopped once, so that later starts are quick."""
    return tmp_path_factory.mktemp("house")


@pytest.fixture
def site(house: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    with started(house, request.node.name) as running:
        yield running


def test_the_first_start_shows_address_and_login_and_sigterm_leaves_nothing(site: Site) -> None:
    password = re.search(r"as admin, password (\S+)", site.output)
    assert password, site.output
    assert f"{site.url}/" in site.output
    assert "/login/" not in str(sign_in(site, "admin", password[1]).url)
    assert site.stop() == 0
    assert site.left_behind() == []
    for name in ("web", "tasks", "endpoint", "worker"):
        assert f"{name} stopped" in site.output


def test_a_second_start_keeps_the_login_and_ctrl_c_stops_it(site: Site) -> None:
    assert "as admin (password forgotten?" in site.output
    assert "Painting" not in site.output
    assert "Collecting" not in site.output
    assert site.stop(signal.SIGINT) == 0
    assert site.left_behind() == []


@pytest.mark.parametrize("name", ["tasks", "worker"])
def test_a_killed_process_is_named_and_everything_stops(site: Site, name: str) -> None:
    os.kill(site.pid_of(name), signal.SIGKILL)
    assert site.process.wait(15) == 1
    assert f"{name} was killed by SIGKILL, so everything was stopped." in site.output
    assert site.left_behind() == []


def test_nothing_outlives_a_start_that_was_itself_killed(site: Site) -> None:
    site.process.kill()
    site.process.wait()
    site.wait_until_gone()


def test_a_second_site_on_the_same_files_is_refused(site: Site) -> None:
    second = start(site.var.parent, "second")
    assert second.process.wait(60) == 1
    assert second.output == f"ActorTrain can't start: it runs already from {site.var}. Stop that one first.\n"
    assert "/login/" in str(sign_in(site, "admin", "wrong").url)  # the first one did not mind


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with contextlib.closing(taken_port()) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "actortrain_site.start", "--port", str(port)]
        environment = os.environ | {
            "VAR_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "actortrain_site.settings",
        }
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"ActorTrain can't start: port {port} on 127.0.0.1 is in use. "
        "Choose another port: make start PORT=8010.\n"
    )


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("RUNPOD_API_KEY", "a-key", "RUNPOD_ENDPOINT_ID"),
        ("S3_REGION", "eu-west-1", "S3_BUCKET"),
        ("LOCAL_ENDPOINT_URL", "nonsense", "LOCAL_ENDPOINT_URL"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none", "DATABASE_URL"),
    ],
)
def test_a_wrong_variable_stops_the_start_with_one_line(
    tmp_path: Path, variable: str, value: str, named: str
) -> None:
    site = start(tmp_path, "wrong", **{variable: value})
    assert site.process.wait(60) == 1
    assert "Traceback" not in site.output
    assert site.output.startswith("ActorTrain can't start: ")
    assert named in site.output
    assert len(site.output.splitlines()) == 1


def taken_port() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def sign_in(site: Site, name: str, password: str) -> httpx.Response:
    """Signs in as the form in the browser does."""
    with httpx.Client(base_url=site.url, timeout=30, follow_redirects=True) as client:
        page = client.get("/")
        data = {"login": name, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        return client.post(page.url, data=data, headers={"Referer": str(page.url)})
