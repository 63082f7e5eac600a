"""What happens to a batch: begun, paused, resumed, cancelled, its failed ones tried again; and each launch.

The sweep calls ``advance`` every few seconds. It only ever takes steps that the rows allow, each in a
transaction of its own with the batch's row locked: killed anywhere, or run by two at once, it goes on from
what is written down. A launch and the item it belongs to are written together, so no actor is trained twice,
and what the launch may cost is reserved with them, so that the ceiling holds however many launch at once.
"""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils import timezone
from django_q.tasks import async_task

from actors.permissions import can
from training import batch_plan, costs, launch
from training.batch_models import (
    ENDED,
    HOLDING,
    NOTHING,
    OPEN,
    Batch,
    BatchItem,
    BatchState,
    ItemState,
)
from training.models import ACTIVE, TERMINAL, Status
from training.parameters import ParameterErrors, Parameters

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = logging.getLogger(__name__)

#: Launches of one batch in one round of the sweep, so that a long queue of it holds nobody else up.
AT_ONCE = 25
#: So many failures in a row are the endpoint's or the preset's, and would cost every other actor too.
TOO_MANY_FAILURES = 3
#: What may change once it runs; the rest belongs to the plan.
LIMITS = {
    "name",
    "concurrency",
    "ceiling",
    "order",
    "starts_at",
    "stops_at",
    "daily_from",
    "daily_until",
    "time_zone",
    "good_threshold",
}


class NotPossible(Exception):
    """The batch's state does not allow it; the message says what to do. Nothing has changed."""


def lock(batch: Batch) -> Batch:
    """The row as it is now, for one transaction at a time. Locked before any actor's row, always."""
    return Batch.objects.select_for_update(of=("self",)).get(pk=batch.pk)


def _wake() -> None:
    """A sweep looks at once, not within the minute."""
    transaction.on_commit(lambda: async_task("training.tasks.sweep"))


# What people do


def begin(batch: Batch, by: User | None) -> None:
    """Looks at every actor once more, and lets the batch run. Raises ``NotPossible``."""
    for attempt in range(3):
        try:
            with transaction.atomic():
                _begin(lock(batch), by)
            break
        except IntegrityError:
            # Another batch took one of the actors since they were looked at: the next look sees that.
            if attempt == 2:
                raise NotPossible("Other batches with the same actors begin right now. Try again.") from None
    batch.refresh_from_db()


def _begin(batch: Batch, by: User | None) -> None:
    if batch.state != BatchState.PLANNED:
        raise NotPossible(f"{batch.name} is {batch.state} already.")
    try:
        batch_plan.replan(batch)
    except (batch_plan.CannotPlan, ParameterErrors) as error:
        raise NotPossible(str(error)) from error
    if batch.is_over(timezone.now()):
        raise NotPossible("Its stop time has passed. Choose a later one, or none.")
    ready = batch.items.filter(state=ItemState.PLANNED).update(state=ItemState.WAITING)
    if not ready:
        raise NotPossible("None of its actors can start. The plan says why, and what mends it.")
    batch.state, batch.begun_by, batch.begun_at = BatchState.RUNNING, by, timezone.now()
    batch.save()
    batch.tell(f"Begun with {ready} of {batch.items.count()} actors", by)
    _wake()


@transaction.atomic
def change(batch: Batch, by: User | None, **settings: Any) -> None:
    """Other settings. Raises ``NotPossible``, ``CannotPlan`` or ``ParameterErrors``."""
    row = lock(batch)
    changes = {name: value for name, value in settings.items() if getattr(row, name) != value}
    if not row.is_planned and not row.is_open:
        raise NotPossible(f"{row.name} is {row.state}: nothing changes any more.")
    if not row.is_planned and (fixed := changes.keys() - LIMITS):
        raise NotPossible(f"It has begun: {', '.join(sorted(fixed))} can't change any more.")
    for name, value in changes.items():
        setattr(row, name, value)
    if changes.keys() & {"preset", "parameters"}:
        batch_plan.replan(row)
    batch_plan.check_limits(row)
    row.save()
    if changes:
        row.tell(f"Changed: {', '.join(sorted(name.replace('_', ' ') for name in changes))}", by)
    if row.state == BatchState.RUNNING:
        _wake()
    batch.refresh_from_db()


