"""What a report of the endpoint changes in a preview. Every report ends in ``apply``, whoever brought it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.template.defaultfilters import pluralize
from django.utils import timezone

from actors import storage
from training import strict_json as read
from training.costs import bill_for
from training.job_report import JobReport, JobState, same_job
from training.models import Preview
from training.preview_models import PreviewStatus
from training.progress import log_lines
from training.score_queue import measure_later
from training.stops import JobToStop

if TYPE_CHECKING:
    from collections.abc import Collection

log = logging.getLogger(__name__)

STAGES = ("starting", "downloading", "drawing", "done")


def apply(preview: Preview, report: JobReport) -> bool:
    """Idempotent and order-free: an end stays, and the same report twice changes nothing.

    Raises ``Preview.DoesNotExist`` when it was deleted meanwhile; its job is being stopped then.
    """
    # The store is asked before the row is locked: it may be slow.
    stored = find_pictures(preview) if report.state.is_final else frozenset()
    try:
        with transaction.atomic():
            locked = Preview.objects.select_for_update().get(pk=preview.pk)
            changed = _apply(locked, report, stored)
    except Preview.DoesNotExist:
        if not report.state.is_final:
            JobToStop.order_job(preview.endpoint_id, report.id)
        raise
    preview.refresh_from_db()
    return changed


def _apply(preview: Preview, report: JobReport, stored: Collection[int]) -> bool:
    drawn = save_pictures(preview, {*stored, *named_pictures(report)})
    if preview.job_id and not same_job(preview.job_id, report.id):
        # A person sent it again although the endpoint had taken it: both jobs draw the same files.
        if not report.state.is_final:
            JobToStop.order_job(preview.endpoint_id, report.id)
        return settle(preview, report) if report.state == JobState.COMPLETED else bool(drawn)
    learned = _learn_job(preview, report)
    if not (preview.is_active or preview.presumed):
        return learned or bool(drawn)
    return (settle(preview, report) if report.state.is_final else _go_on(preview, report)) or learned


def _learn_job(preview: Preview, report: JobReport) -> bool:
    """A report may be the first to tell the job's id: the answer to ``/run`` was lost."""
    if preview.job_id or Preview.objects.filter(job_id=report.id).exists():
        return False
    if preview.is_active:
        return preview.mark_submitted(report.id)
    Preview.objects.filter(pk=preview.pk, job_id=None).update(job_id=report.id)
    preview.job_id = report.id
    if not report.state.is_final:
        JobToStop.order_job(preview.endpoint_id, report.id)
    return True


def _go_on(preview: Preview, report: JobReport) -> bool:
    """It waits or draws: the stage, the console and who draws it."""
    if report.state == JobState.IN_QUEUE:
        return False
    stage = read.at(report.output, "stage")
    changes: dict[str, Any] = {name: value for name, value in _times(report).items() if value}
    if isinstance(stage, str) and stage in STAGES:
        changes["stage"] = max(preview.stage, stage, key=_rank)
    if lines := log_lines(read.at(report.output, "log")):
        changes["log"] = lines
    if preview.started_at is None:
        changes["started_at"] = timezone.now()
    changes = {name: value for name, value in changes.items() if getattr(preview, name) != value}
    if not changes:
        return False
    Preview.objects.filter(pk=preview.pk).update(updated_at=timezone.now(), **changes)
    preview.refresh_from_db()
    return True


def settle(preview: Preview, report: JobReport) -> bool:
    """The job has ended. All pictures in the store count as done, whatever the report says."""
    if missing := preview.images.filter(url="").count():
        return preview.fail(_failure(report, missing), **_bill(preview, report))
    return complete(preview, **_bill(preview, report))


def complete(preview: Preview, **changes: Any) -> bool:
    """Done, and its pictures are measured."""
    completed = preview.complete(**changes)
    if completed:
        measure_later(preview.version_id)
    return completed


def _failure(report: JobReport, missing: int) -> str:
    match report.state:
        case JobState.COMPLETED:
            late = f"{missing} picture{pluralize(missing, ' has,s have')} not arrived"
            return f"The job completed, but {late}. Draw it again."
        case JobState.CANCELLED:
            return "The endpoint cancelled the job."
        case JobState.TIMED_OUT:
            return "The endpoint stopped the job: it took longer than allowed. Draw fewer pictures."
        case _:
            return report.error or "The endpoint says that the drawing failed, but not why."


def _times(report: JobReport) -> dict[str, Any]:
    return {"delay_ms": report.delay_ms, "worker_id": report.worker_id}


def _bill(preview: Preview, report: JobReport) -> dict[str, Any]:
    """What the endpoint tells of its times, and the cost by them, else by the clock."""
    bill = {name: value for name, value in _times(report).items() if value}
    if report.execution_ms:
        bill["execution_ms"] = report.execution_ms
    if lines := log_lines(read.at(report.output, "progress", "log")):
        bill["log"] = lines
    return bill | {"cost_usd": cost_of(preview.started_at, report.execution_ms)}


def cost_of(started_at: datetime | None, execution_ms: int | None) -> Any:
    """US dollars of an ended job; None where no price is configured."""
    seconds = (execution_ms or 0) / 1000
    if not seconds and started_at:
        seconds = (timezone.now() - started_at) / timedelta(seconds=1)
    bill = bill_for(seconds, "told") if seconds else None
    return bill.total if bill else None


def named_pictures(report: JobReport) -> set[int]:
    """Which pictures the worker says it has stored."""
    output = report.output
    images = read.at(output, "images") or read.at(output, "progress", "images")
    named = (read.integer(read.at(image, "image")) for image in images) if isinstance(images, list) else ()
    return {position for position in named if position is not None}


def save_pictures(preview: Preview, positions: Collection[int]) -> int:
    """Notes that these lie in the store; returns how many were new. Where they lie is ours to say."""
    missing = preview.images.filter(url="")
    new = [image for image in missing if image.position in positions] if positions else []
    for image in new:
        image.url, image.drawn_at = storage.own(preview.image_key(image.position)).s3, timezone.now()
    preview.images.bulk_update(new, ["url", "drawn_at"])
    return len(new)


def find_pictures(preview: Preview) -> frozenset[int]:
    """Which pictures lie in the store, by one listing. A store that can't be asked has shown none."""
    address = storage.own(preview.image_key(0))
    try:
        found = storage.list_prefix(address.bucket, address.key.removesuffix("000.png"))
    except OSError as error:
        log.warning("looking for the pictures of preview %s: %s", preview.pk, error)
        return frozenset()
    names = (key.rsplit("/", 1)[-1].removesuffix(".png") for key, stored in found.items() if stored.size)
    return frozenset(int(name) for name in names if name.isdecimal())


def recover(preview: Preview) -> bool:
    """Notes the pictures that lie in the store; done when all do, although nobody reported it."""
    save_pictures(preview, find_pictures(preview))
    if preview.images.filter(url="").exists():
        return False
    return complete(preview, cost_usd=cost_of(preview.started_at, preview.execution_ms))


def _rank(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else -1


def is_waiting(preview: Preview) -> bool:
    """In the endpoint's queue: no worker has taken it yet."""
    return preview.status == PreviewStatus.SUBMITTED and preview.started_at is None
