"""One look after another at all trainings: what is due is asked, what got stuck is settled.

The sweep carries everything: no webhook has to arrive for a training to end. RunPod allows 2,000
status calls in 10 s and endpoint; half of them are the sweep's, the other half is for people.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from training import batch_launches, notices, outbox, preview_sweeping, recovery, reports
from training.endpoints import EndpointState, connect
from training.job_report import JobState
from training.models import RUNNING, Status, TrainingVersion
from training.runpod import (
    JobReport,
    NotFound,
    RateLimited,
    RunPod,
    RunPodError,
    Unauthorized,
)
from training.stops import JobToStop

log = logging.getLogger(__name__)

#: Seconds between two looks at a training that people watch.
ROUND_SECONDS = 3.0
#: Calls of one endpoint's ``/status`` that the sweep may make in so many seconds.
LOOKS, WINDOW = 1000, 10.0
#: Ever later where something is wrong, but never later than this.
LONGEST_PAUSE = 60.0
#: What one look at an endpoint may take; what was not asked by then is asked in the next round.
LOOK_SECONDS = 12.0
#: How often the endpoint's own counts are read.
HEALTH_SECONDS = 15.0
#: Failures in a row after which a training's timeline says that it can't be looked at.
SAY_AFTER = 3
#: A submission may take so long before anybody wonders.
UNANSWERED_AFTER = timedelta(minutes=1)

#: What was heard of each job last. The same answer again changes nothing, so it costs no transaction.
_heard: dict[str, tuple[object, ...]] = {}


class Sweep:
    """Connections and counts that are kept from round to round; a context manager."""

    def __init__(self) -> None:
        self._endpoints: dict[str, RunPod] = {}
        self._looks: dict[str, deque[float]] = {}
        self._health_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for runpod in self._endpoints.values():
            runpod.close()

    def round(self) -> bool:
        """One look at everything that is due. False when there is nothing left to look after."""
        now = timezone.now()
        resubmit_due(now)
        for job_id in JobToStop.due(now):
            async_task("training.tasks.stop_job", job_id)
        for endpoint_id, versions in due_by_endpoint(now).items():
            self._look_at(endpoint_id, versions)
        preview_sweeping.look(now, self.ask)
        settle_unanswered(now)
        settle_expired(now)
        warn_of_waiting(now)
        batch_launches.advance()
        return work_left()

    def see_endpoint(self, endpoint_id: str) -> None:
        """Reads the endpoint's counts, every now and then."""
        if time.monotonic() >= self._health_at.get(endpoint_id, 0.0):
            self._health_at[endpoint_id] = time.monotonic() + HEALTH_SECONDS
            with connect(endpoint_id, hasty=True) as runpod:
                EndpointState.look(endpoint_id, runpod)

    def ask(
        self, endpoint_id: str, job_ids: list[str]
    ) -> tuple[RunPod, Mapping[str, JobReport | RunPodError]]:
        """Asks about as many jobs as the endpoint's limit leaves now; the others wait for the next round."""
        self.see_endpoint(endpoint_id)
        runpod = self._endpoints.get(endpoint_id) or connect(endpoint_id)
        self._endpoints[endpoint_id] = runpod
        chosen = job_ids[: self._allowance(endpoint_id)]
        if not chosen:
            return runpod, {}
        self._looks[endpoint_id].extend([time.monotonic()] * len(chosen))
        found = runpod.statuses(chosen, deadline=LOOK_SECONDS)
        if trouble := trouble_of_all(found):
            EndpointState.troubled(endpoint_id, str(trouble))
        return runpod, found

    def _look_at(self, endpoint_id: str, versions: list[TrainingVersion]) -> None:
        by_job = {version.job_id: version for version in versions if version.job_id}
        runpod, found = self.ask(endpoint_id, list(by_job))
        trouble = trouble_of_all(found)
        waits: dict[tuple[float, int], list[int]] = {}
        for job_id, result in found.items():
            version = by_job[job_id]
            pause = take_in(version, result, runpod, everywhere=trouble is not None)
            failures = 0 if isinstance(result, JobReport) else version.poll_failures + 1
            waits.setdefault((pause, failures), []).append(version.pk)
        for (pause, failures), keys in waits.items():
            schedule(keys, pause, failures)

    def _allowance(self, endpoint_id: str) -> int:
        """How many looks the endpoint's limit leaves for this round."""
        looks = self._looks.setdefault(endpoint_id, deque())
        while looks and looks[0] < time.monotonic() - WINDOW:
            looks.popleft()
        return max(0, LOOKS - len(looks))


def due_by_endpoint(now: datetime) -> dict[str, list[TrainingVersion]]:
    """Versions whose next look is due, by where they were sent; the longest waiting first."""
    due: dict[str, list[TrainingVersion]] = {}
    for version in TrainingVersion.objects.due(now).defer(
        "images", "source", "loss_history", "log", "stages"
    ):
        due.setdefault(version.endpoint_id or settings.RUNPOD_ENDPOINT_ID, []).append(version)
    return due


def trouble_of_all(found: Mapping[str, JobReport | RunPodError]) -> RunPodError | None:
    """A trouble that is the endpoint's and not one job's: said once, not in every timeline."""
    errors = [result for result in found.values() if isinstance(result, RunPodError)]
    for error in errors:
        if isinstance(error, Unauthorized | RateLimited):
            return error
    alone = [error for error in errors if not isinstance(error, NotFound)]
    return alone[0] if alone and len(alone) == len(found) else None


