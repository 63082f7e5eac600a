"""The sweep's part for previews: what is due is asked, what got stuck is settled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from training import notices, preview_recovery, preview_reports, recovery
from training.job_report import JobReport
from training.models import Preview
from training.preview_models import PreviewStatus
from training.runpod import NotFound, RateLimited, RunPodError

if TYPE_CHECKING:
    from training.runpod import RunPod

log = logging.getLogger(__name__)

Found: TypeAlias = Mapping[str, JobReport | RunPodError]
#: Asks an endpoint about jobs, within its limit: the client, and what it says of those that were asked.
Ask: TypeAlias = "Callable[[str, list[str]], tuple[RunPod, Found]]"

#: A preview takes seconds, and somebody may be watching it. One that waits is looked at more rarely.
PAUSE, WAITING_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(seconds=10), timedelta(minutes=1)
#: In the queue for longer than this nobody is waiting before the screen.
LONG_QUEUE = timedelta(minutes=2)
UNANSWERED_AFTER = timedelta(minutes=1)


def look(now: datetime, ask: Ask) -> None:
    """One round."""
    resubmit_due(now)
    due: dict[str, dict[str, Preview]] = {}
    for preview in Preview.objects.due(now).select_related("version").defer("log"):
        if preview.job_id:
            due.setdefault(preview.endpoint_id or settings.RUNPOD_ENDPOINT_ID, {})[preview.job_id] = preview
    for endpoint_id, by_job in due.items():
        runpod, found = ask(endpoint_id, list(by_job))
        for job_id, result in found.items():
            take_in(by_job[job_id], result, runpod)
    settle_unanswered(now)
    settle_expired(now)


def work_left() -> bool:
    """Whether any preview still needs a sweep."""
    return Preview.objects.active().exists()


def take_in(preview: Preview, result: JobReport | RunPodError, runpod: RunPod) -> None:
    """One answer, or the reason why there is none; and when to look again."""
    failures = preview.poll_failures + 1
    try:
        if isinstance(result, JobReport):
            failures = 0
            preview_reports.apply(preview, result)
        elif isinstance(result, NotFound):
            preview_recovery.settle_missing(preview, runpod)
    except (DatabaseError, Preview.DoesNotExist, OSError, ValueError) as error:
        # One preview's trouble must not end the round for all others.
        log.exception("preview %s: %s", preview.pk, type(error).__name__)
    changes: dict[str, object] = {"poll_failures": failures}
    if not failures:
        changes["missing_since"] = None
    rows = Preview.objects.filter(pk=preview.pk, status=PreviewStatus.SUBMITTED)
    rows.update(next_poll_at=timezone.now() + pause(preview, result, failures), **changes)


def pause(preview: Preview, result: JobReport | RunPodError, failures: int) -> timedelta:
    """How long until the next look."""
    if isinstance(result, RateLimited):
        return max(timedelta(seconds=result.retry_after), PAUSE)
    if failures:
        return min(LONGEST_PAUSE, PAUSE * 2.0 ** min(failures, 5))
    queued_for = timezone.now() - (preview.submitted_at or preview.created_at)
    return WAITING_PAUSE if preview_reports.is_waiting(preview) and queued_for > LONG_QUEUE else PAUSE


def resubmit_due(now: datetime) -> None:
    """Pending previews whose task was lost, or whose next attempt is due."""
    lost = Q(next_poll_at=None, updated_at__lt=now - timedelta(seconds=20))
    due = Preview.objects.filter(Q(next_poll_at__lte=now) | lost, status=PreviewStatus.PENDING)
    for pk in due.values_list("pk", flat=True):
        # One task per look, even when the queue is slow.
        if due.filter(pk=pk).update(next_poll_at=now + timedelta(minutes=1)):
            async_task("training.preview_tasks.submit", pk)


def settle_unanswered(now: datetime) -> None:
    """Submissions without an answer: their pictures may show up; a person may decide."""
    waiting = Preview.objects.filter(
        Q(next_poll_at=None) | Q(next_poll_at__lte=now),
        status=PreviewStatus.CLAIMED,
        submitted_at__lt=now - min(UNANSWERED_AFTER, settings.DECIDE_AFTER),
    )
    for preview in waiting.select_related("version", "created_by"):
        Preview.objects.filter(pk=preview.pk).update(next_poll_at=now + timedelta(seconds=15))
        if not preview_reports.recover(preview) and preview.can_be_resolved:
            warn(preview)


def warn(preview: Preview) -> None:
    """Says by letter, once, that a person has to decide."""
    with transaction.atomic():
        rows = Preview.objects.filter(pk=preview.pk, warned_at=None, status=PreviewStatus.CLAIMED)
        if rows.update(warned_at=timezone.now()):
            notices.tell_of_preview(preview)


def settle_expired(now: datetime) -> None:
    """Past their time at the endpoint, and nobody could say how they stand."""
    silent = Q(poll_failures__gt=0) | Q(missing_since__isnull=False) | Q(job_id=None)
    sent = (PreviewStatus.CLAIMED, PreviewStatus.SUBMITTED)
    over = Preview.objects.filter(silent, expires_at__lt=now - recovery.GRACE, status__in=sent)
    for preview in over.select_related("version"):
        preview_recovery.settle_expired(preview)
