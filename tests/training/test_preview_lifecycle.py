"""From the order to the end: what submit, sweep, webhook, people and faults do to a preview."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from tests.runpod_simulator import Faults, Simulator
from tests.training.previewing import (
    ordered,
    post_webhook,
    store_pictures,
    submitted,
    sweep_once,
    sweep_until,
)
from tests.training.ready import until
from training import preview_recovery, preview_reports, preview_sweeping, preview_tasks, previews
from training.job_report import JobReport, JobState
from training.models import Preview
from training.preview_models import PreviewStatus
from training.preview_recovery import NotLost
from training.stops import JobToStop
from training.sweeping import Sweep

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


def queued_tasks() -> list[str]:
    return [str(task.func()) for task in OrmQ.objects.order_by("pk")]


def report(preview: Preview, state: JobState, **facts: Any) -> JobReport:
    return JobReport(id=preview.job_id or "job", state=state, **facts)


def later(preview: Preview, **ago: float) -> None:
    """As if so much time had gone by since it was sent."""
    moment = timezone.now() - timedelta(**ago)
    Preview.objects.filter(pk=preview.pk).update(submitted_at=moment, updated_at=moment)


# The usual way


def test_a_preview_is_drawn_by_the_sweep_alone(simulator: Simulator, settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = "0.01"
    preview = submitted()
    assert preview.status == PreviewStatus.SUBMITTED
    sweep_until(preview, PreviewStatus.DONE)
    assert simulator.accepted == 1
    assert all(
        image.url == f"s3://local/{preview.image_key(image.position)}" for image in preview.images.all()
    )
    assert all(image.drawn_at for image in preview.images.all())
    assert preview.stage == "done"
    assert preview.execution_ms
    assert preview.cost_usd
    assert preview.log[-1]["message"] == "2 pictures ordered"


def test_progress_shows_before_the_end(simulator: Simulator) -> None:
    simulator.speed = 2  # ten seconds of drawing: time enough on a busy machine
    preview = submitted()

    def begun() -> bool:
        sweep_once()
        preview.refresh_from_db()
        return preview.started_at is not None

    until(begun)
    assert (preview.status, preview.stage) == (PreviewStatus.SUBMITTED, "drawing")


def test_the_webhook_alone_is_enough(simulator: Simulator, client: Client) -> None:
    preview = submitted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.preview_webhooks.truth", lambda _preview, told: told)
        body = {
            "id": preview.job_id,
            "status": "COMPLETED",
            "output": {"images": [{"image": 0}, {"image": 1}, {"image": 7}, {"image": -1}, "x"]},
        }
        assert post_webhook(client, preview, body).json() == {"success": True, "changed": True}
        assert post_webhook(client, preview, body).json() == {"success": True, "changed": False}
    preview.refresh_from_db()
    assert preview.status == PreviewStatus.DONE


def test_a_webhook_that_is_not_ours_is_refused(simulator: Simulator, client: Client) -> None:
    preview, other = submitted(), submitted()
    body = {"id": preview.job_id, "status": "COMPLETED"}
    assert post_webhook(client, preview, body, token="guessed").status_code == 403
    assert post_webhook(client, preview, b"{").status_code == 400
    assert post_webhook(client, preview, {**body, "id": other.job_id}).status_code == 409
    assert post_webhook(client, preview, {**body, "id": "yet-another", "status": "FAILED"}).status_code == 409
    # A training's token opens no preview.
    assert post_webhook(client, preview, body, token=preview.version.webhook_token).status_code == 403
    token = preview.webhook_token
    previews.remove(preview)
    assert post_webhook(client, preview, body, token=token).status_code == 404


# Nothing is paid twice


def test_a_task_that_comes_twice_submits_once(simulator: Simulator) -> None:
    preview = submitted()
    preview_tasks.submit(preview.pk)
    assert simulator.accepted == 1


def test_whoever_claims_first_sends_it(simulator: Simulator) -> None:
    preview = ordered()
    assert preview.claim()
    preview_tasks.submit(preview.pk)
    assert simulator.accepted == 0


@pytest.mark.parametrize("answer", ["500", "cut", "not_json"])
def test_a_lost_answer_is_never_sent_again_by_itself(simulator: Simulator, answer: str) -> None:
    simulator.faults = Faults(accepted_answer=answer, webhook="lost", uploads=False)
    preview = submitted()
    assert preview.is_unanswered
    assert "may have been accepted" in preview.error
    simulator.faults.accepted_answer = ""
    later(preview, minutes=5)
    sweep_once()
    preview.refresh_from_db()
    assert preview.is_unanswered
    assert simulator.accepted == 1
    store_pictures(preview)
    sweep_until(preview, PreviewStatus.DONE)
    assert simulator.accepted == 1


def test_a_webhook_tells_the_job_whose_answer_was_lost(simulator: Simulator, client: Client) -> None:
    simulator.speed = 1  # it must not end meanwhile
    simulator.faults = Faults(accepted_answer="500", webhook="lost", uploads=False)
    preview = submitted()
    (job_id,) = simulator.jobs
    assert post_webhook(client, preview, {"id": job_id, "status": "IN_PROGRESS"}).status_code == 200
    preview.refresh_from_db()
    assert (preview.status, preview.job_id) == (PreviewStatus.SUBMITTED, job_id)


def test_a_request_that_surely_did_not_arrive_is_sent_again(simulator: Simulator, settings: Settings) -> None:
    here, settings.RUNPOD_BASE_URL = settings.RUNPOD_BASE_URL, "http://127.0.0.1:9/v2"
    preview = submitted()
    assert (preview.status, preview.poll_failures) == (PreviewStatus.PENDING, 1)
    assert "no connection" in preview.error
    settings.RUNPOD_BASE_URL = here
    preview_sweeping.resubmit_due(timezone.now() + timedelta(minutes=1))
    assert queued_tasks()[-1] == "training.preview_tasks.submit"
    preview_tasks.submit(preview.pk)
    sweep_until(preview, PreviewStatus.DONE)
    assert simulator.accepted == 1


def test_an_endpoint_that_stays_away_ends_it_with_what_to_do(settings: Settings) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    preview = ordered()
    for _ in range(6):
        preview_tasks.submit(preview.pk)
    preview.refresh_from_db()
    assert preview.status == PreviewStatus.FAILED
    assert "Tried 6 times. Draw it again" in preview.error


@pytest.mark.parametrize(("fault", "says"), [("401", "RUNPOD_API_KEY"), ("400", "endpoint")])
def test_a_refused_preview_fails_and_says_why(simulator: Simulator, fault: str, says: str) -> None:
    simulator.faults = Faults(broken={"run": fault})
    preview = submitted()
    assert preview.status == PreviewStatus.FAILED
    assert says in preview.error


def test_a_busy_endpoint_is_asked_again_later(simulator: Simulator) -> None:
    simulator.faults = Faults(broken={"run": "429"}, broken_times=1, uploads=False)
    preview = submitted()
    assert preview.status == PreviewStatus.PENDING
    preview_tasks.submit(preview.pk)
    sweep_until(preview, PreviewStatus.DONE)


# Killed at any moment


def test_a_preview_whose_task_died_before_the_claim_is_found_by_the_sweep() -> None:
    preview = ordered()
    now = timezone.now()
    preview_sweeping.resubmit_due(now)
    assert queued_tasks() == []
    Preview.objects.update(updated_at=now - timedelta(minutes=1))
    preview_sweeping.resubmit_due(now)
    preview_sweeping.resubmit_due(now)
    assert queued_tasks() == ["training.preview_tasks.submit"]
    assert preview.status == PreviewStatus.PENDING


def test_one_that_died_after_the_claim_waits_for_a_person_and_is_never_sent_by_itself(
    simulator: Simulator, settings: Settings
) -> None:
    preview = ordered()
    assert preview.claim(timedelta(hours=1))
    with pytest.raises(NotLost, match="may still answer"):
        preview_recovery.send_again(preview)
    later(preview, minutes=20)
    sweep_once()
    assert simulator.accepted == 0
    with transaction.atomic():
        assert preview_recovery.send_again(preview)
    preview_tasks.submit(preview.pk)
    sweep_until(preview, PreviewStatus.DONE)
    assert simulator.accepted == 1
    with pytest.raises(NotLost, match="nothing to decide"):
        preview_recovery.send_again(preview)


def test_one_whose_pictures_arrive_is_not_sent_again_by_a_person() -> None:
    preview = ordered()
    preview.claim()
    later(preview, minutes=20)
    store_pictures(preview, 0)
    with pytest.raises(NotLost, match="a picture has arrived"):
        preview_recovery.send_again(preview)


def test_one_that_was_given_up_still_counts_when_its_pictures_come() -> None:
    preview = ordered()
    preview.claim()
    later(preview, minutes=20)
    assert preview_recovery.give_up(preview)
    assert (preview.status, preview.presumed) == (PreviewStatus.FAILED, True)
    store_pictures(preview)
    assert preview_tasks.refresh(preview.pk)
    preview.refresh_from_db()
    assert preview.status == PreviewStatus.DONE


def test_one_past_its_time_that_nobody_knows_is_lost(simulator: Simulator) -> None:
    preview = ordered()
    preview.claim(timedelta(hours=-1))
    later(preview, hours=2)
    sweep_once()
    preview.refresh_from_db()
    assert preview.status == PreviewStatus.FAILED
    assert "its time at the endpoint is over" in preview.error


def test_a_job_that_the_endpoint_forgot_is_found_in_the_store_or_lost(simulator: Simulator) -> None:
    kept, lost = submitted(), submitted()
    simulator.jobs.clear()
    store_pictures(kept)
    sweep_once()
    for preview in (kept, lost):
        preview.refresh_from_db()
    assert (kept.status, lost.status) == (PreviewStatus.DONE, PreviewStatus.SUBMITTED)
    assert lost.missing_since
    Preview.objects.filter(pk=lost.pk).update(missing_since=timezone.now() - timedelta(minutes=11))
    sweep_until(lost, PreviewStatus.FAILED)
    assert "no longer knows this job" in lost.error


# How it may end


def test_a_failed_job_says_why_and_keeps_what_was_drawn(simulator: Simulator) -> None:
    simulator.faults = Faults(outcome="FAILED", uploads=False)
    preview = submitted()
    store_pictures(preview, 1)
    sweep_until(preview, PreviewStatus.FAILED)
    assert preview.error == "The training stopped, as ordered."
    assert [bool(image.url) for image in preview.images.all()] == [False, True]


def test_a_failed_job_whose_pictures_are_all_there_is_done(simulator: Simulator) -> None:
    simulator.faults = Faults(outcome="FAILED", uploads=False)
    preview = submitted()
    store_pictures(preview)
    sweep_until(preview, PreviewStatus.DONE)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (JobState.COMPLETED, "2 pictures have not arrived"),
        (JobState.TIMED_OUT, "longer than allowed"),
        (JobState.CANCELLED, "cancelled the job"),
        (JobState.FAILED, "but not why"),
    ],
)
def test_every_other_end_has_its_words(simulator: Simulator, state: JobState, says: str) -> None:
    preview = submitted()
    assert preview_reports.apply(preview, report(preview, state))
    assert preview.status == PreviewStatus.FAILED
    assert says in preview.error
    assert not preview_reports.apply(preview, report(preview, JobState.IN_PROGRESS))
    assert preview.status == PreviewStatus.FAILED


def test_a_cancelled_preview_stops_its_job_and_late_word_changes_nothing(simulator: Simulator) -> None:
    preview = submitted()
    assert preview.cancel()
    assert not preview.cancel()
    assert JobToStop.objects.get().job_id == preview.job_id
    done = report(preview, JobState.COMPLETED, output={"images": [{"image": 0}, {"image": 1}]})
    preview_reports.apply(preview, done)
    assert preview.status == PreviewStatus.CANCELLED
    # What was drawn all the same is there to see.
    assert preview.images.filter(url="").count() == 0


def test_a_second_job_for_one_preview_is_stopped(simulator: Simulator) -> None:
    preview = submitted()
    preview_reports.apply(preview, JobReport(id="another", state=JobState.IN_PROGRESS))
    assert JobToStop.objects.get().job_id == "another"
    assert preview.status == PreviewStatus.SUBMITTED


def test_a_preview_that_was_deleted_meanwhile_leaves_no_job(simulator: Simulator) -> None:
    preview = submitted()
    Preview.objects.filter(pk=preview.pk).delete()
    JobToStop.objects.all().delete()
    with pytest.raises(Preview.DoesNotExist):
        preview_reports.apply(preview, report(preview, JobState.IN_PROGRESS))
    assert JobToStop.objects.get().job_id == preview.job_id


def test_a_deleted_version_takes_its_previews_and_their_jobs_along(simulator: Simulator) -> None:
    preview = submitted()
    preview.version.delete()
    assert not Preview.objects.exists()
    assert JobToStop.objects.get().job_id == preview.job_id


def test_check_status_asks_at_once(simulator: Simulator) -> None:
    preview = submitted()
    while not preview_tasks.refresh(preview.pk):
        pass
    preview.refresh_from_db()
    assert preview.started_at or preview.status == PreviewStatus.DONE


def test_the_sweep_goes_on_while_a_preview_is_active() -> None:
    preview = ordered()
    with Sweep() as sweep:
        assert sweep.round()
        preview.cancel()
        assert sweep.round() is False
