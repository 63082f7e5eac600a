"""What django-q2 runs: submit, cancel, refresh, and the sweep that looks after every training.

Tasks may be delivered twice or die half-way. Each one therefore only takes a step that the
version's state allows, and leaves the rest to the next sweep.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import async_task

from actors import storage
from training import job_body
from training.leases import Lease
from training.models import RUNNING, Status, TrainingVersion
from training.runpod import (
    JobReport,
    NotFound,
    RateLimited,
    Rejected,
    RunPod,
    RunPodConfig,
    RunPodError,
    SubmissionNotSent,
    SubmissionUnknown,
    Unauthorized,
)

log = logging.getLogger(__name__)

SWEEP = "training.tasks.sweep"
#: Seconds between two rounds, and how long one sweep goes on before it hands over to the next.
ROUND_SECONDS = 3
SWEEP_SECONDS = 120
#: A submission that surely did not arrive is repeated this often, ever later.
SUBMIT_ATTEMPTS = 6
#: A job that is nowhere to be found for this long is lost.
LOST_AFTER = timedelta(minutes=10)
#: RunPod allows 200 status calls a second and endpoint; half of it is for the people.
STATUS_PER_SECOND = 100
LONGEST_BACKOFF = 60


def endpoint() -> RunPod:
    """The configured endpoint; use it as a context manager."""
    return RunPod(
        RunPodConfig(settings.RUNPOD_BASE_URL, settings.RUNPOD_ENDPOINT_ID, settings.RUNPOD_API_KEY)
    )


def submit(pk: int) -> None:
    """Sends a pending version to the endpoint, once: whoever claims it first sends it."""
    version = TrainingVersion.objects.filter(pk=pk).first()
    if version is None or not version.claim():
        return
    try:
        body = job_body.build(version)
    except OSError as error:
        version.fail(f"The job could not be put together: {error}")
        return
    try:
        with endpoint() as runpod:
            report = runpod.run(body)
    except SubmissionUnknown as error:
        version.note(f"{error} It is not sent again by itself.", level="warning")
    except (SubmissionNotSent, RateLimited) as error:
        put_off(version, str(error))
    except (Rejected, Unauthorized, NotFound) as error:
        version.fail(str(error), allowed=(Status.SUBMITTING,))
    else:
        version.apply_report(report)
        async_task(SWEEP)


def put_off(version: TrainingVersion, reason: str) -> None:
    """The endpoint did not take it: try again later, or give up and say why."""
    attempts = version.events.filter(kind=Status.PENDING, level="warning").count() + 1
    if attempts >= SUBMIT_ATTEMPTS:
        version.fail(f"{reason} Tried {attempts} times. Start it again once the endpoint answers.")
    else:
        version.mark_not_sent(reason, timezone.now() + timedelta(seconds=2**attempts * 2))


def cancel_job(pk: int) -> None:
    """Stops the job of a cancelled version; a job that is gone already is as good as stopped."""
    version = TrainingVersion.objects.filter(pk=pk).first()
    if version is None or version.is_active or not version.job_id:
        return
    try:
        with endpoint() as runpod:
            runpod.cancel(version.job_id)
    except (NotFound, Rejected):
        return
    except RunPodError as error:
        version.note(f"The job could not be stopped: {error}", level="error")


def refresh(pk: int) -> bool:
    """Looks at one version now ("Check status"). Raises ``RunPodError`` when the endpoint can't say."""
    version = TrainingVersion.objects.get(pk=pk)
    if version.status not in RUNNING or not version.job_id:
        return False
    with endpoint() as runpod:
        try:
            return version.apply_report(runpod.status(version.job_id))
        except NotFound:
            return settle_missing(version)


def settle_missing(version: TrainingVersion) -> bool:
    """The endpoint does not know the job (any more): the object store knows whether it finished."""
    if recover(version):
        return True
    since = version.missing_since
    if since is None:
        TrainingVersion.objects.filter(pk=version.pk).update(missing_since=timezone.now())
    elif timezone.now() - since > LOST_AFTER:
        return version.fail(
            "Lost: the endpoint no longer knows this job, and no LoRA has arrived. Start it again."
        )
    return False


def recover(version: TrainingVersion) -> bool:
    """Completes a version whose LoRA lies at its key although nobody reported it."""
    url = storage.own(version.lora_key)
    try:
        size = storage.size(url.s3)
    except OSError as error:
        log.warning("recover %s: %s", version.pk, error)
        return False
    if not size:
        return False
    version.note("Found the finished LoRA in the object store")
    name = f"{version.model_name}.safetensors"
    return version.complete(storage.public_url(url), lora_name=name, lora_bytes=size)


def sweep() -> None:
    """Looks after all trainings every few seconds, on one machine at a time, while there are any."""
    lease = Lease.take("sweep", seconds=60)
    if lease is None:
        return
    end = time.monotonic() + SWEEP_SECONDS
    try:
        with endpoint() as runpod:
            while lease.renew() and sweep_round(runpod) and time.monotonic() < end:
                time.sleep(ROUND_SECONDS)
    finally:
        lease.give_back()
    if TrainingVersion.objects.active().exists():
        async_task(SWEEP)


def sweep_round(runpod: RunPod) -> bool:
    """One look at everything that is due. False when there is nothing left to look after."""
    now = timezone.now()
    resubmit_due(now)
    by_job = {version.job_id: version for version in TrainingVersion.objects.due(now) if version.job_id}
    for job_id, result in runpod.statuses(by_job, per_second=STATUS_PER_SECOND).items():
        take_in(by_job[job_id], result)
    for version in TrainingVersion.objects.filter(
        status=Status.SUBMITTING, submitted_at__lt=now - timedelta(minutes=1)
    ):
        recover(version)
    return TrainingVersion.objects.active().exists()


def resubmit_due(now: datetime) -> None:
    """Pending versions whose task was lost, or whose next attempt is due."""
    due = TrainingVersion.objects.filter(status=Status.PENDING).filter(
        Q(next_poll_at__lte=now) | Q(next_poll_at=None, created_at__lt=now - timedelta(seconds=20))
    )
    for pk in due.values_list("pk", flat=True):
        # One task per look, even when the queue is slow.
        if TrainingVersion.objects.filter(pk=pk, status=Status.PENDING).update(
            next_poll_at=now + timedelta(minutes=1)
        ):
            async_task("training.tasks.submit", pk)


def take_in(version: TrainingVersion, result: JobReport | RunPodError) -> None:
    """One answer of the sweep: a report, or the reason why there is none."""
    if isinstance(result, JobReport):
        version.apply_report(result)
        wait, failures = 0.0, 0
    else:
        failures = version.poll_failures + 1
        wait = min(LONGEST_BACKOFF, ROUND_SECONDS * 2 ** min(failures, 6))
        if isinstance(result, NotFound):
            settle_missing(version)
        elif failures == 1:
            version.note(f"Can't look at the job: {result}", level="warning")
    changes: dict[str, object] = {
        "next_poll_at": timezone.now() + timedelta(seconds=wait),
        "poll_failures": failures,
    }
    if isinstance(result, JobReport):
        changes["missing_since"] = None
    TrainingVersion.objects.filter(pk=version.pk, status__in=RUNNING).update(**changes)


def ensure_schedule() -> None:
    """The watchdog: each minute a sweep is started, which returns at once when one is running."""
    Schedule.objects.update_or_create(
        name="sweep", defaults={"func": SWEEP, "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1}
    )
