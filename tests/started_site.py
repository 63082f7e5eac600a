"""The whole site, started as a person starts it: a real process with real children on free ports."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.s3_server import free_port

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Site:
    """One start, its output in a file, and the files it works on."""

    process: subprocess.Popen[bytes]
    log: Path
    var: Path
    port: int

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, words: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.output:
            assert self.process.poll() is None, f"it stopped before it said {words!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"it did not say {words!r}:\n{self.output}"
            time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 10) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def pid_of(self, name: str) -> int:
        found = re.search(rf"{name} started \(pid=(\d+)\)", self.output)
        assert found, self.output
        return int(found[1])

    def wait_until_gone(self) -> None:
        deadline = time.monotonic() + 15
        while left := self.left_behind():
            assert time.monotonic() < deadline, left
            time.sleep(0.2)

    def left_behind(self) -> list[str]:
        """Command lines of every process that still works on the site's files."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("VAR_DIR") == str(self.var):
                    found.append(" ".join(process.cmdline()))
        return found


def start(folder: Path, name: str, **variables: str) -> Site:
    port, endpoint_port = free_port(), free_port()
    environment = os.environ | {
        "VAR_DIR": str(folder / "var"),
        "DATABASE_URL": f"sqlite:///{folder / 'var' / 'site.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "actortrain_site.settings",
        "LOCAL_ENDPOINT_URL": f"http://127.0.0.1:{endpoint_port}",
        "ACTORTRAIN_ADMIN_PASSWORD": "",
    }
    log = folder / f"{name}.log"
    command = [sys.executable, "-m", "actortrain_site.start", "--port", str(port), "--no-training"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment | variables, stdout=output, stderr=subprocess.STDOUT
        )
    return Site(process, log, folder / "var", port)


@contextlib.contextmanager
def started(folder: Path, name: str, patience: float = 90, **variables: str) -> Iterator[Site]:
    """A running site within so many seconds; whatever happens inside, nothing of it is left behind."""
    site = start(folder, name, **variables)
    try:
        site.wait_for("ActorTrain is running", patience)
        yield site
    finally:
        site.process.kill()
        site.process.wait()
        site.wait_until_gone()
