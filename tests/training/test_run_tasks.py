"""The task queue as a process: killed parts of it don't stop the work."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
DO = """
import django; django.setup()
from django_q.tasks import async_task
async_task("pathlib.Path.touch", __import__("pathlib").Path("{file}"))
"""

SWEEP = """
import django; django.setup()
from django_q.tasks import async_task
from tests.factories import make_version
make_version(status="queued")
async_task("training.tasks.sweep")
"""


class Tasks:
    """``manage.py run_tasks`` on a database of its own."""

    def __init__(self, folder: Path, migrated: Path, stuck_after: int) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "actortrain_site.settings",
            "ENV_FILE": os.devnull,
            "VAR_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{shutil.copy(migrated, folder)}",
            "TASK_WORKERS": "2",
            "RUNPOD_API_KEY": "key",
            "RUNPOD_ENDPOINT_ID": "nowhere",
            "RUNPOD_BASE_URL": "http://127.0.0.1:9/v2",  # refuses: a training there stays as it is
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "manage.py", "run_tasks", f"--stuck-after={stuck_after}"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True)

    @property
    def sentinel(self) -> int:
        """The id of the process that guards the others; 0 while there is none."""
        return next((child.pid for child in psutil.Process(self.process.pid).children()), 0)

    def run(self, *command: str) -> None:
        subprocess.run([sys.executable, *command], cwd=ROOT, env=self.environment, check=True)

    def do(self, name: str) -> Path:
        """Has a task make a file."""
        file = self.folder / name
        self.run("-c", DO.format(file=file))
        return file

    def workers(self) -> list[psutil.Process]:
        """Those that take tasks: the sentinel starts them first, then two that carry tasks and results."""
        for sentinel in psutil.Process(self.process.pid).children():
            started = sorted(sentinel.children(), key=lambda child: child.pid)
            if len(started) == 4:
                return started[:2]
        return []


def wait_for(true: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def tasks(tmp_path: Path, migrated: Path, request: pytest.FixtureRequest) -> Iterator[Tasks]:
    running = Tasks(tmp_path, migrated, getattr(request, "param", 4))
    try:
        wait_for(lambda: len(running.workers()) == 2)
        wait_for(running.do("first").exists)
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has stopped, with all that it had started
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()


def test_killed_workers_that_take_the_queues_lock_along_do_not_stop_the_work(tasks: Tasks) -> None:
    before = tasks.sentinel
    for worker in tasks.workers():  # both wait for work, so one of them holds the lock
        worker.kill()
    tasks.do("second")
    wait_for(lambda: tasks.sentinel not in (0, before))
    # What the old cluster had taken comes back when it counts as lost; what is new is done at once.
    wait_for(tasks.do("third").exists)
    assert tasks.process.poll() is None


def test_a_killed_sentinel_is_replaced_and_a_stop_is_a_stop(tasks: Tasks) -> None:
    before = tasks.sentinel
    psutil.Process(before).kill()
    wait_for(lambda: tasks.sentinel not in (0, before) and len(tasks.workers()) == 2)
    wait_for(tasks.do("second").exists)
    tasks.process.terminate()
    assert tasks.process.wait(20) == 0


@pytest.mark.parametrize("tasks", [60], indirect=True)
def test_a_stop_in_the_middle_of_a_sweep_waits_for_no_one(tasks: Tasks) -> None:
    def holder() -> str:
        with sqlite3.connect(tasks.folder / "site.sqlite3") as database:
            row = database.execute("SELECT holder FROM training_lease WHERE name = 'sweep'").fetchone()
        return str(row[0] or "") if row else ""

    tasks.run("-c", SWEEP)
    wait_for(holder)
    time.sleep(2)  # only a sweep that has something to do goes on for so long
    assert holder()
    tasks.process.terminate()
    assert tasks.process.wait(20) == 0  # a sweep goes on for 40 s
    assert holder() == ""
