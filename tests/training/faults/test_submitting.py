"""A job is sent once, whatever happens to the answer."""

from __future__ import annotations

import json
import time

import pytest

from tests.endpoint_contract import webhook_receiver
from tests.runpod_simulator import Faults, Simulator
from tests.training.faults.patience import BODY, LONG, finished, hasty
from training.runpod import (
    JobState,
    NotFound,
    RateLimited,
    Rejected,
    RunPod,
    SubmissionNotSent,
    SubmissionUnknown,
    Unauthorized,
    parse_webhook,
)

# Keys, limits and the wrong address


def test_wrong_key(simulator: Simulator) -> None:
    with RunPod(hasty(simulator, api_key="wrong")) as runpod:
        for call in (lambda: runpod.run(BODY), lambda: runpod.status("x"), runpod.health):
            with pytest.raises(Unauthorized, match="RUNPOD_API_KEY"):
                call()
    assert simulator.accepted == 0


def test_wrong_endpoint(simulator: Simulator) -> None:
    with RunPod(hasty(simulator, endpoint_id="another")) as runpod, pytest.raises(NotFound, match="another"):
        runpod.run(BODY)


def test_429_window_is_sat_out_when_reading(simulator: Simulator, runpod: RunPod) -> None:
    job_id = runpod.run(BODY).id
    simulator.faults = Faults(broken={"status": "429"}, broken_times=1, retry_after="1")
    before = time.monotonic()
    assert runpod.status(job_id).id == job_id
    assert time.monotonic() - before >= 1
    assert simulator.calls["status"] == 2


def test_429_with_a_long_retry_after_is_reported_at_once(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(broken={"status": "429"}, retry_after="60")
    with pytest.raises(RateLimited) as caught:
        runpod.status("any")
    assert caught.value.retry_after == 60
    assert simulator.calls["status"] == 1


def test_429_on_run_is_not_repeated(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(broken={"run": "429"}, retry_after="3")
    with pytest.raises(RateLimited) as caught:
        runpod.run(BODY)
    assert caught.value.retry_after == 3
    assert simulator.calls["run"] == 1


# Submitting: sent once, whatever happens


@pytest.mark.parametrize("kind", ["hang_up", "silent", "cut", "drip", "html", "500", "503", "html_502"])
def test_answer_of_run_lost_after_acceptance(simulator: Simulator, runpod: RunPod, kind: str) -> None:
    simulator.faults = Faults(accepted_answer=kind)
    with pytest.raises(SubmissionUnknown, match="may have been accepted"):
        runpod.run(BODY)
    assert simulator.accepted == 1
    assert simulator.calls["run"] == 1


@pytest.mark.parametrize("kind", ["hang_up", "503", "html", "html_404"])
def test_a_run_that_breaks_before_acceptance_looks_the_same(
    simulator: Simulator, runpod: RunPod, kind: str
) -> None:
    simulator.faults = Faults(broken={"run": kind})
    with pytest.raises(SubmissionUnknown):
        runpod.run(BODY)
    assert simulator.calls["run"] == 1
    assert simulator.accepted == 0


def test_an_endpoint_that_is_down_surely_got_nothing(simulator: Simulator) -> None:
    with (
        RunPod(hasty(simulator, base_url="http://127.0.0.1:9/v2")) as runpod,
        pytest.raises(SubmissionNotSent, match="no connection"),
    ):
        runpod.run(BODY)


def test_a_name_that_does_not_exist_surely_got_nothing(simulator: Simulator) -> None:
    with (
        RunPod(hasty(simulator, base_url="http://runpod.invalid/v2")) as runpod,
        pytest.raises(SubmissionNotSent),
    ):
        runpod.run(BODY)


def test_a_run_without_input_is_rejected_with_the_reason(runpod: RunPod) -> None:
    with pytest.raises(Rejected, match="input"):
        runpod.run({})


def test_a_body_over_10_mb_is_rejected_before_it_is_sent(simulator: Simulator, runpod: RunPod) -> None:
    with pytest.raises(Rejected, match="10 MB"):
        runpod.run({"input": {"padding": "x" * 10_000_001}})
    assert simulator.calls["run"] == 0


def test_the_webhook_may_come_before_the_answer_of_run(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(webhook="before_answer")
    with webhook_receiver() as receiver:
        job_id = runpod.run({**BODY, "webhook": receiver.url}).id
        assert [body["id"] for body in receiver.bodies] == [job_id]
        assert parse_webhook(json.dumps(receiver.bodies[0]).encode()).state == JobState.COMPLETED


# Cancel and retry


def test_cancel_is_repeated_through_trouble_and_cancels_once(simulator: Simulator, runpod: RunPod) -> None:
    job_id = runpod.run({"input": LONG}).id
    simulator.faults = Faults(broken={"cancel": "503"}, broken_times=1)
    assert runpod.cancel(job_id).state == JobState.CANCELLED
    assert runpod.cancel(job_id).state == JobState.CANCELLED


def test_cancelling_what_is_over_tells_how_it_ended(simulator: Simulator, runpod: RunPod) -> None:
    job_id = runpod.run(BODY).id
    finished(runpod, job_id)
    assert runpod.cancel(job_id).state == JobState.COMPLETED


def test_retry_costs_like_run_and_is_sent_once(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(outcome="FAILED")
    job_id = runpod.run(BODY).id
    finished(runpod, job_id)
    simulator.faults = Faults(broken={"retry": "503"})
    with pytest.raises(SubmissionUnknown):
        runpod.retry(job_id)
    assert simulator.calls["retry"] == 1
    simulator.faults = Faults()
    assert runpod.retry(job_id).state == JobState.IN_QUEUE
    assert finished(runpod, job_id).state == JobState.COMPLETED
    assert simulator.accepted == 2