def take_in(
    version: TrainingVersion, result: JobReport | RunPodError, runpod: RunPod, *, everywhere: bool = False
) -> float:
    """One answer of the sweep: a report, or the reason why there is none. Seconds until the next look."""
    try:
        if isinstance(result, JobReport):
            return take_report(version, result)
        if isinstance(result, NotFound):
            recovery.settle_missing(version, runpod)
        elif version.poll_failures + 1 == SAY_AFTER and not everywhere:
            version.note(f"Can't look at the job: {result}", level="warning")
    except (DatabaseError, TrainingVersion.DoesNotExist, OSError, ValueError) as error:
        # One version's trouble must not end the round for all others.
        log.exception("training %s: %s", version.pk, type(error).__name__)
    pause = min(LONGEST_PAUSE, ROUND_SECONDS * 2.0 ** min(version.poll_failures, 5))
    return max(result.retry_after, pause) if isinstance(result, RateLimited) else pause


def take_report(version: TrainingVersion, report: JobReport) -> float:
    """Applies what is new, and says when to look again: a long queue is looked at ever more rarely."""
    heard = (
        report.state,
        report.retries,
        report.worker_id,
        (progress := report.progress)
        and (progress.stage, progress.step, len(progress.log), len(progress.samples), progress.stages[:1]),
    )
    job_id = version.job_id or ""
    told = report.state == JobState.IN_QUEUE and version.status == Status.QUEUED  # the row says so already
    if not told and (_heard.get(job_id) != heard or report.state.is_final):
        reports.apply(version, report)
        _heard[job_id] = heard
    if report.state.is_final:
        _heard.pop(job_id, None)
    if report.state != JobState.IN_QUEUE or version.submitted_at is None:
        return ROUND_SECONDS
    waited = (timezone.now() - version.submitted_at).total_seconds()
    return next((pause for limit, pause in QUEUE_PAUSES if waited < limit), LONGEST_QUEUE_PAUSE)


#: In the queue for less than so many seconds: the next look after so many.
QUEUE_PAUSES = ((120.0, ROUND_SECONDS), (600.0, 6.0), (1800.0, 12.0))
LONGEST_QUEUE_PAUSE = 30.0


def schedule(keys: list[int], pause: float, failures: int) -> None:
    """Writes down when these are due again."""
    changes: dict[str, object] = {
        "next_poll_at": timezone.now() + timedelta(seconds=pause - 0.5),  # a round is never quite on time
        "poll_failures": failures,
    }
    if not failures:
        changes["missing_since"] = None
    TrainingVersion.objects.filter(pk__in=keys, status__in=RUNNING).update(**changes)


def resubmit_due(now: datetime) -> None:
    """Pending versions whose task was lost, or whose next attempt is due."""
    due = TrainingVersion.objects.filter(
        Q(next_poll_at__lte=now) | Q(next_poll_at=None, updated_at__lt=now - timedelta(seconds=20)),
        status=Status.PENDING,
    )
    for pk in due.values_list("pk", flat=True):
        # One task per look, even when the queue is slow.
        if due.filter(pk=pk).update(next_poll_at=now + timedelta(minutes=1)):
            async_task("training.tasks.submit", pk)


def settle_unanswered(now: datetime) -> None:
    """Submissions without an answer: the LoRA may show up; after a while a person is asked."""
    waiting = TrainingVersion.objects.filter(
        Q(next_poll_at=None) | Q(next_poll_at__lte=now),
        status=Status.SUBMITTING,
        submitted_at__lt=now - min(UNANSWERED_AFTER, settings.DECIDE_AFTER),
    )
    for version in waiting:
        TrainingVersion.objects.filter(pk=version.pk, status=Status.SUBMITTING).update(
            next_poll_at=now + timedelta(seconds=15)
        )
        if not recovery.recover(version) and version.can_be_resolved:
            warn(version, "unanswered", "No answer from the endpoint: a person has to decide")


def settle_expired(now: datetime) -> None:
    """Past their time at the endpoint, and nobody could say how they stand."""
    long_ago = now - recovery.GRACE
    silent = Q(poll_failures__gt=0) | Q(missing_since__isnull=False) | Q(job_id=None)
    over = Q(expires_at__lt=long_ago) | Q(expires_at=None, created_at__lt=long_ago - timedelta(days=7))
    for version in TrainingVersion.objects.filter(silent, over, status__in=(Status.SUBMITTING, *RUNNING)):
        recovery.settle_expired(version)


def warn_of_waiting(now: datetime) -> None:
    """Those that wait long for a worker are told, once."""
    for version in TrainingVersion.objects.filter(
        status=Status.QUEUED, submitted_at__lt=now - settings.LONG_WAIT, warned_at=None
    ):
        minutes = round(settings.LONG_WAIT.total_seconds() / 60)
        warn(version, "waits", f"Waiting for a worker for more than {minutes} minutes")


def warn(version: TrainingVersion, occasion: notices.Occasion, message: str) -> None:
    """Says it in the timeline, by letter and to other systems, once."""
    with transaction.atomic():
        rows = TrainingVersion.objects.filter(pk=version.pk, warned_at=None, status=version.status)
        if rows.update(warned_at=timezone.now()):
            version.note(message, level="warning")
            notices.tell(version, occasion)
            outbox.announce(f"training.{occasion}", version)


def work_left() -> bool:
    """Whether anything still needs a sweep."""
    return (
        TrainingVersion.objects.active().exists()
        or preview_sweeping.work_left()
        or JobToStop.objects.exists()
        or batch_launches.is_hungry(timezone.now())
    )
