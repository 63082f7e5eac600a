"""What people do with a batch: begin, change, pause, resume, cancel, try the failed again.

What the sweep does with it stands in ``training/batch_launches.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from actors.permissions import can, refusal
from training import batch_launches, batch_plan
from training.batch_models import OPEN, Batch, BatchItem, BatchState, ItemState
from training.parameters import ParameterErrors

if TYPE_CHECKING:
    from django.contrib.auth.models import User

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


def _wake() -> None:
    """A sweep looks at once, not within the minute."""
    transaction.on_commit(lambda: async_task("training.tasks.sweep"))


# What people do


def begin(batch: Batch, by: User | None) -> None:
    """Looks at every actor once more, and lets the batch run. Raises ``NotPossible``."""
    for attempt in range(3):
        try:
            with transaction.atomic():
                _begin(Batch.lock(batch.pk), by)
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
        batch_plan.refresh(batch)
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
    row = Batch.lock(batch.pk)
    changes = {name: value for name, value in settings.items() if getattr(row, name) != value}
    if not row.is_planned and not row.is_open:
        raise NotPossible(f"{row.name} is {row.state}: nothing changes any more.")
    if not row.is_planned and (fixed := changes.keys() - LIMITS):
        raise NotPossible(f"It has begun: {', '.join(sorted(fixed))} can't change any more.")
    if "good_threshold" in changes and by is not None and not can(by, "curate"):
        raise NotPossible(refusal("curate"))
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
    row = Batch.lock(batch.pk)
    if not row.is_planned:
        raise NotPossible(f"{row.name} is {row.state}: the plan is fixed.")
    batch_plan.replan(row)
    batch.refresh_from_db()


@transaction.atomic
def discard(batch: Batch) -> None:
    """A plan that never began leaves nothing. Raises ``NotPossible``."""
    row = Batch.lock(batch.pk)
    if not row.is_planned:
        raise NotPossible(f"{row.name} has begun: cancel it instead. Its history stays.")
    row.delete()


@transaction.atomic
def pause(batch: Batch, by: User | None) -> None:
    """Launches nothing more; trainings that run go on. Raises ``NotPossible``."""
    row = Batch.lock(batch.pk)
    if row.state != BatchState.RUNNING:
        raise NotPossible(f"{row.name} is {row.state}: only a running batch can pause.")
    row.pause("Paused", by)
    batch.refresh_from_db()


@transaction.atomic
def resume(batch: Batch, by: User | None) -> None:
    """Goes on where it paused. Raises ``NotPossible``."""
    row = Batch.lock(batch.pk)
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
        row = Batch.lock(batch.pk)
        if not row.is_open:
            raise NotPossible(f"{row.name} is {row.state}: there is nothing to cancel.")
        row.state, row.note, row.ended_at = BatchState.CANCELLED, "", timezone.now()
        row.save(update_fields=["state", "note", "ended_at"])
        waiting = row.items.filter(state=ItemState.WAITING).update(state=ItemState.CANCELLED)
        row.tell(f"Cancelled; {waiting} actors were not begun", by)
    batch_launches.stop_trainings(batch, by)
    batch.refresh_from_db()


def retry_failed(batch: Batch, by: User | None) -> int:
    """Failed and blocked ones wait again, looked at anew. How many. Raises ``NotPossible``."""
    try:
        with transaction.atomic():
            again = _retry_failed(Batch.lock(batch.pk), by)
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
