"""The shortened run: a batch under kills, and the same judgement."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_actor_is_trained_twice_however_often_the_task_queue_is_killed(
    tmp_path: Path, migrated: Path
) -> None:
    database = shutil.copy(migrated, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.batch", "--kills", "6", "--actors", "9", "--seed", "3"],
        cwd=ROOT,
        env=os.environ | {"ACTORTRAIN_TEST_DATABASE_URL": f"sqlite:///{database}"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]
    assert ran.stdout.endswith("Every promise holds.\n")
