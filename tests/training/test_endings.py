"""Whatever dies or gets lost, a training ends with the truth: found, lost, resolved by a person, stopped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from actors import storage
from tests.factories import make_actor, make_version
from tests.runpod_simulator import Faults, Simulator
from tests.simulated_jobs import tiny_lora
from tests.training.ready import kinds, messages, post_webhook, start, sweep_once, sweep_until
from training import recovery, tasks
from training.job_report import JobReport, JobState
from training.models import NotLost, Status, TrainingVersion
from training.progress import Progress
from training.stops import JobToStop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]

LORA = tiny_lora("actor")


def report(version: TrainingVersion, state: JobState, job_id: str = "", **fields: Any) -> JobReport:
    return JobReport(id=job_id or version.job_id or "job", state=state, **fields)


def done(url: str = "https://bucket.s3.us-east-1.amazonaws.com/actor.safetensors") -> dict[str, Any]:
    return {"output": {"loraUrl": url}}


def store_lora(version: TrainingVersion, content: bytes = LORA) -> None:
    storage.save(version.lora_key, ContentFile(content))


def unanswered(**fields: Any) -> TrainingVersion:
    """A submission whose answer is lost, long enough ago for a person to decide."""
    ago = timezone.now() - timedelta(hours=1)
    return make_version(status=Status.SUBMITTING, submitted_at=ago, **fields)


# Found in the object store


def test_a_result_that_the_endpoint_has_forgotten_is_recovered_from_the_store(simulator: Simulator) -> None:
    version = start()
    simulator.jobs.clear()
    store_lora(version)
    sweep_until(version, Status.COMPLETED)
    assert version.lora_bytes == len(LORA)
    assert kinds(version)[-1] == "completed"
    assert "found the finished LoRA" in messages(version)


@pytest.mark.parametrize("content", [LORA[:-1], LORA[:12], b"lora", b"", b"\xff" * 40, LORA + b"more"])
def test_a_lora_that_broke_off_is_no_lora(content: bytes) -> None:
    version = unanswered()
    store_lora(version, content)
    assert recovery.find(version) is None
    assert not recovery.recover(version)


def test_a_lost_submission_is_resolved_by_its_lora(simulator: Simulator) -> None:
    version = unanswered()
    sweep_once()
    assert version.events.filter(kind="completed").count() == 0
    store_lora(version)
    sweep_once()
    version.refresh_from_db()
    assert version.status == Status.COMPLETED


@pytest.mark.parametrize(
    "state", [JobState.FAILED, JobState.TIMED_OUT, JobState.CANCELLED, JobState.COMPLETED]
)
def test_a_stored_lora_counts_although_the_job_ended_badly(state: JobState) -> None:
    version = make_version(status=Status.TRAINING)
    store_lora(version)
    assert version.apply_report(report(version, state, error="the worker died at its last breath"))
    assert (version.status, version.error) == (Status.COMPLETED, "")
    assert version.lora_url.endswith(f"{version.model_name}.safetensors")


# Lost


def test_a_job_that_nobody_knows_ends_lost_and_not_before_its_time(simulator: Simulator) -> None:
    version = start()
    simulator.jobs.clear()
    tasks.refresh(version.pk)
    version.refresh_from_db()
    assert version.status == Status.QUEUED
    assert version.missing_since
    TrainingVersion.objects.update(missing_since=version.missing_since - 2 * recovery.LOST_AFTER)
    sweep_until(version, Status.FAILED)
    assert version.error.startswith("Lost:")
    assert version.presumed


def test_an_address_that_knows_no_job_at_all_loses_none(simulator: Simulator) -> None:
    version = make_version(
        status=Status.TRAINING,
        endpoint_id="mistyped",
        missing_since=timezone.now() - timedelta(days=1),
        poll_failures=9,
    )
    sweep_once()
    version.refresh_from_db()
    assert version.status == Status.TRAINING


@pytest.mark.parametrize("status", [Status.SUBMITTING, Status.QUEUED, Status.TRAINING])
def test_past_its_ttl_without_a_trace_it_is_lost(settings: Settings, status: str) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    over = timezone.now() - timedelta(hours=1)
    version = make_version(status=status, submitted_at=over, expires_at=over, poll_failures=3)
    sweep_once()
    version.refresh_from_db()
    assert version.status == Status.FAILED
    assert version.error.startswith("Lost:")


def test_a_training_that_answers_is_not_lost_whatever_the_clock_says(simulator: Simulator) -> None:
    simulator.train_seconds = 1e6
    version = start()
    TrainingVersion.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    sweep_once()
    sweep_once()
    version.refresh_from_db()
    assert version.status in (Status.QUEUED, Status.TRAINING)


def test_a_lora_that_comes_after_the_loss_still_counts() -> None:
    version = make_version(status=Status.TRAINING)
    version.lose("Lost: nobody knows it.")
    assert version.apply_report(report(version, JobState.COMPLETED, **done()))
    assert (version.status, version.error, version.presumed) == (Status.COMPLETED, "", False)
    assert kinds(version) == ["failed", "completed"]


def test_a_failure_that_the_endpoint_reported_is_final() -> None:
    version = make_version(status=Status.TRAINING)
    version.apply_report(report(version, JobState.FAILED, error="out of memory"))
    assert not version.apply_report(report(version, JobState.COMPLETED, **done()))
    assert version.status == Status.FAILED


# A person decides


def test_a_person_sends_again_what_never_arrived_and_it_is_paid_once(
    simulator: Simulator, admin_user: User
) -> None:
    version = unanswered(endpoint_id=simulator.endpoint_id)
    assert version.can_be_resolved
    assert version.resubmit(by=admin_user)
    tasks.submit(version.pk)
    tasks.submit(version.pk)
    assert simulator.accepted == 1
    sweep_until(version, Status.COMPLETED)
    # A short job may end between two looks.
    assert [kind for kind in kinds(version) if kind != "training"] == [
        "pending",
        "submitting",
        "queued",
        "completed",
    ]
    assert version.events.filter(by=admin_user).count() == 1


def test_before_the_stated_time_nobody_may_decide() -> None:
    version = make_version(status=Status.SUBMITTING, submitted_at=timezone.now())
    for decide in (version.resubmit, version.give_up):
        with pytest.raises(NotLost, match=r"wait until \d\d:\d\d:\d\d UTC"):
            decide()
    assert version.status == Status.SUBMITTING


@pytest.mark.parametrize("status", [Status.QUEUED, Status.COMPLETED, Status.PENDING])
def test_where_an_answer_is_known_there_is_nothing_to_decide(status: str) -> None:
    version = make_version(status=status)
    with pytest.raises(NotLost, match="nothing to decide"):
        version.resubmit()


def test_a_job_that_left_a_trace_is_not_sent_again() -> None:
    version = unanswered()
    storage.save(version.sample_key(0, 0), ContentFile(b"png"))
    with pytest.raises(NotLost, match="first sample has arrived"):
        version.resubmit()


def test_giving_up_ends_it_and_a_late_lora_still_counts() -> None:
    version = unanswered()
    assert version.give_up()
    assert version.status == Status.FAILED
    assert version.apply_report(report(version, JobState.COMPLETED, "late", **done()))
    assert (version.status, version.job_id) == (Status.COMPLETED, "late")


def test_sent_again_although_it_had_arrived_the_first_lora_counts_and_the_other_job_is_stopped(
    simulator: Simulator, client: Client
) -> None:
    simulator.faults = Faults(accepted_answer="hang_up", uploads=False)
    version = start()
    first = next(iter(simulator.jobs))
    TrainingVersion.objects.update(submitted_at=timezone.now() - timedelta(hours=1))
    version.resubmit()
    simulator.faults = Faults(uploads=False)
    simulator.train_seconds = 1e6
    tasks.submit(version.pk)
    version.refresh_from_db()
    assert version.job_id not in (None, first)
    del simulator.jobs[first]
    response = post_webhook(client, version, {"id": first, "status": "COMPLETED", **done()})
    version.refresh_from_db()
    assert (response.status_code, version.status) == (200, Status.COMPLETED)
    assert [order.job_id for order in JobToStop.objects.all()] == [version.job_id]


def test_the_pages_resubmit_and_give_up_need_the_role_and_a_post(
    client: Client, admin_client: Client
) -> None:
    for name, status in (("resubmit", Status.PENDING), ("give-up", Status.FAILED)):
        version = unanswered()
        url = reverse(name, args=[version.pk])
        client.force_login(User.objects.create_user(f"viewer of {name}"))
        assert client.post(url).status_code == 403
        assert admin_client.get(url).status_code == 405
        assert admin_client.post(url).status_code == 302
        assert admin_client.post(url).status_code == 302
        version.refresh_from_db()
        assert version.status == status


def test_a_lost_answer_asks_for_a_person_wherever_the_training_is_shown(admin_client: Client) -> None:
    version = unanswered()
    activity, here = reverse("activity"), version.get_absolute_url()
    TrainingVersion.objects.update(submitted_at=timezone.now())
    assert "Being sent" in admin_client.get(here).text
    assert "needs a decision" not in admin_client.get(activity).text
    TrainingVersion.objects.update(submitted_at=timezone.now() - timedelta(hours=1))
    assert "Answer lost" in admin_client.get(here).text
    text = admin_client.get(activity).text
    assert "<b>1 training needs a decision.</b>" in text
    assert f'<a href="{here}">Send it again or give it up</a>' in text


# Cancel, delete, stop


def test_cancelling_stops_the_job_once(simulator: Simulator, django_capture_on_commit_callbacks: Any) -> None:
    simulator.train_seconds = 1e6
    version = start()
    with django_capture_on_commit_callbacks() as callbacks:
        assert version.cancel()
        assert not version.cancel()
    assert len(callbacks) == 1
    tasks.stop_job(version.job_id or "")
    tasks.stop_job(version.job_id or "")
    assert simulator.jobs[version.job_id or ""].state == "CANCELLED"
    assert kinds(version).count("cancelled") == 1
    assert not JobToStop.objects.exists()


def test_a_job_that_cannot_be_stopped_now_is_stopped_later(simulator: Simulator) -> None:
    simulator.train_seconds = 1e6
    version = start()
    version.cancel()
    simulator.faults = Faults(broken={"cancel": "401"})
    tasks.stop_job(version.job_id or "")
    order = JobToStop.objects.get()
    assert order.failures == 1
    assert order.next_try_at > timezone.now()
    assert "is not stopped yet" in messages(version)
    simulator.faults = Faults()
    tasks.stop_job(version.job_id or "")
    assert simulator.jobs[version.job_id or ""].state == "CANCELLED"


def test_each_stop_that_is_due_is_given_to_one_caller() -> None:
    JobToStop.order(make_version(status=Status.TRAINING))
    now = timezone.now()
    assert len(JobToStop.due(now)) == 1
    assert JobToStop.due(now) == []


@pytest.mark.parametrize("of", ["version", "actor", "queryset"])
def test_deleting_an_active_training_stops_its_job_first(simulator: Simulator, of: str) -> None:
    simulator.train_seconds = 1e6
    version = start(make_actor())
    job_id = version.job_id or ""
    if of == "queryset":
        TrainingVersion.objects.filter(pk=version.pk).delete()
    else:
        (version if of == "version" else version.actor).delete()
    tasks.stop_job(job_id)
    assert simulator.jobs[job_id].state == "CANCELLED"


def test_a_version_deleted_while_it_is_sent_leaves_no_job_behind(simulator: Simulator) -> None:
    version = make_version(status=Status.SUBMITTING)
    gone = TrainingVersion.objects.get(pk=version.pk)
    version.delete()
    with pytest.raises(TrainingVersion.DoesNotExist):
        gone.apply_report(report(gone, JobState.IN_QUEUE, "late"))
    assert JobToStop.objects.get().job_id == "late"


def test_a_job_that_shows_up_after_the_end_is_stopped_and_not_forgotten() -> None:
    version = make_version(status=Status.SUBMITTING)
    version.cancel()
    version.apply_report(report(version, JobState.IN_PROGRESS, "late"))
    assert (version.status, version.job_id) == (Status.CANCELLED, "late")
    assert JobToStop.objects.get().job_id == "late"


def test_the_job_of_another_training_is_never_taken_over(client: Client, settings: Settings) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    other = make_version(status=Status.TRAINING)
    version = unanswered()
    response = post_webhook(client, version, {"id": other.job_id, "status": "COMPLETED", **done()})
    version.refresh_from_db()
    assert (response.status_code, version.status, version.job_id) == (409, Status.SUBMITTING, None)


# Workers that start again


def test_a_worker_that_starts_anew_is_shown_from_its_first_step() -> None:
    version = make_version(status=Status.TRAINING)

    def picture(started: str, step: int) -> JobReport:
        stages = ({"stage": "starting", "started_at": f"2026-01-01T{started}+00:00"},)
        progress = Progress(stage="training", step=step, stages=stages)  # type: ignore[arg-type]  # a literal
        return report(version, JobState.IN_PROGRESS, progress=progress)

    version.apply_report(picture("10:00:00", 80))
    version.apply_report(picture("10:05:00", 5))
    assert version.step == 5
    version.apply_report(picture("10:00:00", 90))
    assert version.step == 5, "a late picture of the worker that died"
    assert messages(version).count("started the job anew") == 1
