"""Looking at a batch's actors, which the task queue does: for a plan, before the begin, and to try again.

What was asked is a row (``Planning``), and each step is one transaction with the batch's row locked: it looks
at some actors and notes how far it is, or does what was asked once all are looked at. So it goes on from
there when its process is killed, and of several at once each step is taken by one.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from training import batch_plan
from training.batch_models import HOLDING, OPEN, Batch, BatchItem, BatchState, ItemState
from training.batch_plan import CannotPlan
from training.parameters import ParameterErrors
from training.planning_models import PATIENCE, TASK, Asked, Planning

log = logging.getLogger(__name__)

#: Looked at in one transaction: few enough that nobody who wants the batch's row waits long.
AT_ONCE = 500
#: How long one task goes on before it hands over to the next, so that other tasks get their turn.
TASK_SECONDS = 20
#: It broke off so often that a person has to look why.
TOO_MANY_FAILURES = 5
#: Batches with the same actors may begin at the same moment: the next look sees who was faster.
RACES = 5
TAKEN = "Other batches with the same actors begin right now. Try again."


def run(pk: int, seconds: float = TASK_SECONDS) -> None:
    """Step after step until nothing is asked of the batch any more."""
    end, races = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        try:
            if not step(pk):
                return
        except IntegrityError:
            races += 1
            if races >= RACES:
                give_up(pk, TAKEN)
                return
        except Exception as error:
            log.exception("the plan of batch %s: %s", pk, type(error).__name__)
            put_off(pk, error)
            return
    async_task(TASK, pk)


@transaction.atomic
def step(pk: int) -> bool:
    """The next actors, or the end. False when nothing is asked any more."""
    batch = Batch.objects.select_for_update(of=("self",)).filter(pk=pk).first()
    if batch is None or not batch.planning.asked:
        return False
    planning, retries = batch.planning, batch.planning.asked == Asked.RETRY
    if batch.state not in ((*OPEN, BatchState.DONE) if retries else (BatchState.PLANNING,)):
        planning.end()  # it was cancelled meanwhile
        return False
    try:
        with transaction.atomic():
            if planning.looked < planning.total:
                _look_at_next(batch, planning)
                return True
            DONE[Asked(planning.asked)](batch, planning)
            planning.end()
    except (CannotPlan, ParameterErrors) as error:
        _stop(batch, planning, str(error))
    return False


def _look_at_next(batch: Batch, planning: Planning) -> None:
    ids = planning.chosen[planning.looked : planning.looked + AT_ONCE]
    if planning.asked == Asked.RETRY:
        again = batch_plan.look_at_failed(batch, ids)
        planning.ready += again
        if again and batch.state == BatchState.DONE:
            batch.go_on(planning.asked_by)
    else:
        planning.ready += batch_plan.look(batch, ids, planning.looked)
    planning.looked += len(ids)
    planning.due_at = timezone.now() + PATIENCE
    planning.save(update_fields=["looked", "ready", "due_at"])


def _plan_is_made(batch: Batch, planning: Planning) -> None:
    if not batch.items.exists():
        raise CannotPlan("None of the chosen actors is in the registry any more. Discard the plan.")
    batch.state, batch.planned_at = BatchState.PLANNED, timezone.now()
    batch.save(update_fields=["state", "planned_at"])
    batch.tell(f"Planned: {batch.counts_in_words()}", planning.asked_by)


def _begin(batch: Batch, planning: Planning) -> None:
    now = timezone.now()
    batch.planned_at = now
    if batch.is_over(now):
        raise CannotPlan("Its stop time has passed. Choose a later one, or none.")
    ready = batch.items.filter(state=ItemState.PLANNED)
    # Taken by another batch since they were looked at; the database refuses what comes in between.
    held = BatchItem.objects.filter(actor__in=ready.values("actor"), state__in=HOLDING).exclude(batch=batch)
    ready.filter(actor__in=list(held.values_list("actor", flat=True))).update(
        state=ItemState.BLOCKED, reason="Another batch has this actor."
    )
    number = ready.update(state=ItemState.WAITING)
    if not number:
        raise CannotPlan("None of its actors can start. The plan says why, and what mends it.")
    batch.state, batch.begun_by, batch.begun_at = BatchState.RUNNING, planning.asked_by, now
    batch.save(update_fields=["state", "begun_by", "begun_at", "planned_at"])
    batch.tell(f"Begun with {number} of {batch.items.count()} actors", planning.asked_by)
    wake()


def _tries_again(batch: Batch, planning: Planning) -> None:
    if not planning.ready:
        raise CannotPlan("None of them can start again; the list says why.")
    batch.failures = 0
    batch.save(update_fields=["failures"])
    batch.tell(f"Tries {planning.ready} actor{'' if planning.ready == 1 else 's'} again", planning.asked_by)
    wake()


#: What happens once every actor is looked at. Each raises ``CannotPlan`` where it can't.
DONE = {Asked.PLAN: _plan_is_made, Asked.BEGIN: _begin, Asked.RETRY: _tries_again}


def _stop(batch: Batch, planning: Planning, why: str) -> None:
    """What was asked comes to nothing. The page says why, and people go on from the plan."""
    planning.end(why)
    if batch.state == BatchState.PLANNING:
        batch.state = BatchState.PLANNED
        batch.save(update_fields=["state"])
    batch.tell(why, planning.asked_by)


@transaction.atomic
def give_up(pk: int, why: str) -> None:
    """A person has to decide."""
    batch = Batch.objects.select_for_update(of=("self",)).filter(pk=pk).first()
    if batch and batch.planning.asked:
        _stop(batch, batch.planning, why)


def put_off(pk: int, error: Exception) -> None:
    """Something that no one foresaw: the sweep tries it again, ever later, and at last gives up."""
    planning = Planning.objects.filter(pk=pk).exclude(asked="").defer("chosen").first()
    if planning is None:
        return
    planning.failures += 1
    if planning.failures >= TOO_MANY_FAILURES:
        give_up(
            pk,
            f"Looking at the actors broke off {planning.failures} times ({type(error).__name__}). "
            "The log of the task queue says more. Look at all again once it is mended.",
        )
        return
    planning.due_at = timezone.now() + timedelta(seconds=2**planning.failures)
    planning.save(update_fields=["failures", "due_at"])


def rescue(now: datetime) -> None:
    """What was asked and is not being done: its task was lost, or died."""
    due = Planning.objects.filter(due_at__lte=now).exclude(asked="")
    for pk in due.values_list("pk", flat=True):
        # One task for each time, even when the queue is slow.
        if due.filter(pk=pk).update(due_at=now + PATIENCE):
            async_task(TASK, pk)


def work_left() -> bool:
    """Whether anything is asked, so that a sweep has to go on."""
    return Planning.objects.exclude(asked="").exists()


def wake() -> None:
    """A sweep looks at once, not within the minute."""
    transaction.on_commit(lambda: async_task("training.tasks.sweep"))
