"""The shortened run: a batch under kills, and the same judgement."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_actor_is_trained_twice_however_often_the_task_queue_is_killed() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.batch", "--kills", "6", "--actors", "9", "--seed", "3"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "ACTORTRAIN_TEST_DATABASE_URL"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]
    assert ran.stdout.endswith("Every promise holds.\n")
