"""Broken answers to reads: what passes is retried, what lasts has a meaning."""

from __future__ import annotations

import time

import pytest

from tests.runpod_simulator import Faults, Simulator
from tests.training.faults.patience import BODY, hasty
from training.runpod import RunPod, Unavailable, UnknownState


@pytest.mark.parametrize("kind", ["500", "502", "503", "html_502", "cut", "hang_up"])
def test_a_passing_trouble_is_retried(simulator: Simulator, runpod: RunPod, kind: str) -> None:
    job_id = runpod.run(BODY).id
    simulator.faults = Faults(broken={"status": kind}, broken_times=2)
    assert runpod.status(job_id).id == job_id
    assert simulator.calls["status"] == 3


@pytest.mark.parametrize("kind", ["500", "503", "cut", "hang_up", "html", "html_404"])
def test_a_lasting_trouble_is_unavailable_and_never_not_found(
    simulator: Simulator, runpod: RunPod, kind: str
) -> None:
    job_id = runpod.run(BODY).id
    simulator.faults = Faults(broken={"status": kind})
    with pytest.raises(Unavailable):
        runpod.status(job_id)


@pytest.mark.parametrize("kind", ["drip", "silent"])
def test_slow_drips_and_silence_end_in_time(simulator: Simulator, kind: str) -> None:
    simulator.faults = Faults(broken={"status": kind})
    before = time.monotonic()
    with RunPod(hasty(simulator, retries=0)) as runpod, pytest.raises(Unavailable, match="timed out"):
        runpod.status("any")
    assert time.monotonic() - before < 1.5


def test_unknown_state(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(broken={"status": "unknown_state"})
    with pytest.raises(UnknownState, match="HIBERNATING"):
        runpod.status("any")


def test_an_answer_about_another_job_is_not_believed(simulator: Simulator, runpod: RunPod) -> None:
    real = runpod.run(BODY).id
    simulator.jobs["other"] = simulator.jobs[real]
    with pytest.raises(Unavailable, match="answered about"):
        runpod.status("other")
