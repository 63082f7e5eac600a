"""The client against every habit and fault of the simulator, each by its name."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from safetensors import safe_open
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.broken_answers import serve_in_thread
from tests.endpoint_contract import webhook_receiver
from tests.runpod_simulator import Faults, Simulator
from training.runpod import (
    JobReport,
    JobState,
    NotFound,
    RateLimited,
    Rejected,
    RunPod,
    RunPodConfig,
    SubmissionNotSent,
    SubmissionUnknown,
    Unauthorized,
    Unavailable,
    UnknownState,
    parse_webhook,
    same_job,
)

BODY = {"input": {"training_config": {"model_name": "actor_7_V3", "max_train_steps": 100}}}
LONG = {"simulate": "hang"}


class Switchboard:
    """One server for all tests of this module, with a fresh simulator behind it for each."""

    app: ASGIApp
    address: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def switchboard() -> Iterator[Switchboard]:
    board = Switchboard()
    with serve_in_thread(board) as board.address:
        yield board


@pytest.fixture
def simulator(switchboard: Switchboard) -> Simulator:
    simulator = Simulator(seed=7, queue_seconds=1, train_seconds=4)
    simulator.url = f"{switchboard.address}/v2"
    switchboard.app = simulator.app()
    return simulator


def config(simulator: Simulator, **changes: Any) -> RunPodConfig:
    return replace(
        RunPodConfig(
            simulator.url,
            simulator.endpoint_id,
            simulator.api_key,
            connect_timeout=1,
            read_timeout=0.5,
            answer_timeout=0.5,
            retries=2,
            backoff=0.02,
            longest_wait=2,
        ),
        **changes,
    )


@pytest.fixture
def runpod(simulator: Simulator) -> Iterator[RunPod]:
    with RunPod(config(simulator)) as runpod:
        yield runpod


def wait(read: Callable[[], JobReport], *states: JobState) -> JobReport:
    deadline = time.monotonic() + 5
    while (report := read()).state not in states:
        assert time.monotonic() < deadline, report
        time.sleep(0.01)
    return report


def finished(runpod: RunPod, job_id: str) -> JobReport:
    final = [state for state in JobState if state.is_final]
    return wait(lambda: runpod.status(job_id), *final)


# A good day


def test_a_job_goes_from_the_queue_to_its_lora(simulator: Simulator, runpod: RunPod) -> None:
    submitted = runpod.run(BODY)
    assert submitted.state == JobState.IN_QUEUE
    report = finished(runpod, submitted.id)
    assert report.state == JobState.COMPLETED
    assert report.lora_url == "https://s3-accelerate.amazonaws.com/studio-loras/actor_7_V3.safetensors"
    assert report.lora_name == "actor_7_V3.safetensors"
    assert report.lora_bytes is not None
    assert report.delay_ms is not None
    assert report.execution_ms is not None
    assert report.execution_ms >= 4000
    assert simulator.accepted == 1


def test_progress_is_read_while_it_trains(simulator: Simulator, runpod: RunPod) -> None:
    simulator.train_seconds = 60
    job_id = runpod.run(BODY).id
    wait(lambda: runpod.status(job_id), JobState.IN_PROGRESS)
    time.sleep(0.1)
    progress = runpod.status(job_id).progress
    assert progress is not None
    assert progress.stage == "training"
    assert progress.total_steps == 100
    assert progress.step is not None
    assert 0 < progress.step < 100
    assert progress.loss_history


def test_the_lora_is_uploaded_where_the_payload_says(
    simulator: Simulator, runpod: RunPod, tmp_path: Any
) -> None:
    received: list[bytes] = []

    class Store(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    store = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    put_url = f"http://127.0.0.1:{store.server_port}/loras/v3?signed=1"
    upload = {"lora": {"put_url": put_url, "url": "https://studio.example/loras/v3"}}
    job_id = runpod.run({"input": {"training_config": {"model_name": "actor_7_V3", "uploads": upload}}}).id
    report = finished(runpod, job_id)
    store.shutdown()
    store.server_close()
    assert report.lora_url == "https://studio.example/loras/v3"
    assert len(received) == 1
    path = tmp_path / "lora.safetensors"
    path.write_bytes(received[0])
    with safe_open(path, "numpy") as lora:
        assert lora.metadata() == {"name": "actor_7_V3"}


def test_a_store_that_takes_no_upload_fails_the_job(simulator: Simulator, runpod: RunPod) -> None:
    upload = {"lora": {"put_url": "http://127.0.0.1:9/closed", "url": "https://studio.example/loras/v3"}}
    report = finished(runpod, runpod.run({"input": {"training_config": {"uploads": upload}}}).id)
    assert report.state == JobState.FAILED
    assert report.error is not None
    assert "could not be stored" in report.error


def test_health_says_who_can_work(runpod: RunPod) -> None:
    health = runpod.health()
    assert health.can_work
    assert health.jobs["inQueue"] == 0


# Keys, limits and the wrong address


def test_wrong_key(simulator: Simulator) -> None:
    with RunPod(config(simulator, api_key="wrong")) as runpod:
        for call in (lambda: runpod.run(BODY), lambda: runpod.status("x"), runpod.health):
            with pytest.raises(Unauthorized, match="RUNPOD_API_KEY"):
                call()
    assert simulator.accepted == 0


def test_wrong_endpoint(simulator: Simulator) -> None:
    with RunPod(config(simulator, endpoint_id="another")) as runpod, pytest.raises(NotFound, match="another"):
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


@pytest.mark.parametrize("kind", ["hang_up", "503", "html"])
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
        RunPod(config(simulator, base_url="http://127.0.0.1:9/v2")) as runpod,
        pytest.raises(SubmissionNotSent, match="no connection"),
    ):
        runpod.run(BODY)


def test_a_name_that_does_not_exist_surely_got_nothing(simulator: Simulator) -> None:
    with (
        RunPod(config(simulator, base_url="http://runpod.invalid/v2")) as runpod,
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


# Ids, registration and forgetting


def test_late_registration_is_404_at_first(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(register_seconds=20)
    job_id = runpod.run(BODY).id
    with pytest.raises(NotFound):
        runpod.status(job_id)
    time.sleep(0.25)
    assert runpod.status(job_id).id == job_id


def test_e1_suffix_is_missing_in_the_webhook(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(id_suffix="-e1")
    with webhook_receiver() as receiver:
        job_id = runpod.run({**BODY, "webhook": receiver.url}).id
        (body,) = receiver.wait(1)
    assert job_id.endswith("-e1")
    assert body["id"] == job_id.removesuffix("-e1")
    assert same_job(parse_webhook(json.dumps(body).encode()).id, job_id)
    assert runpod.status(body["id"]).id == job_id


def test_results_are_gone_after_30_minutes(simulator: Simulator, runpod: RunPod) -> None:
    simulator.kept_seconds = 10
    job_id = runpod.run(BODY).id
    finished(runpod, job_id)
    time.sleep(0.15)
    with pytest.raises(NotFound):
        runpod.status(job_id)


def test_a_job_past_its_ttl_vanishes_while_it_runs(simulator: Simulator, runpod: RunPod) -> None:
    job_id = runpod.run({"input": LONG, "policy": {"executionTimeout": 900_000, "ttl": 10_000}}).id
    wait(lambda: runpod.status(job_id), JobState.IN_PROGRESS)
    time.sleep(0.15)
    with pytest.raises(NotFound):
        runpod.status(job_id)


# Webhooks


def test_lost_webhook_leaves_the_status(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(webhook="lost")
    with webhook_receiver() as receiver:
        report = finished(runpod, runpod.run({**BODY, "webhook": receiver.url}).id)
        time.sleep(0.1)
    assert report.state == JobState.COMPLETED
    assert receiver.bodies == []


def test_triple_webhook_says_the_same_three_times(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(webhook="triple")
    with webhook_receiver() as receiver:
        runpod.run({**BODY, "webhook": receiver.url})
        one, two, three = receiver.wait(3)
    assert one == two == three


def test_a_webhook_that_is_refused_comes_again_and_stops_at_three(
    simulator: Simulator, runpod: RunPod
) -> None:
    with webhook_receiver(500) as receiver:
        runpod.run({**BODY, "webhook": receiver.url})
        receiver.wait(3)
        time.sleep(0.25)
    assert len(receiver.bodies) == 3


# How jobs end and what they say on the way


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT])
def test_other_ends_carry_no_lora(simulator: Simulator, runpod: RunPod, state: JobState) -> None:
    simulator.faults = Faults(outcome=state)
    report = finished(runpod, runpod.run(BODY).id)
    assert report.state == state
    assert report.lora_url is None
    assert bool(report.error) == (state == JobState.FAILED)


def test_a_job_over_its_execution_timeout_is_timed_out(simulator: Simulator, runpod: RunPod) -> None:
    job_id = runpod.run({**BODY, "policy": {"executionTimeout": 2_000, "ttl": 900_000}}).id
    assert finished(runpod, job_id).state == JobState.TIMED_OUT


def test_worker_retries_reset_delay_time(simulator: Simulator, runpod: RunPod) -> None:
    simulator.queue_seconds, simulator.train_seconds = 10, 20
    simulator.faults = Faults(worker_retries=1)
    job_id = runpod.run(BODY).id
    first = wait(lambda: runpod.status(job_id), JobState.IN_PROGRESS)
    wait(lambda: runpod.status(job_id), JobState.IN_QUEUE)
    last = finished(runpod, job_id)
    assert (first.retries, last.retries) == (0, 1)
    assert first.worker_id != last.worker_id
    # It counts the last wait only: 10 of the 30 seconds that the job had not been training.
    assert last.delay_ms is not None
    assert last.delay_ms < 18_000


def test_progress_out_of_order_is_reported_as_it_comes(simulator: Simulator, runpod: RunPod) -> None:
    simulator.train_seconds = 40
    simulator.faults = Faults(progress="out_of_order")
    job_id = runpod.run(BODY).id
    steps: list[int] = []
    while (report := runpod.status(job_id)).state != JobState.COMPLETED:
        if report.progress and report.progress.step is not None:
            steps.append(report.progress.step)
    assert steps != sorted(steps)


def test_a_container_that_only_says_in_progress_has_no_progress(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(progress="none")
    job_id = runpod.run(BODY).id
    report = wait(lambda: runpod.status(job_id), JobState.IN_PROGRESS)
    assert report.output is None
    assert report.progress is None
    assert finished(runpod, job_id).lora_url


def test_malformed_progress_loses_only_its_bad_parts(simulator: Simulator, runpod: RunPod) -> None:
    simulator.faults = Faults(progress="malformed")
    job_id = runpod.run(BODY).id
    report = wait(lambda: runpod.status(job_id), JobState.IN_PROGRESS)
    assert report.progress is not None
    assert report.progress.stage == "training"
    assert report.progress.step is None
    assert len(report.notes) == 3


# Broken answers to reads


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
    with RunPod(config(simulator, retries=0)) as runpod, pytest.raises(Unavailable, match="timed out"):
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


# Many at once


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
    with RunPod(config(simulator, api_key="wrong")) as runpod:
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


# The simulator's own switches


def test_faults_are_switched_and_counted_over_http(simulator: Simulator) -> None:
    control = simulator.url.removesuffix("/v2") + "/_control"
    httpx.post(control, json={"outcome": "FAILED"}).raise_for_status()
    with RunPod(config(simulator)) as runpod:
        finished(runpod, runpod.run(BODY).id)
    seen = httpx.get(control).json()
    assert seen["accepted"] == 1
    assert [job["state"] for job in seen["jobs"].values()] == ["FAILED"]
    assert httpx.post(control, json={"gremlins": True}).status_code == 400


def test_the_same_seed_gives_the_same_faults() -> None:
    def pattern() -> list[bool]:
        simulator = Simulator(seed=5)
        simulator.faults = Faults(broken={"health": "503"}, broken_share=0.5)
        with simulator.serve():
            url, key = f"{simulator.url}/{simulator.endpoint_id}/health", simulator.api_key
            with httpx.Client(headers={"Authorization": f"Bearer {key}"}) as client:
                return [client.get(url).is_success for _ in range(20)]

    assert pattern() == pattern()