@transaction.atomic
def look_again(batch: Batch) -> None:
    """Makes the plan anew. Raises ``NotPossible``, ``CannotPlan`` or ``ParameterErrors``."""
    row = lock(batch)
    if not row.is_planned:
        raise NotPossible(f"{row.name} is {row.state}: the plan is fixed.")
    batch_plan.replan(row)
    batch.refresh_from_db()


@transaction.atomic
def discard(batch: Batch) -> None:
    """A plan that never began leaves nothing. Raises ``NotPossible``."""
    row = lock(batch)
    if not row.is_planned:
        raise NotPossible(f"{row.name} has begun: cancel it instead. Its history stays.")
    row.delete()


@transaction.atomic
def pause(batch: Batch, by: User | None) -> None:
    """Launches nothing more; trainings that run go on. Raises ``NotPossible``."""
    row = lock(batch)
    if row.state != BatchState.RUNNING:
        raise NotPossible(f"{row.name} is {row.state}: only a running batch can pause.")
    _pause(row, "Paused", by)
    batch.refresh_from_db()


def _pause(batch: Batch, why: str, by: User | None = None) -> None:
    batch.state, batch.note = BatchState.PAUSED, "" if by else why
    batch.save(update_fields=["state", "note"])
    batch.tell(why, by)


@transaction.atomic
def resume(batch: Batch, by: User | None) -> None:
    """Goes on where it paused. Raises ``NotPossible``."""
    row = lock(batch)
    if row.state != BatchState.PAUSED:
        raise NotPossible(f"{row.name} is {row.state}: only a paused batch can go on.")
    if row.is_over(timezone.now()):
        raise NotPossible("Its stop time has passed. Choose a later one, or none, then let it go on.")
    _run(row, by)
    row.tell("Resumed", by)
    batch.refresh_from_db()


def _run(batch: Batch, by: User | None) -> None:
    batch.state, batch.note, batch.failures, batch.ended_at = BatchState.RUNNING, "", 0, None
    # Whoever lets it go on answers for what it launches from now on.
    batch.begun_by = by or batch.begun_by
    batch.save(update_fields=["state", "note", "failures", "ended_at", "begun_by"])
    _wake()


def cancel(batch: Batch, by: User | None) -> None:
    """Ends it: nothing more is launched, and what trains is cancelled. Raises ``NotPossible``."""
    with transaction.atomic():
        row = lock(batch)
        if not row.is_open:
            raise NotPossible(f"{row.name} is {row.state}: there is nothing to cancel.")
        row.state, row.note, row.ended_at = BatchState.CANCELLED, "", timezone.now()
        row.save(update_fields=["state", "note", "ended_at"])
        waiting = row.items.filter(state=ItemState.WAITING).update(state=ItemState.CANCELLED)
        row.tell(f"Cancelled; {waiting} actors were not begun", by)
    stop_trainings(batch, by)
    batch.refresh_from_db()


def stop_trainings(batch: Batch, by: User | None) -> None:
    """Cancels what still trains for a cancelled batch; ``advance`` finishes it when this is killed."""
    for item in batch.items.filter(state=ItemState.LAUNCHED, version__status__in=ACTIVE):
        if item.version:
            item.version.cancel(by)
    settle(batch.items.all())


def retry_failed(batch: Batch, by: User | None) -> int:
    """Failed and blocked ones wait again, looked at anew. How many. Raises ``NotPossible``."""
    try:
        with transaction.atomic():
            again = _retry_failed(lock(batch), by)
    except IntegrityError:
        raise NotPossible("Another batch takes one of these actors right now. Try again.") from None
    batch.refresh_from_db()
    return again


