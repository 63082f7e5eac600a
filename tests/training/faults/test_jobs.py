"""How jobs live, end, call back and are forgotten, and what the client makes of it."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from safetensors import safe_open

from tests.endpoint_contract import webhook_receiver
from tests.runpod_simulator import Faults, Simulator
from tests.training.faults.patience import BODY, LONG, finished, wait
from training.runpod import JobState, NotFound, RunPod, parse_webhook, same_job

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
    assert report.execution_ms >= 3900  # the simulated clock is coarse
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
