"""What django-q2 runs: submit, stop a job, and the sweep that looks after every training.

Tasks may be delivered twice or die half-way. Each one therefore only takes a step that the
version's state allows, and leaves the rest to the next sweep.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.db import DatabaseError
from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import async_task

from training import job_body, recovery, stopping
from training.endpoints import EndpointState, connect
from training.leases import Lease
from training.models import RUNNING, Status, TrainingVersion
from training.runpod import (
    NotFound,
    RateLimited,
    Rejected,
    RunPodError,
    SubmissionNotSent,
    SubmissionUnknown,
    Unauthorized,
    same_job,
)
from training.stops import JobToStop
from training.sweeping import ROUND_SECONDS, Sweep, work_left

log = logging.getLogger(__name__)

SWEEP = "training.tasks.sweep"
#: How long one sweep goes on before it hands over to the next, so that other tasks get their turn.
SWEEP_SECONDS = 40
#: Longer than a round ever takes; a sweep that died is replaced after this.
LEASE_SECONDS = 40
#: A submission that surely did not arrive is repeated this often, ever later.
SUBMIT_ATTEMPTS = 6
#: An endpoint that asks for fewer requests is asked again for so long.
PATIENCE = timedelta(hours=1)


def submit(pk: int) -> None:
    """Sends a pending version to the endpoint, once: whoever claims it first sends it."""
    version = (
        TrainingVersion.objects.select_related("created_by").filter(pk=pk, status=Status.PENDING).first()
    )
    if version is None:
        return
    try:
        # Before the claim: between the claim and the POST nothing may take time or go wrong.
        body = job_body.build(version)
    except OSError as error:
        put_off(version, f"The job could not be put together: {error}")
        return
    if version.claim(timedelta(milliseconds=body["policy"]["ttl"])):
        send(version, body)


def send(version: TrainingVersion, body: dict[str, object]) -> None:
    """The one POST that costs money, and what its answer means."""
    try:
        with connect(version.endpoint_id) as runpod:
            report = runpod.run(body)
    except SubmissionUnknown as error:
        version.note(f"{error} It is not sent again by itself.", level="warning")
    except (SubmissionNotSent, RateLimited) as error:
        put_off(version, str(error), error)
    except (Rejected, Unauthorized, NotFound) as error:
        version.fail(str(error), allowed=(Status.SUBMITTING,))
    else:
        try:
            version.apply_report(report)
        except TrainingVersion.DoesNotExist:
            return  # deleted meanwhile: its job is being stopped
        if version.job_id and not same_job(version.job_id, report.id):
            JobToStop.order(version, report.id)
    async_task(SWEEP)


def put_off(version: TrainingVersion, reason: str, error: RunPodError | None = None) -> None:
    """It was not sent: try again later, or give up and say why."""
    attempts = version.poll_failures + 1
    now = timezone.now()
    if isinstance(error, RateLimited):
        # The endpoint is well, only busy: a crowd of launches waits for its turn.
        if now - version.created_at < PATIENCE:
            version.mark_not_sent(
                reason, now + timedelta(seconds=max(error.retry_after, min(60, 2**attempts)))
            )
            return
    elif attempts < SUBMIT_ATTEMPTS:
        version.mark_not_sent(reason, now + timedelta(seconds=2**attempts * 2))
        return
    unsent = (Status.PENDING, Status.SUBMITTING)
    version.fail(
        f"{reason} Tried {attempts} times. Start it again once the endpoint answers.", allowed=unsent
    )


def stop_job(job_id: str) -> None:
    """Stops a job that nobody waits for; one that is gone already is as good as stopped."""
    order = JobToStop.objects.filter(pk=job_id).first()
    if order is None:
        return
    try:
        with connect(order.endpoint_id) as runpod:
            runpod.cancel(order.job_id)
    except (NotFound, Rejected):
        pass
    except RunPodError as error:
        if not order.is_over:
            version = TrainingVersion.objects.filter(pk=order.version_pk).first()
            if version and not order.failures:
                version.note(f"The job is not stopped yet: {error} It is tried again.", level="warning")
            order.put_off()
            return
    order.delete()


def refresh(pk: int) -> bool:
    """Looks at one version now ("Check status"). Raises ``RunPodError`` when the endpoint can't say."""
    version = TrainingVersion.objects.get(pk=pk)
    if version.is_unanswered or version.presumed:
        return recovery.recover(version)
    if version.status not in RUNNING or not version.job_id:
        return False
    with connect(version.endpoint_id, hasty=True) as runpod:
        try:
            return version.apply_report(runpod.status(version.job_id))
        except NotFound:
            return recovery.settle_missing(version, runpod)


def sweep() -> None:
    """Looks after all trainings every few seconds, on one machine at a time, while there are any."""
    lease = Lease.take("sweep", seconds=LEASE_SECONDS)
    if lease is None:
        return
    end = time.monotonic() + SWEEP_SECONDS
    try:
        with Sweep() as rounds:
            while lease.renew():
                began = time.monotonic()
                if not rounds.round() or began > end:
                    rounds.see_endpoint(EndpointState.configured())
                    break
                if stopping.asked_within(max(0.2, ROUND_SECONDS - (time.monotonic() - began))):
                    break
    finally:
        lease.give_back()
    if work_left():
        async_task(SWEEP)


def start_sweeping() -> None:
    """A worker of the task queue has started, perhaps because another one died while it swept.

    The dead one's task comes back after ten minutes, and the schedule looks every half minute at best.
    """
    try:
        async_task(SWEEP)
    except DatabaseError as error:  # the worker must come up all the same
        log.warning("no sweep at the start of a worker: %s", error)


def ensure_schedule() -> None:
    """The watchdog: each minute a sweep is started, which returns at once when one is running."""
    Schedule.objects.update_or_create(
        name="sweep", defaults={"func": SWEEP, "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1}
    )
