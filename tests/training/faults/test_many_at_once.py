"""The look at many jobs that a sweep takes."""

from __future__ import annotations

import time

from tests.runpod_simulator import Faults, Simulator
from tests.training.faults.patience import LONG, hasty
from training.runpod import JobReport, NotFound, RateLimited, RunPod, Unauthorized, Unavailable


def test_statuses_brings_each_job_its_own_report_or_reason(simulator: Simulator, runpod: RunPod) -> None:
    ids = [runpod.run({"input": LONG}).id for _ in range(30)]
    found = runpod.statuses([*ids, "unknown-1"])
    assert list(found) == [*ids, "unknown-1"]
    for job_id in ids:
        report = found[job_id]
        assert isinstance(report, JobReport)
        assert report.id == job_id
    assert isinstance(found["unknown-1"], NotFound)


def test_statuses_of_nothing_is_nothing(runpod: RunPod) -> None:
    assert runpod.statuses([]) == {}


def test_statuses_works_round_after_round(simulator: Simulator, runpod: RunPod) -> None:
    job_id = runpod.run({"input": LONG}).id
    for _ in range(3):
        assert isinstance(runpod.statuses([job_id])[job_id], JobReport)


def test_a_429_ends_the_round_for_all(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(broken={"status": "429"}, retry_after="4")
    found = runpod.statuses([f"job-{number}" for number in range(200)], concurrency=10)
    assert all(isinstance(each, RateLimited) and each.retry_after == 4 for each in found.values())
    assert simulator.calls["status"] <= 20


def test_a_wrong_key_ends_the_round_for_all(simulator: Simulator) -> None:
    with RunPod(hasty(simulator, api_key="wrong")) as runpod:
        found = runpod.statuses([f"job-{number}" for number in range(200)], concurrency=10)
    assert all(isinstance(each, Unauthorized) for each in found.values())
    assert simulator.calls["status"] <= 20


def test_a_silent_endpoint_cannot_hold_a_round(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(broken={"status": "silent"})
    before = time.monotonic()
    found = runpod.statuses([f"job-{number}" for number in range(100)], concurrency=10, deadline=1)
    assert all(isinstance(each, Unavailable) for each in found.values())
    assert time.monotonic() - before < 2


def test_troubles_of_some_leave_the_others_alone(simulator: Simulator, runpod: RunPod) -> None:
    ids = [runpod.run({"input": LONG}).id for _ in range(60)]
    simulator.faults = Faults(broken={"status": "503"}, broken_share=0.3)
    found = runpod.statuses(ids, concurrency=10)
    troubles = [each for each in found.values() if isinstance(each, Unavailable)]
    assert len(troubles) == simulator.broken["status"]
    assert 5 < len(troubles) < 40


def test_statuses_keeps_to_the_rate(simulator: Simulator, runpod: RunPod) -> None:
    ids = [runpod.run({"input": LONG}).id for _ in range(30)]
    before = time.monotonic()
    runpod.statuses(ids, per_second=50)
    assert time.monotonic() - before >= 29 / 50
