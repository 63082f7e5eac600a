"""What django-q2 runs for previews. Tasks may come twice or die half-way, as with trainings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone
from django_q.tasks import async_task

from actors import storage
from training import preview_body, preview_recovery, preview_reports
from training.endpoints import connect
from training.models import Preview
from training.preview_models import PreviewStatus
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
from training.tasks import PATIENCE, SUBMIT_ATTEMPTS, SWEEP

log = logging.getLogger(__name__)


def submit(pk: int) -> None:
    """Sends a pending preview to the endpoint, once: whoever claims it first sends it."""
    preview = (
        Preview.objects.select_related("version__actor", "created_by")
        .filter(pk=pk, status=PreviewStatus.PENDING)
        .first()
    )
    if preview is None:
        return
    try:
        # Before the claim: between the claim and the POST nothing may take time or go wrong.
        body = preview_body.build(preview)
    except OSError as error:
        put_off(preview, f"The job could not be put together: {error}.")
        return
    if preview.claim(timedelta(milliseconds=body["policy"]["ttl"])):
        send(preview, body)


def send(preview: Preview, body: dict[str, object]) -> None:
    """The one POST that costs money, and what its answer means."""
    try:
        with connect(preview.endpoint_id) as runpod:
            report = runpod.run(body)
    except SubmissionUnknown as error:
        # Never sent again by itself: the webhook, the pictures or a person say what became of it.
        Preview.objects.filter(pk=preview.pk, status=PreviewStatus.CLAIMED).update(error=str(error))
    except (SubmissionNotSent, RateLimited) as error:
        put_off(preview, str(error), error)
    except (Rejected, Unauthorized, NotFound) as error:
        preview.fail(str(error))
    else:
        try:
            preview_reports.apply(preview, report)
        except Preview.DoesNotExist:
            return  # deleted meanwhile: its job is being stopped
        if preview.job_id and not same_job(preview.job_id, report.id):
            JobToStop.order_job(preview.endpoint_id, report.id)
    async_task(SWEEP)


def put_off(preview: Preview, reason: str, error: RunPodError | None = None) -> None:
    """It was not sent: try again later, or give up and say why."""
    attempts = preview.poll_failures + 1
    now = timezone.now()
    if isinstance(error, RateLimited):
        # The endpoint is well, only busy: a crowd of previews waits for its turn.
        if now - preview.created_at < PATIENCE:
            pause = max(error.retry_after, min(60, 2**attempts))
            preview.mark_not_sent(reason, now + timedelta(seconds=pause))
            return
    elif attempts < SUBMIT_ATTEMPTS:
        preview.mark_not_sent(reason, now + timedelta(seconds=2**attempts * 2))
        return
    preview.fail(f"{reason} Tried {attempts} times. Draw it again once the endpoint answers.")


def refresh(pk: int) -> bool:
    """Looks at one preview now ("Check status"). Raises ``RunPodError`` when the endpoint can't say."""
    preview = Preview.objects.select_related("version").get(pk=pk)
    if preview.is_unanswered or preview.presumed:
        return preview_reports.recover(preview)
    if preview.status != PreviewStatus.SUBMITTED or not preview.job_id:
        return False
    with connect(preview.endpoint_id, hasty=True) as runpod:
        try:
            return preview_reports.apply(preview, runpod.status(preview.job_id))
        except NotFound:
            return preview_recovery.settle_missing(preview, runpod)


def delete_files(keys: Sequence[str]) -> None:
    """Pictures of a preview that was deleted."""
    for key in keys:
        storage.delete(storage.own(key).s3)
