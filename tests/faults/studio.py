"""All processes of one ActorTrain, each in a group of its own that SIGKILL ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
KEY = "simulator-key"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Studio:
    """Web, tasks and the endpoint's front can be killed; the jobs of the endpoint live behind the front."""

    def __init__(self, room: Path, database_url: str, seed: int) -> None:
        self.room = room
        self.web, self.front, self.simulator = free_port(), free_port(), free_port()
        self.seed = seed
        self.environment = {
            "ENV_FILE": os.devnull,
            "VAR_DIR": str(room),
            "SECRET_KEY": "only for fault tests, and long enough for every signature",
            "DATABASE_URL": database_url,
            "PUBLIC_URL": f"http://127.0.0.1:{self.web}",
            "RUNPOD_API_KEY": KEY,
            "RUNPOD_ENDPOINT_ID": "simulated",
            "RUNPOD_BASE_URL": f"http://127.0.0.1:{self.front}/v2",
            "BASE_MODEL": "embedded",
            "TASK_WORKERS": "2",
            "DECIDE_AFTER_SECONDS": "8",
            "DJANGO_SETTINGS_MODULE": "actortrain_site.settings",
            "LOG_LEVEL": "WARNING",
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def commands(self) -> dict[str, list[str]]:
        web = "gunicorn actortrain_site.wsgi --worker-class gthread --threads 4 --no-control-socket"
        sites = ["-m", *web.split(), "--bind", f"127.0.0.1:{self.web}"]
        times = ["--speed", "20", "--queue", "20", "--train", "60", "--seed", str(self.seed)]
        return {
            "simulator": ["-m", "tests.runpod_simulator", "--port", str(self.simulator), *times],
            "front": ["-m", "tests.faults.front", str(self.front), str(self.simulator), str(self.seed)],
            "web": sites,
            "tasks": ["manage.py", "run_tasks"],
        }

    def start(self, *names: str) -> None:
        for name in names or self.commands():
            with (self.room / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [sys.executable, *self.commands()[name]],
                    cwd=ROOT,
                    env=os.environ | self.environment,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )

    def kill(self, name: str) -> None:
        """The process and everything it has started, at once and without a word."""
        child = self._running.pop(name, None)
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def owns(self, name: str, process: int) -> bool:
        """Whether a process belongs to this group."""
        with contextlib.suppress(ProcessLookupError):
            return os.getpgid(process) == self._running[name].pid
        return False

    def stop(self) -> None:
        for name in list(self._running):
            self.kill(name)

    def wait_for_web(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{self.web}/actors.json", timeout=5).status_code < 500:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"the site does not come up: {(self.room / 'web.log').read_text()[-2000:]}")

    def control(self, **faults: Any) -> dict[str, Any]:
        """The simulator's counts and jobs; with faults, sets them."""
        url = f"http://127.0.0.1:{self.simulator}/_control"
        answer = httpx.post(url, json=faults, timeout=10) if faults else httpx.get(url, timeout=10)
        return dict(answer.raise_for_status().json())
