"""The local endpoint loses nothing when it is killed, and starts and stops as a service should."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.endpoint_contract import webhook_receiver
from tests.worker.processes import KEY, ROOT, Endpoint, eventually, running_endpoint, running_worker


def kill(endpoint: Endpoint) -> int:
    """SIGKILL; the port it had."""
    endpoint.process.kill()
    endpoint.process.wait()
    return int(endpoint.base_url.split(":")[2].split("/")[0])


def is_waiting(site: httpx.Client, job_id: str) -> bool:
    return bool(site.get(f"/status/{job_id}").json()["status"] == "IN_QUEUE")


def test_queue_running_job_and_results_survive_sigkill(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with running_endpoint(state) as endpoint, endpoint.client() as site:
        done, running, *waiting = [site.post("/run", json={"input": {"n": n}}).json()["id"] for n in range(4)]
        other, worker = endpoint.worker("other"), endpoint.worker("a")
        assert other.take() is not None
        other.send(done, {"output": {"loraUrl": "x"}})
        assert worker.take() is not None
        worker.send(running, {"status": "IN_PROGRESS", "output": {"step": 7}})
        port = kill(endpoint)
    with running_endpoint(state, port=port) as endpoint, endpoint.client() as site:
        assert site.get(f"/status/{done}").json()["output"] == {"loraUrl": "x"}
        assert site.get(f"/status/{running}").json()["output"] == {"step": 7}
        worker = endpoint.worker("a")
        worker.ping(running)
        worker.send(running, {"output": "finished"})
        assert site.get(f"/status/{running}").json()["status"] == "COMPLETED"
        taken = [endpoint.worker(name).take() for name in "bc"]
        assert [job["id"] for job in taken if job] == waiting


def test_a_worker_that_died_while_the_endpoint_was_down_is_noticed(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with running_endpoint(state) as endpoint, endpoint.client() as site:
        job_id = site.post("/run", json={"input": {}}).json()["id"]
        endpoint.worker("a").take()
        kill(endpoint)
    with running_endpoint(state, "--ping-timeout", "0.5") as endpoint, endpoint.client() as site:
        assert site.get(f"/status/{job_id}").json()["status"] == "IN_PROGRESS"
        eventually(partial(is_waiting, site, job_id), "it goes back")


def test_stopping_everything_by_hand_again_and_again_fails_no_job(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with running_endpoint(state) as endpoint, endpoint.client() as site:
        job_id = site.post("/run", json={"input": {}}).json()["id"]
        endpoint.worker("a").take()
    for _ in range(3):
        with running_endpoint(state, "--ping-timeout", "0.5") as endpoint, endpoint.client() as site:
            eventually(partial(is_waiting, site, job_id), "it goes back")
            assert endpoint.worker("a").take() is not None


def test_a_webhook_that_was_due_is_called_after_the_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with webhook_receiver(500, 200) as receiver:
        with running_endpoint(state, "--webhook-interval", "1") as endpoint, endpoint.client() as site:
            job_id = site.post("/run", json={"input": {}, "webhook": receiver.url}).json()["id"]
            endpoint.worker("a").take()
            endpoint.worker("a").send(job_id, {"output": 1})
            receiver.wait(1)
            time.sleep(0.2)  # the answer's outcome is written
            kill(endpoint)
        with running_endpoint(state):
            assert [body["id"] for body in receiver.wait(2)] == [job_id, job_id]


def test_an_sdk_worker_goes_on_after_the_endpoint_was_killed(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with (
        running_endpoint(state) as endpoint,
        endpoint.client() as site,
        running_worker(endpoint.base_url, tmp_path / "worker"),
    ):
        job_id = site.post("/run", json={"input": {"do": "hang"}}).json()["id"]
        eventually(lambda: "output" in site.get(f"/status/{job_id}").json(), "progress")
        port = kill(endpoint)
        with running_endpoint(state, port=port) as again, again.client() as site_again:
            assert site_again.get(f"/status/{job_id}").json()["status"] == "IN_PROGRESS"
            site_again.post(f"/cancel/{job_id}")
            next_id = site_again.post("/run", json={"input": {"do": "succeed"}}).json()["id"]
            eventually(
                lambda: site_again.get(f"/status/{next_id}").json()["status"] == "COMPLETED",
                "the worker stopped the cancelled job and took the next",
            )


def test_sigterm_ends_it_at_once_even_with_open_questions(tmp_path: Path) -> None:
    with running_endpoint(tmp_path / "state.sqlite3", "--long-poll", "30") as endpoint:
        worker = endpoint.worker("a")
        asking = threading.Thread(target=worker.take)
        asking.start()
        time.sleep(0.3)
        started = time.monotonic()
        endpoint.process.send_signal(signal.SIGTERM)
        assert endpoint.process.wait(10) == 0
        assert time.monotonic() - started < 4
        asking.join()


def start(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The endpoint with options that it cannot serve with."""
    clean = {name: value for name, value in os.environ.items() if name != "ACTORTRAIN_ENDPOINT_KEY"}
    command = [sys.executable, "-m", "worker.endpoint", *options]
    return subprocess.run(
        command, cwd=ROOT, env=clean | env, capture_output=True, text=True, timeout=20, check=False
    )


def test_without_a_key_it_does_not_start() -> None:
    result = start("--port", "0")
    assert result.returncode == 2
    assert result.stderr == "endpoint: no API key. Set ACTORTRAIN_ENDPOINT_KEY.\n"


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = start("--port", port, "--state", str(tmp_path / "s"), ACTORTRAIN_ENDPOINT_KEY=KEY)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert port in result.stderr


@pytest.mark.parametrize(
    "content", [b"this is no database, but a text of some length", b"SQLite format 3\0" + b"x" * 100]
)
def test_a_broken_state_file_is_one_clear_line_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    state = tmp_path / "state.sqlite3"
    state.write_bytes(content)
    result = start("--port", "0", "--state", str(state), ACTORTRAIN_ENDPOINT_KEY=KEY)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "Move it away" in result.stderr
    assert state.read_bytes() == content


def test_the_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with running_endpoint(state):
        assert state.stat().st_mode & 0o077 == 0
        assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())
