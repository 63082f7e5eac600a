"""Launches of batches, and what comes of them: the sweep calls ``advance`` every few seconds.

It only ever takes steps that the rows allow, each in a transaction of its own with the batch's row locked:
killed anywhere, or run by two at once, it goes on from what is written down. A launch and the item it
belongs to are written together, so no actor is trained twice, and what the launch may cost is reserved with
them, so that the ceiling holds however many launch at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from actors.permissions import can
from training import batch_judgement, batch_planning, costs, launch
from training.batch_models import HOLDING, NOTHING, OPEN, Batch, BatchItem, BatchState, ItemState
from training.models import ACTIVE, TERMINAL, Status
from training.parameters import ParameterErrors, Parameters

log = logging.getLogger(__name__)

#: Launches of one batch in one round of the sweep, so that a long queue of it holds nobody else up.
AT_ONCE = 25
#: So many failures in a row are the endpoint's or the preset's, and would cost every other actor too.
TOO_MANY_FAILURES = 3


def end_cancelled(batch: Batch) -> None:
    """Ends what waits and trains for a cancelled batch; killed half-way, the next round goes on."""
    batch.items.filter(state=ItemState.WAITING).update(state=ItemState.CANCELLED)
    training = batch.items.filter(state=ItemState.LAUNCHED, version__status__in=ACTIVE)
    for item in training.select_related("version"):
        if item.version:
            item.version.cancel(batch.cancelled_by)
    settle(batch.items.all())


def advance(now: datetime | None = None) -> None:
    """One step of every batch: takes in what has ended, launches what may be, ends what is through."""
    now = now or timezone.now()
    batch_planning.rescue(now)
    settle(BatchItem.objects.all())
    for batch in Batch.objects.filter(Q(state=BatchState.RUNNING) | _leftover()):
        with alone(f"batch {batch.pk}"):
            advance_one(batch, now)
    finish_all()
    for item in batch_judgement.due():
        with alone(f"the rule of batch {item.batch_id}"):
            batch_judgement.judge(item, now)


@contextmanager
def alone(what: str) -> Iterator[None]:
    """One row's trouble must not end the round for all others, nor the sweep that goes on with trainings."""
    try:
        yield
    except (DatabaseError, ObjectDoesNotExist, ValueError, OSError) as error:
        log.exception("%s: %s", what, type(error).__name__)


def advance_one(batch: Batch, now: datetime) -> None:
    """Launches for a running batch what may be; a cancelled one it ends."""
    if batch.state == BatchState.CANCELLED:
        end_cancelled(batch)
        return
    grow_reservations(batch, now)
    for _ in range(AT_ONCE):
        if not launch_next(batch, now):
            return


def _leftover() -> Q:
    """Cancelled batches whose actors are not all free."""
    active = BatchItem.objects.filter(batch=OuterRef("pk"), state__in=HOLDING)
    return Q(Exists(active), state=BatchState.CANCELLED)


def is_hungry(now: datetime) -> bool:
    """Whether a batch is being looked at, or could launch something now, so that a sweep has to go on."""
    running = Batch.objects.filter(state=BatchState.RUNNING)
    return batch_planning.work_left() or any(batch.may_launch_at(now) for batch in running)


@transaction.atomic
def launch_next(batch: Batch, now: datetime) -> bool:
    """Launches the first one that waits, if state, times, places and ceiling allow it.

    False when nothing more is to be done now. True after a launch, and when the first one could not start.
    """
    row = Batch.lock(batch.pk)
    item = _due(row, now)
    if item is None:
        return False
    reserve = _at_most(item)
    if row.ceiling is not None and not _fits(row, reserve):
        return False
    try:
        version = launch.launch(
            item.actor, item.parameters, by=row.begun_by, repeats=item.version, preset=row.preset
        )
    except launch.CannotStart as error:
        if any(check.mend == "budget" for check in error.checks):
            # It would refuse every other actor as well.
            row.pause(str(error))
            return False
        return _block(item, str(error))
    except ParameterErrors as error:
        return _block(item, str(error))
    item.version, item.state, item.reason = version, ItemState.LAUNCHED, ""
    item.image_count, item.attempts, item.reserved = (
        version.image_count,
        item.attempts + 1,
        reserve or NOTHING,
    )
    item.save()
    return True


def _due(batch: Batch, now: datetime) -> BatchItem | None:
    """Whose turn it is, if anybody's."""
    if batch.state != BatchState.RUNNING:
        return None
    if batch.is_over(now):
        batch.pause("Its stop time has passed. Trainings that run go on.")
        return None
    if not batch.may_launch_at(now) or not _allowed(batch):
        return None
    if batch.items.filter(state=ItemState.LAUNCHED).count() >= batch.concurrency:
        return None
    return batch.items.filter(state=ItemState.WAITING).order_by(*batch.queue(), "pk").first()


