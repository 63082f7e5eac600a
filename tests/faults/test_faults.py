"""The shortened fault run: a few kills of everything, and the same judgement."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_training_ends_with_the_truth_whatever_is_killed() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.run", "--rounds", "5", "--actors", "3", "--seed", "7"],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "ACTORTRAIN_TEST_DATABASE_URL"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]
    assert ran.stdout.endswith("Every promise holds.\n")