def _retry_failed(batch: Batch, by: User | None) -> int:
    if batch.state not in (*OPEN, BatchState.DONE):
        raise NotPossible(f"{batch.name} is {batch.state}: plan a new batch of these actors.")
    if batch.is_over(timezone.now()):
        raise NotPossible("Its stop time has passed. Choose a later one, or none, first.")
    failed = {
        item.actor_id: item for item in batch.items.filter(state__in=(ItemState.FAILED, ItemState.BLOCKED))
    }
    recipe = batch_plan.Recipe(batch.preset, batch.parameters)
    fields = ("state", "reason", "image_count", "parameters", "seconds", "cost")
    for fresh in batch_plan.evaluate(list(failed), recipe, batch):
        fresh.state = ItemState.WAITING if fresh.state == ItemState.PLANNED else fresh.state
        for name in fields:
            setattr(failed[fresh.actor_id], name, getattr(fresh, name))
    again = sum(item.state == ItemState.WAITING for item in failed.values())
    if not again:
        raise NotPossible("None of them can start again; the list says why.")
    BatchItem.objects.bulk_update(failed.values(), fields, batch_size=500)
    batch.tell(f"Tries {again} actor{'' if again == 1 else 's'} again", by)
    if batch.state == BatchState.DONE:
        _run(batch, by)
    else:
        batch.failures = 0
        batch.save(update_fields=["failures"])
        _wake()
    return again


# What the sweep does


def advance(now: datetime | None = None) -> None:
    """One step of every batch: takes in what has ended, launches what may be, ends what is through."""
    now = now or timezone.now()
    settle(BatchItem.objects.all())
    for batch in Batch.objects.filter(Q(state=BatchState.RUNNING) | _leftover()):
        try:
            if batch.state == BatchState.CANCELLED:
                stop_trainings(batch, None)
                continue
            grow_reservations(batch, now)
            for _ in range(AT_ONCE):
                if not launch_next(batch, now):
                    break
        except (DatabaseError, ValueError, OSError) as error:
            # One batch's trouble must not end the round for all others.
            log.exception("batch %s: %s", batch.pk, type(error).__name__)
    finish_all()


def _leftover() -> Q:
    """Cancelled batches whose trainings were not all told: whoever cancelled was killed."""
    active = BatchItem.objects.filter(batch=OuterRef("pk"), state=ItemState.LAUNCHED)
    return Q(Exists(active), state=BatchState.CANCELLED)


def is_hungry(now: datetime) -> bool:
    """Whether a batch could launch something now, so that a sweep has to go on."""
    return any(batch.may_launch_at(now) for batch in Batch.objects.filter(state=BatchState.RUNNING))


@transaction.atomic
def launch_next(batch: Batch, now: datetime) -> bool:
    """Launches the first one that waits, if state, times, places and ceiling allow it.

    False when nothing more is to be done now. True after a launch, and when the first one could not start.
    """
    row = lock(batch)
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
            _pause(row, str(error))
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
        _pause(batch, "Its stop time has passed. Trainings that run go on.")
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
    _pause(batch, f"{batch.begun_by} may no longer start trainings. Somebody who may can let it go on.")
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
        _pause(batch, "No price of the GPU is set any more, so the ceiling can't be kept.")
        return False
    committed = batch.committed()
    if committed + reserve <= (batch.ceiling or NOTHING):
        return True
    if not batch.items.filter(state=ItemState.LAUNCHED).exists():
        _pause(
            batch,
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
    for item in items.filter(ended | found).select_related("version", "batch"):
        with transaction.atomic():
            row = lock(item.batch)
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
        _pause(
            batch, f"{failures} trainings in a row failed. Look why, then let it go on. The last one: {last}"
        )


def finish_all() -> None:
    """Batches with nothing left to train are done."""
    left = BatchItem.objects.filter(batch=OuterRef("pk"), state__in=HOLDING)
    for batch in Batch.objects.filter(~Exists(left), state__in=OPEN):
        with transaction.atomic():
            row = lock(batch)
            if row.is_open and not row.items.filter(state__in=HOLDING).exists():
                row.state, row.note, row.ended_at = BatchState.DONE, "", timezone.now()
                row.save(update_fields=["state", "note", "ended_at"])
                row.tell(f"Done: {words(counts(row))}")


def counts(batch: Batch) -> dict[str, int]:
    """How many items are in each state; states without any are left out."""
    rows = batch.items.order_by().values_list("state").annotate(Count("pk"))
    found = dict(rows)
    return {state: found[state] for state in ItemState.values if state in found}


def words(numbers: dict[str, int]) -> str:
    """``12 completed, 1 failed``."""
    order = [*ENDED, ItemState.LAUNCHED, ItemState.WAITING, ItemState.BLOCKED, ItemState.PLANNED]
    return ", ".join(
        f"{numbers[state]} {ItemState(state).label.lower()}" for state in order if numbers.get(state)
    )