def _allowed(batch: Batch) -> bool:
    """Whoever has left, or may train no more, launches nothing by way of a batch either."""
    if batch.begun_by is None or can(batch.begun_by, "train"):
        return True
    batch.pause(f"{batch.begun_by} may no longer start trainings. Somebody who may can let it go on.")
    return False


def _block(item: BatchItem, reason: str) -> bool:
    item.state, item.reason = ItemState.BLOCKED, reason
    item.save(update_fields=["state", "reason"])
    return True


def _at_most(item: BatchItem) -> Decimal | None:
    """What a launch may cost, by the upper end of its estimate; ``None`` without a price."""
    length = launch.estimate(Parameters.from_dict(item.parameters), item.image_count)
    bill = costs.bill_for(length.high)
    return bill.total if bill else None


def _fits(batch: Batch, reserve: Decimal | None) -> bool:
    """Whether the ceiling allows it. Where nothing runs whose end could make room, the batch pauses."""
    if reserve is None:
        batch.pause("No price of the GPU is set any more, so the ceiling can't be kept.")
        return False
    committed = batch.committed()
    if committed + reserve <= (batch.ceiling or NOTHING):
        return True
    if not batch.items.filter(state=ItemState.LAUNCHED).exists():
        batch.pause(
            f"The ceiling is reached: {committed:.2f} of ${batch.ceiling:.2f} are used, and the next actor "
            f"takes up to ${reserve:.2f}. Raise the ceiling, then let it go on.",
        )
    return False


def grow_reservations(batch: Batch, now: datetime) -> None:
    """A training that takes longer than anybody thought holds what it really costs."""
    if batch.ceiling is None:
        return
    running = batch.items.filter(state=ItemState.LAUNCHED, version__status__in=ACTIVE)
    for item in running.select_related("version"):
        bill = costs.bill_of(item.version, now) if item.version else None
        if bill and bill.total > item.reserved:
            rows = BatchItem.objects.filter(pk=item.pk, state=ItemState.LAUNCHED, version=item.version)
            rows.update(reserved=bill.total)


_ENDS = {
    Status.COMPLETED: ItemState.COMPLETED,
    Status.FAILED: ItemState.FAILED,
    Status.CANCELLED: ItemState.CANCELLED,
}


def settle(items: Any) -> None:
    """Takes in trainings that have ended, and those that were only presumed lost and completed after all."""
    ended = Q(state=ItemState.LAUNCHED) & (Q(version=None) | Q(version__status__in=TERMINAL))
    found = Q(state=ItemState.FAILED, version__status=Status.COMPLETED)
    for item in items.filter(ended | found).select_related("version"):
        with alone(f"batch {item.batch_id}"), transaction.atomic():
            row = Batch.lock(item.batch_id)
            _settle(row, item)


def _settle(batch: Batch, item: BatchItem) -> None:
    version = item.version
    state = _ENDS[Status(version.status)] if version else ItemState.CANCELLED
    bill = costs.bill_of(version, version.finished_at or timezone.now()) if version else None
    # A version that is deleted takes its times with it; what was reserved for it is what is known.
    cost = bill.total if bill else NOTHING if version else item.reserved
    changes: dict[str, Any] = {
        "state": state,
        "reason": version.error if version else "The version is deleted.",
    }
    if item.state == ItemState.LAUNCHED:
        changes |= {"reserved": NOTHING, "spent": F("spent") + cost}
    rows = BatchItem.objects.filter(pk=item.pk, state=item.state, version=version)
    if not rows.update(**changes):
        return  # somebody else was faster
    failures = batch.failures + 1 if state == ItemState.FAILED else 0
    if state != ItemState.CANCELLED and failures != batch.failures:
        batch.failures = failures
        batch.save(update_fields=["failures"])
    if failures >= TOO_MANY_FAILURES and batch.state == BatchState.RUNNING:
        last = version.error if version else ""
        batch.pause(
            f"{failures} trainings in a row failed. Look why, then let it go on. The last one: {last}"
        )


def finish_all() -> None:
    """Batches with nothing left to train are done."""
    left = BatchItem.objects.filter(batch=OuterRef("pk"), state__in=HOLDING)
    for batch in Batch.objects.filter(~Exists(left), state__in=OPEN, planning__asked=""):
        with alone(f"batch {batch.pk}"), transaction.atomic():
            row = Batch.lock(batch.pk)
            if row.is_open and not row.items.filter(state__in=HOLDING).exists():
                row.state, row.note, row.ended_at = BatchState.DONE, "", timezone.now()
                row.save(update_fields=["state", "note", "ended_at"])
                row.tell(f"Done: {row.counts_in_words()}")
