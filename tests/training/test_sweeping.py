"""The sweep: what is due is asked within the limits, what got stuck is settled."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from tests.factories import make_actor, make_version
from tests.runpod_simulator import Faults, Simulator
from tests.training.ready import kinds, messages, recommended, start, sweep_once, sweep_until
from training import launch, notices, reports, sweeping
from training.endpoints import EndpointState
from training.job_report import JobReport, JobState
from training.models import Status, TrainingVersion
from training.runpod import RunPodError
from training.sweeping import LOOKS, Sweep

pytestmark = pytest.mark.django_db


def make_running(simulator: Simulator) -> TrainingVersion:
    return make_version(status=Status.TRAINING, endpoint_id=simulator.endpoint_id)


def queued_tasks() -> list[str]:
    return [str(task.func()) for task in OrmQ.objects.order_by("pk")]


def test_the_sweep_ends_when_nothing_is_left() -> None:
    with Sweep() as sweep:
        assert sweep.round() is False


def test_a_version_is_looked_up_where_it_was_sent(simulator: Simulator, settings: Settings) -> None:
    version = start()
    settings.RUNPOD_ENDPOINT_ID = "another"
    sweep_until(version, Status.COMPLETED)


def test_a_pending_version_whose_task_was_lost_is_found_again_once() -> None:
    launch.launch(make_actor(), recommended())
    now = timezone.now()
    sweeping.resubmit_due(now)
    assert queued_tasks() == []
    TrainingVersion.objects.update(updated_at=now - timedelta(minutes=1))
    sweeping.resubmit_due(now)
    sweeping.resubmit_due(now)
    assert queued_tasks() == ["training.tasks.submit"]


@pytest.mark.parametrize(("fault", "says"), [("401", "RUNPOD_API_KEY"), ("429", "fewer requests")])
def test_a_trouble_of_the_endpoint_is_said_once_and_in_no_timeline(
    simulator: Simulator, fault: str, says: str
) -> None:
    versions = [make_running(simulator) for _ in range(4)]
    simulator.faults = Faults(broken={"status": fault}, retry_after="30")
    for _ in range(4):
        sweep_once()
    assert says in EndpointState.objects.get().trouble
    assert [kinds(version) for version in versions] == [[]] * 4


def test_an_endpoint_that_answers_no_one_is_one_trouble_and_since_when_is_kept(settings: Settings) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    versions = [make_version(status=Status.QUEUED) for _ in range(3)]
    sweep_once()
    since = EndpointState.objects.get().trouble_since
    for _ in range(4):
        sweep_once()
    assert EndpointState.objects.get().trouble_since == since
    assert "no connection" in EndpointState.objects.get().trouble
    assert [kinds(version) for version in versions] == [[]] * 3
    assert all(version.poll_failures == 5 for version in TrainingVersion.objects.all())


def test_a_trouble_ends_when_the_endpoint_is_well(simulator: Simulator) -> None:
    EndpointState.troubled(simulator.endpoint_id, "no answer")
    with Sweep() as sweep:
        sweep.see_endpoint(simulator.endpoint_id)
    state = EndpointState.objects.get()
    assert (state.trouble, state.trouble_since) == ("", None)
    assert state.workers["ready"] == 1


def test_one_job_that_cannot_be_read_is_said_in_its_timeline_once(simulator: Simulator) -> None:
    simulator.train_seconds = 1e6
    bad, good = start(), start()
    simulator.jobs[bad.job_id or ""].state = "HIBERNATING"
    for _ in range(6):
        sweep_once()
    assert messages(bad).count("Can't look at the job") == 1
    assert "Can't look" not in messages(good)
    assert EndpointState.objects.get().trouble == ""


def test_failures_push_the_next_look_back_and_a_report_brings_it_forward() -> None:
    version = make_version(status=Status.QUEUED)
    waits = []
    for failures in range(7):
        version.poll_failures = failures
        waits.append(sweeping.take_in(version, RunPodError("broken"), None))  # type: ignore[arg-type]  # not asked
    assert waits == sorted(waits)
    assert waits[0] == sweeping.ROUND_SECONDS
    assert waits[-1] == sweeping.LONGEST_PAUSE
    sweeping.schedule([version.pk], 60, 5)
    sweeping.schedule([version.pk], 3, 0)
    version.refresh_from_db()
    assert version.poll_failures == 0
    assert version.next_poll_at
    assert version.next_poll_at < timezone.now() + timedelta(seconds=5)


@pytest.mark.parametrize(("minutes", "seconds"), [(0, 3), (5, 6), (20, 12), (600, 30)])
def test_a_long_queue_is_looked_at_more_rarely(minutes: int, seconds: int) -> None:
    version = make_version(status=Status.QUEUED, submitted_at=timezone.now() - timedelta(minutes=minutes))
    report = JobReport(id=version.job_id or "", state=JobState.IN_QUEUE)
    assert sweeping.take_report(version, report) == seconds


def test_no_more_than_half_of_the_endpoints_limit_is_used(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LOOKS", 5)
    for _ in range(8):
        make_running(simulator)
    with Sweep() as sweep:
        sweep.round()
        assert simulator.calls["status"] == 5
        TrainingVersion.objects.update(next_poll_at=None)
        sweep.round()
        assert simulator.calls["status"] == 5
    assert LOOKS / sweeping.WINDOW <= 100


def test_those_that_waited_longest_are_looked_at_first(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LOOKS", 1)
    simulator.train_seconds = 1e6
    first, second = start(), start()
    with Sweep() as sweep:
        sweep.round()
    with Sweep() as sweep:
        sweep.round()
    for version in (first, second):
        version.refresh_from_db()
        assert version.next_poll_at


def test_the_same_answer_again_costs_no_transaction(
    simulator: Simulator, django_assert_max_num_queries: object
) -> None:
    simulator.train_seconds = 1e6
    version = start()
    report = JobReport(id=version.job_id or "", state=JobState.IN_QUEUE)
    sweeping.take_report(version, report)
    with django_assert_max_num_queries(0):  # type: ignore[operator]  # pytest-django's fixture
        sweeping.take_report(version, report)


def test_a_version_whose_row_makes_trouble_leaves_the_others_alone(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = start(), start()
    apply = reports.apply

    def fragile(version: TrainingVersion, report: JobReport) -> bool:
        if version.pk == bad.pk:
            raise ValueError("a row that no one foresaw")
        return apply(version, report)

    monkeypatch.setattr(reports, "apply", fragile)
    sweep_until(good, Status.COMPLETED)


# Waiting


def test_a_training_that_waits_long_is_told_once(simulator: Simulator, settings: Settings) -> None:
    settings.NOTIFY_EMAILS = ["studio@example.com"]
    simulator.queue_seconds = 1e6
    version = start()
    TrainingVersion.objects.update(submitted_at=timezone.now() - timedelta(hours=1))
    sweep_once()
    sweep_once()
    assert messages(version).count("Waiting for a worker for more than 30 minutes") == 1
    assert queued_tasks().count("training.notices.send") == 1


def test_a_letter_says_which_training_and_where_its_page_is(settings: Settings) -> None:
    settings.NOTIFY_EMAILS = ["studio@example.com"]
    version = make_version(status=Status.TRAINING)
    version.fail("Out of memory.")
    assert queued_tasks() == ["training.notices.send"]
    notices.send(version.pk, "failed")
    letter = mail.outbox[0]
    assert letter.to == ["studio@example.com"]
    assert letter.subject == f"{version.actor.name} V1 failed"
    assert letter.body == f"Out of memory.\n\n{settings.SITE_URL}{version.get_absolute_url()}\n"


def test_nobody_to_tell_is_no_task() -> None:
    make_version(status=Status.TRAINING).fail("Out of memory.")
    assert queued_tasks() == []
