"""Starts the real endpoint and real SDK workers as processes, and waits for what they do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).resolve().parents[2]
KEY = "a key for tests"
Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], what: str, seconds: float = 20) -> Found:
    """The first truthy answer of ``look``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass
class Endpoint:
    """A running endpoint."""

    process: subprocess.Popen[str]
    base_url: str
    state: Path
    submitted: list[str] = field(default_factory=list)

    @property
    def worker_url(self) -> str:
        """Base of the workers' side."""
        return self.base_url.replace("/v2/", "/w/")

    def client(self, key: str = KEY) -> httpx.Client:
        """For the site's side."""
        return httpx.Client(base_url=self.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=20)

    def worker(self, worker_id: str) -> Worker:
        """A worker played by the test, call by call, as the SDK would make them."""
        client = httpx.Client(base_url=self.worker_url, headers={"Authorization": KEY}, timeout=20)
        return Worker(client, worker_id)


@dataclass
class Worker:
    """The SDK's requests, without the SDK."""

    client: httpx.Client
    id: str

    def take(self, *, in_hand: int = 0) -> dict[str, Any] | None:
        """One question for a job."""
        response = self.client.get(f"/job-take/{self.id}?gpu=none&job_in_progress={in_hand}")
        assert response.status_code in (200, 204)
        return response.json() if response.status_code == 200 else None

    def send(self, job_id: str, body: Any) -> httpx.Response:
        """Progress or a result, with the SDK's wrong content type."""
        content = (
            body if isinstance(body, str | bytes) else httpx.Request("POST", "http://x", json=body).content
        )
        return self.client.post(
            f"/job-done/{self.id}/{job_id}?gpu=none&isStream=false",
            content=content,
            headers={"content-type": "application/x-www-form-urlencoded"},
        )

    def ping(self, *job_ids: str) -> None:
        """A heartbeat with the jobs in hand."""
        params = {"runpod_version": "1.12.0"} | ({"job_id": ",".join(job_ids)} if job_ids else {})
        assert self.client.get(f"/ping/{self.id}", params=params).status_code == 200

    def stops(self) -> list[str]:
        """One question for jobs to stop."""
        response = self.client.get(f"/job-stop/{self.id}?gpu=none")
        return list(response.json()["jobsToStop"]) if response.status_code == 200 else []


@contextlib.contextmanager
def running_endpoint(state: Path, *options: str, port: int = 0) -> Iterator[Endpoint]:
    """The endpoint, ready; stopped by SIGTERM in the end, unless it is gone already."""
    defaults = "--long-poll 1 --tick 0.1 --ping-timeout 20 --webhook-interval 0.2".split()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "worker.endpoint",
            "--port",
            str(port),
            "--state",
            str(state),
            *defaults,
            *options,
        ],
        cwd=ROOT,
        env=os.environ | {"ACTORTRAIN_ENDPOINT_KEY": KEY},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("endpoint ready on "), line
        yield Endpoint(process, line.split()[-1], state)
    finally:
        stop(process)


@contextlib.contextmanager
def running_worker(
    base_url: str, work_dir: Path, *options: str, module: str = "tests.worker.echo_handler", **env: str
) -> Iterator[subprocess.Popen[str]]:
    """An SDK worker on the endpoint; its output goes to ``worker.log`` in ``work_dir``."""
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / "worker.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.local_worker", "--endpoint-url", base_url, "--module", module,
             "--work-dir", str(work_dir), "--ping-ms", "1000", *options],
            cwd=ROOT,
            env=os.environ | {"ACTORTRAIN_ENDPOINT_KEY": KEY} | env,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    """SIGTERM, and SIGKILL for what does not leave."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family_of(pid: int) -> list[int]:
    """The processes that ``pid`` has started, and theirs (Linux)."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [descendant for child in children for descendant in family_of(child)]


def gone(pids: list[int]) -> bool:
    """None of them runs; a zombie that nobody has collected does not count."""
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                return False
    return True
