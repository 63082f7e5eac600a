"""One look at a batch: what its page and the list of batches show of it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo

from django.db.models import Count, Sum
from django.utils import timezone

from training.batch_models import ASIDE, NOTHING, Batch, BatchItem, BatchState, ItemState
from training.models import ACTIVE
from training.planning_models import Planning

#: A free task process begins within a second.
LONG_WAIT = timedelta(seconds=15)

#: Which items a tab shows: its words, and their states.
TABS: dict[str, tuple[str, tuple[ItemState, ...]]] = {
    "": ("All", ()),
    "ready": ("Can start", (ItemState.PLANNED,)),
    "waiting": ("Waiting", (ItemState.WAITING,)),
    "training": ("Training", (ItemState.LAUNCHED,)),
    "completed": ("Completed", (ItemState.COMPLETED,)),
    "failed": ("Failed", (ItemState.FAILED,)),
    "cancelled": ("Cancelled", (ItemState.CANCELLED,)),
    "blocked": ("Can't start", (ItemState.BLOCKED,)),
    "left_out": ("Left out", (ItemState.LEFT_OUT,)),
}
#: State of a batch, or of an item → how the look names it.
LOOKS: dict[str, str] = {
    BatchState.PLANNING: "training",
    BatchState.PLANNED: "fit",
    BatchState.RUNNING: "training",
    BatchState.PAUSED: "attention",
    BatchState.DONE: "done",
    BatchState.CANCELLED: "cancelled",
    ItemState.BLOCKED: "attention",
    ItemState.LEFT_OUT: "cancelled",
    ItemState.WAITING: "fit",
    ItemState.LAUNCHED: "training",
    ItemState.COMPLETED: "done",
    ItemState.FAILED: "failed",
}


class BatchPicture:
    """What is shown of a batch: how far it is, what it costs, what it waits for."""

    def __init__(self, batch: Batch, counts: dict[str, int], committed: Decimal) -> None:
        self.batch, self.counts, self.committed = batch, counts, committed
        self.now = timezone.now()

    @property
    def look(self) -> str:
        """The state's name in the look."""
        return LOOKS[self.batch.state]

    @property
    def words(self) -> str:
        """The state in a word."""
        return BatchState(self.batch.state).label

    @property
    def planning(self) -> Planning:
        """What is asked of the task queue."""
        return self.batch.planning

    @property
    def waits_for_tasks(self) -> bool:
        """Whether what was asked long ago has not been begun."""
        asked_at = self.planning.asked_at
        return not self.planning.looked and asked_at is not None and self.now - asked_at > LONG_WAIT

    @property
    def goes_on(self) -> bool:
        """Whether actors are being looked at, trained or stopped."""
        ends = self.batch.state == BatchState.CANCELLED and bool(self.waiting or self.training)
        return self.batch.is_open or ends or bool(self.planning.asked)

    @property
    def is_live(self) -> bool:
        """Whether anything may change by itself."""
        return self.goes_on or bool(self.to_judge)

    @cached_property
    def to_judge(self) -> int:
        """Completed versions that the batch's rule has not judged: their pictures are on the way."""
        if self.batch.good_threshold is None:
            return 0
        done = self.batch.items.filter(state=ItemState.COMPLETED, judged_at=None, version__isnull=False)
        return done.count()

    @property
    def line(self) -> tuple[object, ...]:
        """What the list of batches tells of it."""
        return (self.batch.state, self.batch.ceiling, self.counts, self.committed, self.planning.looked)

    def number(self, *states: ItemState) -> int:
        """How many items are in these states."""
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def blocked(self) -> int:
        """Those that can't start."""
        return self.number(ItemState.BLOCKED)

    @property
    def total(self) -> int:
        """Those that are trained, were, or wait for it."""
        return sum(self.counts.values()) - self.number(*ASIDE)

    @property
    def completed(self) -> int:
        """Those that have a LoRA."""
        return self.number(ItemState.COMPLETED)

    @property
    def failed(self) -> int:
        """Those that failed."""
        return self.number(ItemState.FAILED)

    @property
    def training(self) -> int:
        """Those that train now."""
        return self.number(ItemState.LAUNCHED)

    @property
    def waiting(self) -> int:
        """Those whose turn comes."""
        return self.number(ItemState.WAITING)

    @property
    def can_retry(self) -> int:
        """How many could be tried again."""
        over = self.batch.state == BatchState.CANCELLED or self.planning.asked
        return 0 if over else self.failed + self.blocked

    @property
    def percent_of_ceiling(self) -> int:
        """How much of the ceiling is used."""
        ceiling = self.batch.ceiling
        return min(100, round(100 * self.committed / ceiling)) if ceiling else 0

    @property
    def waits_for(self) -> str:
        """Why a running batch launches nothing just now, where its times are the reason."""
        batch = self.batch
        if batch.state != BatchState.RUNNING or batch.may_launch_at(self.now) or not self.waiting:
            return ""
        if batch.starts_at and self.now < batch.starts_at:
            return f"Nothing is launched before {timezone.localtime(batch.starts_at):%-d %b %H:%M}."
        if batch.daily_from:
            zone = "" if batch.time_zone == timezone.get_current_timezone_name() else f", {batch.time_zone}"
            clock = self.now.astimezone(ZoneInfo(batch.time_zone))
            return f"Launches go on at {batch.daily_from:%H:%M}{zone}; it is {clock:%H:%M} there now."
        return ""

    @cached_property
    def remaining(self) -> float | None:
        """Seconds of training to come, side by side; the queue and the times of the day aside."""
        if not self.batch.is_open:
            return None
        waiting = self.batch.items.filter(state=ItemState.WAITING).aggregate(left=Sum("seconds", default=0.0))
        running = self.batch.items.filter(state=ItemState.LAUNCHED, version__status__in=ACTIVE)
        parts = running.values_list("seconds", "version__step", "version__max_train_steps")
        rest = sum(seconds * (1 - min(1.0, step / (steps or 1))) for seconds, step, steps in parts)
        return float(waiting["left"] + rest) / self.batch.concurrency

    @cached_property
    def mark(self) -> str:
        """Changes whenever the page would look different."""
        steps = self.batch.items.filter(state=ItemState.LAUNCHED).order_by("pk")
        seen = steps.values_list("pk", "version__status", "version__step", "version__stage")
        asked = (self.planning.asked, self.planning.looked, self.planning.trouble)
        here = (*self.line, self.batch.note, self.waits_for, self.to_judge)
        facts = (*here, asked, *seen)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def picture(batch: Batch) -> BatchPicture:
    """Of one batch."""
    return BatchPicture(batch, batch.counts(), batch.committed())


def pictures(batches: list[Batch]) -> list[BatchPicture]:
    """Of many: one query, however many there are."""
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    costs: dict[int, Decimal] = defaultdict(lambda: NOTHING)
    rows = BatchItem.objects.filter(batch__in=batches).order_by().values_list("batch", "state")
    for batch, state, number, gone, held in rows.annotate(Count("pk"), Sum("spent"), Sum("reserved")):
        counts[batch][state] = number
        costs[batch] += Decimal(gone) + Decimal(held)
    return [BatchPicture(batch, counts[batch.pk], costs[batch.pk]) for batch in batches]
