"""The public address: a tunnel that says why it can't open, and one that runs until it is stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from tests.factories import make_version
from training import job_body, tunnel

ADDRESS = "https://studio.example.com"


@pytest.fixture(autouse=True)
def room(settings: Settings, tmp_path: Path) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package ``ngrok`` that can be imported; its tunnel opens, or fails like the real one offline."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "ngrok.py").write_text(
        "import os\n"
        "class Listener:\n"
        f"    def url(self): return {ADDRESS!r}\n"
        "def forward(address, authtoken, **options):\n"
        "    if authtoken == 'offline':\n"
        "        raise ValueError('failed to connect session', 'failed to establish tcp connection')\n"
        "    if authtoken == 'wrong':\n"
        "        raise ValueError('authentication failed', f'{authtoken} ERR_NGROK_105')\n"
        "    return Listener()\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("ngrok", None)
    yield folder
    sys.modules.pop("ngrok", None)


@pytest.fixture
def holder(room: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like the one that holds a tunnel."""
    code = "import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, "tunnel"])
    (room / "tunnel.json").write_text(
        json.dumps({"running": True, "url": ADDRESS, "pid": process.pid, "obstacle": ""})
    )
    time.sleep(0.1)
    yield process
    process.kill()
    process.wait()


def failure() -> str:
    with pytest.raises(CommandError) as error:
        call_command("tunnel", stdout=StringIO())
    return str(error.value)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "find_spec", lambda _name: None)
    assert failure() == "The ngrok package is not installed: pip install ngrok"


def test_without_a_token_it_says_where_to_get_one(package: Path) -> None:
    assert "NGROK_AUTHTOKEN is not set" in failure()


def test_without_a_network_it_says_that_trainings_go_on(package: Path, settings: Settings) -> None:
    settings.NGROK_AUTHTOKEN = "offline"
    assert failure().startswith("ngrok can't be reached (failed to connect session")
    assert failure().endswith("Trainings go on without a tunnel: the sweep follows them.")


def test_a_wrong_token_is_refused_and_never_shown(package: Path, settings: Settings) -> None:
    settings.NGROK_AUTHTOKEN = "wrong"
    assert failure().startswith("ngrok refuses NGROK_AUTHTOKEN")
    assert "wrong" not in failure()


def test_the_real_package_says_why_it_opens_no_tunnel_and_keeps_the_token_to_itself(
    settings: Settings,
) -> None:
    settings.NGROK_AUTHTOKEN = "2nobodys0token"
    said = failure()  # with a network it is refused, without one ngrok can't be reached
    assert said.startswith(("ngrok refuses NGROK_AUTHTOKEN: check it", "ngrok can't be reached (failed to "))
    assert "2nobodys0token" not in said


def test_a_tunnel_that_runs_is_the_public_address(
    holder: subprocess.Popen[bytes], settings: Settings
) -> None:
    assert tunnel.status().running
    assert tunnel.public_url() == ADDRESS
    assert tunnel.start() == tunnel.status()
    assert tunnel.stop().running is False
    assert holder.wait(5) != 0
    assert tunnel.public_url() == settings.SITE_URL


def test_what_a_killed_process_left_behind_does_not_count(holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait()
    assert tunnel.status().running is False


def test_another_process_with_the_same_number_does_not_count(room: Path) -> None:
    record = {"running": True, "url": ADDRESS, "pid": os.getpid(), "obstacle": ""}
    (room / "tunnel.json").write_text(json.dumps(record))
    assert tunnel.status().running is False


@pytest.mark.django_db
def test_workers_elsewhere_get_links_through_the_tunnel(
    holder: subprocess.Popen[bytes], settings: Settings
) -> None:
    body = job_body.build(make_version())
    uploads = body["input"]["training_config"]["uploads"]
    links = [
        body["webhook"],
        uploads["lora"]["put_url"],
        uploads["samples"][0]["put_url"],
        body["input"]["training_data"]["images"][0]["download_url"],
    ]
    assert all(link.startswith(f"{ADDRESS}/") for link in links)
    assert uploads["lora"]["url"].startswith(settings.SITE_URL)


@pytest.mark.django_db
def test_the_api_says_what_is_missing(admin_client: Client, client: Client) -> None:
    assert admin_client.get("/api/ngrok/status").json()["running"] is False
    answer = admin_client.post("/api/ngrok/start")
    assert answer.status_code == 409
    assert "ngrok" in answer.json()["detail"].lower()
    assert admin_client.post("/api/ngrok/stop").json()["running"] is False
    client.logout()
    assert client.post("/api/ngrok/start").status_code == 401


def test_a_private_address_is_said_not_to_be_reachable(settings: Settings) -> None:
    settings.LOCAL_ENDPOINT = False
    settings.SITE_URL = "http://127.0.0.1:8000"
    assert tunnel.reach().state == "no"
    assert "The sweep follows trainings all the same." in tunnel.reach().says
    settings.LOCAL_ENDPOINT = True
    assert tunnel.reach().state == "yes"


def test_a_public_name_that_does_not_answer_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LOCAL_ENDPOINT = False
    settings.SITE_URL = "http://studio.invalid"
    assert tunnel.reach().state == "no"
