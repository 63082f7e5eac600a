"""What people do with a batch: begin, change, pause, resume, cancel, try the failed again.

Each only writes down what is asked. What looks at every actor is the task queue's
(``training/batch_planning.py``), what launches them the sweep's (``training/batch_launches.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from actors.permissions import can, refusal
from training import batch_plan, batch_planning
from training.batch_models import NOT_BEGUN, OPEN, Batch, BatchItem, BatchState, ItemState
from training.batch_recipe import Recipe, given
from training.parameters import labelled
from training.planning_models import Asked

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


@transaction.atomic
def begin(batch: Batch, by: User | None) -> None:
    """Every actor is looked at once more, then it runs by itself. Raises ``NotPossible``."""
    row = Batch.lock(batch.pk)
    if row.state not in NOT_BEGUN:
        raise NotPossible(f"{row.name} is {row.state} already.")
    if row.planning.asked == Asked.BEGIN:
        raise NotPossible(f"{row.name} is about to begin already.")
    if row.is_over(timezone.now()):
        raise NotPossible("Its stop time has passed. Choose a later one, or none.")
    try:
        batch_plan.check_limits(row)
    except batch_plan.CannotPlan as error:
        raise NotPossible(str(error)) from error
    if row.is_planning:  # all are being looked at now: once is enough
        row.planning.asked, row.planning.asked_by = Asked.BEGIN, by
        row.planning.save(update_fields=["asked", "asked_by"])
    else:
        _plan(row, Asked.BEGIN, by)
    batch.refresh_from_db()


def _plan(row: Batch, asked: Asked, by: User | None) -> None:
    row.state = BatchState.PLANNING
    row.save(update_fields=["state"])
    row.planning.ask(asked, by, timezone.now())


@transaction.atomic
def change(batch: Batch, by: User | None, **settings: Any) -> None:
    """Other settings; another preset or other values make the plan anew.

    Raises ``NotPossible``, ``CannotPlan`` or ``ParameterErrors``.
    """
    row = Batch.lock(batch.pk)
    changes = {name: value for name, value in settings.items() if getattr(row, name) != value}
    if row.state not in (*NOT_BEGUN, *OPEN):
        raise NotPossible(f"{row.name} is {row.state}: nothing changes any more.")
    fixed = changes.keys() - LIMITS
    if fixed and (row.state not in NOT_BEGUN or row.planning.asked == Asked.BEGIN):
        said = "is about to begin" if row.is_planning else "has begun"
        raise NotPossible(f"It {said}: {', '.join(sorted(fixed))} can't change any more.")
    if "good_threshold" in changes and by is not None and not can(by, "curate"):
        raise NotPossible(refusal("curate"))
    for name, value in changes.items():
        setattr(row, name, value)
    batch_plan.check_limits(row)
    if fixed:
        Recipe(row.preset, row.parameters)
    row.save()
    if changes:
        row.tell(f"Changed: {', '.join(sorted(name.replace('_', ' ') for name in changes))}", by)
    if fixed:
        _plan(row, Asked.PLAN, by)
    elif changes and row.planning.trouble:
        row.planning.end()  # what was wrong may be mended
    if row.state == BatchState.RUNNING:
        batch_planning.wake()
    batch.refresh_from_db()


@transaction.atomic
def look_again(batch: Batch, by: User | None) -> None:
    """Makes the plan anew. Raises ``NotPossible``."""
    row = Batch.lock(batch.pk)
    if not row.is_planned:
        raise NotPossible(f"{row.name} is {row.state}: {_why_not_again(row)}")
    _plan(row, Asked.PLAN, by)
    batch.refresh_from_db()


def _why_not_again(row: Batch) -> str:
    return "every actor is being looked at." if row.is_planning else "the plan is fixed."


@transaction.atomic
def discard(batch: Batch) -> None:
    """A plan that never began leaves nothing. Raises ``NotPossible``."""
    row = Batch.lock(batch.pk)
    if row.state not in NOT_BEGUN:
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
    row.go_on(by)
    batch_planning.wake()
    row.tell("Resumed", by)
    batch.refresh_from_db()


@transaction.atomic
def cancel(batch: Batch, by: User | None) -> None:
    """Ends it: nothing more is launched, and the sweep ends what waits or trains. Raises ``NotPossible``."""
    row = Batch.lock(batch.pk)
    if not row.is_open:
        raise NotPossible(f"{row.name} is {row.state}: there is nothing to cancel.")
    row.state, row.note, row.ended_at = BatchState.CANCELLED, "", timezone.now()
    row.cancelled_by = by
    row.save(update_fields=["state", "note", "ended_at", "cancelled_by"])
    waiting = row.items.filter(state=ItemState.WAITING).count()
    row.tell(f"Cancelled; {waiting} actor{' was' if waiting == 1 else 's were'} not begun", by)
    batch_planning.wake()
    batch.refresh_from_db()


@transaction.atomic
def retry_failed(batch: Batch, by: User | None) -> None:
    """Failed and blocked ones are looked at anew, and those that can start wait again.

    Raises ``NotPossible``.
    """
    row = Batch.lock(batch.pk)
    if row.state not in (*OPEN, BatchState.DONE):
        raise NotPossible(f"{row.name} is {row.state}: plan a new batch of these actors.")
    if row.planning.asked:
        raise NotPossible("They are being looked at already.")
    if row.is_over(timezone.now()):
        raise NotPossible("Its stop time has passed. Choose a later one, or none, first.")
    if not row.items.filter(state__in=(ItemState.FAILED, ItemState.BLOCKED)).exists():
        raise NotPossible("No actor of it failed or could not start.")
    row.planning.ask(Asked.RETRY, by, timezone.now())
    batch.refresh_from_db()


@transaction.atomic
def edit_item(
    batch: Batch,
    actor_id: int,
    by: User | None,
    *,
    own_values: Mapping[str, object] | None = None,
    left_out: bool | None = None,
) -> BatchItem:
    """One actor of a plan gets values of its own, or is left out. Both outlive a new plan.

    Raises ``NotPossible``, ``ParameterErrors`` or ``BatchItem.DoesNotExist``.
    """
    row = Batch.lock(batch.pk)
    if not row.is_planned:
        wait = "wait until the plan is made." if row.is_planning else "the plan is fixed."
        raise NotPossible(f"{row.name} is {row.state}: {wait}")
    item = row.items.select_related("actor").get(actor=actor_id)
    said = []
    if own_values is not None and (values := given(own_values)) != item.own_values:
        Recipe(row.preset, row.parameters).parameters(item.image_count or 20, values)
        item.own_values = values
        words = ", ".join(f"{label} {value}" for label, value in labelled(values))
        said.append(f"values of its own: {words}" if words else "no values of its own any more")
    if left_out is not None and left_out != (item.state == ItemState.LEFT_OUT):
        item.state = ItemState.LEFT_OUT if left_out else ItemState.PLANNED
        said.append("left out" if left_out else "taken in again")
    if said:
        item.save(update_fields=["own_values", "state"])
        batch_plan.look(row, [actor_id], item.position)
        item.refresh_from_db()
        row.tell(f"{item.actor.number}: {', '.join(said)}", by)
    return item
