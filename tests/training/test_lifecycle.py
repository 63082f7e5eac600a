"""From the launch to the end: what submit, sweep, webhook and people do to a version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from actors.models import Actor
from tests.factories import make_actor, make_version
from tests.runpod_simulator import Simulator
from tests.training.ready import kinds, post_webhook, recommended, start, sweep_until
from training import job_body, launch, tasks
from training.job_report import JobReport, JobState
from training.models import NotCompleted, Status, TrainingVersion
from training.parameters import ParameterErrors
from training.progress import Progress

pytestmark = pytest.mark.django_db


# Launch


def test_a_launch_creates_the_next_version_and_has_it_submitted_on_commit(
    django_capture_on_commit_callbacks: Any,
) -> None:
    actor = make_actor(images=12)
    with django_capture_on_commit_callbacks() as callbacks:
        version = launch.launch(actor, recommended(max_train_steps=300, lr_warmup_steps=60))
    assert (version.name, version.status, version.image_count) == ("V1", Status.PENDING, 12)
    assert version.dataset_fingerprint == actor.dataset.fingerprint()
    assert len(callbacks) == 1


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda: make_actor(images=0), "No training images. Add 20 to 30"),
        (lambda: make_actor(synced=False), "15 of 15 images are not in the object store. Sync"),
        (lambda: make_version(status=Status.TRAINING).actor, "V1 is training already."),
        (lambda: Actor.objects.create(name="nobody"), "No training images."),
    ],
)
def test_a_launch_that_is_not_possible_says_why_and_creates_nothing(
    prepare: Callable[[], Actor], says: str
) -> None:
    actor = prepare()
    before = TrainingVersion.objects.count()
    with pytest.raises(launch.CannotStart) as error:
        launch.launch(actor, recommended())
    assert says in str(error.value)
    assert TrainingVersion.objects.count() == before


def test_parameters_out_of_range_are_named_and_nothing_is_created() -> None:
    with pytest.raises(ParameterErrors) as error:
        launch.launch(make_actor(), recommended(max_train_steps=9, learning_rate="fast"))
    assert set(error.value.errors) >= {"max_train_steps", "learning_rate"}
    assert not TrainingVersion.objects.exists()


def test_the_database_allows_one_active_training_and_one_good_version_per_actor() -> None:
    version = make_version()
    make_version(version.actor, status=Status.PENDING)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_version(version.actor, status=Status.QUEUED)
    other = make_version(version.actor)
    TrainingVersion.objects.filter(pk=version.pk).update(is_good=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        TrainingVersion.objects.filter(pk=other.pk).update(is_good=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        TrainingVersion.objects.filter(status=Status.PENDING).update(is_good=True)


# Submit and follow


def test_a_training_runs_from_the_queue_to_its_lora(simulator: Simulator) -> None:
    simulator.train_seconds = 600  # three real ones: long enough to be seen on a busy machine
    version = start()
    assert version.status == Status.QUEUED
    assert version.job_id
    sweep_until(version, Status.TRAINING)
    sweep_until(version, Status.COMPLETED)
    assert version.lora_url
    assert version.execution_ms
    assert version.finished_at
    assert version.step == version.max_train_steps
    assert version.loss_history
    assert kinds(version) == ["pending", "submitting", "queued", "training", "completed"]
    assert simulator.accepted == 1


def test_submitting_twice_pays_once(simulator: Simulator) -> None:
    version = start()
    tasks.submit(version.pk)
    assert simulator.accepted == 1
    assert kinds(version) == ["pending", "submitting", "queued"]


def test_an_endpoint_that_is_down_is_tried_again_and_then_said(settings: Settings) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    version = start()
    assert version.status == Status.PENDING
    assert version.next_poll_at
    for _ in range(tasks.SUBMIT_ATTEMPTS):
        tasks.submit(version.pk)
    version.refresh_from_db()
    assert version.status == Status.FAILED
    assert "Tried 6 times. Start it again once the endpoint answers." in version.error


def test_a_wrong_key_fails_the_version_with_the_reason(simulator: Simulator, settings: Settings) -> None:
    settings.RUNPOD_API_KEY = "wrong"
    version = start()
    assert version.status == Status.FAILED
    assert "key" in version.error.lower()
    assert simulator.accepted == 0


def test_a_lost_answer_is_never_sent_again_and_the_webhook_resolves_it(
    simulator: Simulator, client: Client
) -> None:
    simulator.faults.accepted_answer = "hang_up"
    version = start()
    assert (version.status, version.job_id) == (Status.SUBMITTING, None)
    tasks.submit(version.pk)
    assert simulator.accepted == 1
    job = next(iter(simulator.jobs.values()))
    response = post_webhook(client, version, {"id": job.id, "status": "IN_PROGRESS"})
    version.refresh_from_db()
    assert response.status_code == 200
    assert version.job_id == job.id
    sweep_until(version, Status.COMPLETED)
    assert simulator.accepted == 1


# Reports


def report(version: TrainingVersion, state: JobState, **fields: Any) -> JobReport:
    return JobReport(id=version.job_id or "job", state=state, **fields)


DONE = {"output": {"loraUrl": "https://s3-accelerate.amazonaws.com/bucket/actor.safetensors"}}


def test_the_same_report_twice_changes_nothing() -> None:
    version = make_version(status=Status.TRAINING)
    assert version.apply_report(report(version, JobState.COMPLETED, execution_ms=5, **DONE))
    events = kinds(version)
    assert not version.apply_report(report(version, JobState.COMPLETED, execution_ms=5, **DONE))
    assert kinds(version) == events


@pytest.mark.parametrize(
    "late", [JobState.IN_QUEUE, JobState.IN_PROGRESS, JobState.FAILED, JobState.CANCELLED]
)
def test_a_terminal_state_never_regresses(late: JobState) -> None:
    version = make_version(status=Status.TRAINING)
    version.apply_report(report(version, JobState.COMPLETED, **DONE))
    version.apply_report(report(version, late, progress=Progress(stage="training", step=3), error="late"))
    assert (version.status, version.error, version.stage) == (Status.COMPLETED, "", "done")


def test_an_older_picture_of_the_progress_is_left_out() -> None:
    version = make_version(status=Status.TRAINING)
    new = Progress(stage="training", step=50, loss_history=((1, 0.9), (50, 0.4)))
    version.apply_report(report(version, JobState.IN_PROGRESS, progress=new))
    version.apply_report(report(version, JobState.IN_PROGRESS, progress=Progress(stage="training", step=20)))
    assert (version.step, version.loss_history) == (50, [[1, 0.9], [50, 0.4]])


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (JobState.FAILED, "out of memory"),
        (JobState.TIMED_OUT, "took longer than allowed"),
        (JobState.CANCELLED, "The endpoint cancelled the job."),
    ],
)
def test_an_end_without_a_lora_is_a_failure_with_its_reason(state: JobState, says: str) -> None:
    version = make_version(status=Status.QUEUED)
    version.apply_report(report(version, state, error="out of memory"))
    assert version.status == Status.FAILED
    assert says in version.error


def test_a_completed_job_without_a_lora_is_a_failure() -> None:
    version = make_version(status=Status.TRAINING)
    version.apply_report(report(version, JobState.COMPLETED, output={"loraUrl": "javascript:alert(1)"}))
    assert (version.status, version.error) == (
        Status.FAILED,
        "The job completed, but its answer names no LoRA.",
    )


# Webhook


def test_the_webhook_reads_the_truth_from_the_endpoint(simulator: Simulator, client: Client) -> None:
    simulator.train_seconds = 1e6
    version = start()
    response = post_webhook(client, version, {"id": version.job_id, "status": "COMPLETED", **DONE})
    version.refresh_from_db()
    assert response.status_code == 200
    assert version.status in (Status.QUEUED, Status.TRAINING)


def test_the_webhook_counts_where_the_endpoint_does_not_answer(client: Client, settings: Settings) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    version = make_version(status=Status.TRAINING, job_id="abc-e1")
    response = post_webhook(client, version, {"id": "abc", "status": "COMPLETED", **DONE})
    version.refresh_from_db()
    assert (response.status_code, version.status) == (200, Status.COMPLETED)
    assert version.lora_address == "https://bucket.s3-accelerate.amazonaws.com/actor.safetensors"


def test_a_webhook_with_a_wrong_token_bad_json_or_another_job_changes_nothing(client: Client) -> None:
    version = make_version(status=Status.TRAINING)
    body = {"id": version.job_id, "status": "FAILED"}
    assert post_webhook(client, version, body, token="guess").status_code == 403
    assert post_webhook(client, version, b"{").status_code == 400
    assert post_webhook(client, version, {"id": "another", "status": "FAILED"}).status_code == 409
    assert client.get(reverse("training-webhook", args=[version.webhook_token])).status_code == 405
    gone = make_version(status=Status.TRAINING)
    token = gone.webhook_token
    gone.delete()
    assert post_webhook(client, version, body, token=token).status_code == 404
    version.refresh_from_db()
    assert version.status == Status.TRAINING


# Good


def test_exactly_one_version_is_good() -> None:
    first = make_version()
    second = make_version(first.actor)
    assert first.mark_good(reason="sharp") is None
    assert second.mark_good() == first
    first.refresh_from_db()
    assert (first.is_good, second.is_good) == (False, True)
    assert [event.message for event in first.events.all()] == [
        "Marked good: sharp",
        "No longer the good version",
    ]


def test_a_version_without_a_lora_cannot_be_good() -> None:
    version = make_version(status=Status.FAILED)
    with pytest.raises(NotCompleted):
        version.mark_good()


# Payload


def test_the_body_holds_signed_links_and_the_limits_of_the_job() -> None:
    version = launch.launch(make_actor(), recommended())
    body = job_body.build(version)
    config = body["input"]["training_config"]
    assert config["model_name"] == version.model_name
    assert config["base_model"] == "embedded"
    assert body["webhook"].endswith(version.webhook_token)
    assert body["policy"]["executionTimeout"] >= 1_800_000
    image = body["input"]["training_data"]["images"][0]
    assert image["download_url"].startswith("http://127.0.0.1:8000/files/")
    assert "token=" in image["download_url"]
    assert config["uploads"]["lora"]["url"].endswith(f"{version.model_name}.safetensors")
    assert len(config["uploads"]["samples"]) == 36
