"""What a first start makes before it runs anything, once for all test processes: to be copied.

Migrating takes four seconds of a core and collecting static files eight, and a dozen tests start processes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MIGRATE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
"""
COLLECT = """
import django; django.setup()
from actortrain_site import preparation
preparation.collect_static()
"""


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that one test process makes, while the others wait for it."""
    room = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        room = room.parent  # of this run, and of all its processes
    made, making = room / name, room / f"{name} in the making"
    with (room / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            make(making)
            making.rename(made)
    return made


def run(code: str, folder: Path) -> None:
    """With the site's own settings, on the files of this folder."""
    variables = {
        "DJANGO_SETTINGS_MODULE": "actortrain_site.settings",
        "VAR_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'site.sqlite3'}",
    }
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | variables, check=True)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with all tables."""
    return once(tmp_path_factory, "migrated", lambda folder: run(MIGRATE, folder)) / "site.sqlite3"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Path:
    """A ``VAR_DIR`` with that database, and with static files."""

    def prepare(folder: Path) -> None:
        shutil.copy(migrated, folder)
        run(COLLECT, folder)

    return once(tmp_path_factory, "prepared", prepare)
