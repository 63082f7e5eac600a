"""Batches: many actors trained one after another, within a budget and a time.

Only ``training/batches.py`` (people) and ``training/batch_launches.py`` (the sweep) write their states.
"""

from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import Count, F, Q, Sum
from django.urls import reverse
from django.utils import timezone

if TYPE_CHECKING:
    from django.contrib.auth.models import User

#: More at once than any endpoint has workers is a mistake.
MOST_AT_ONCE = 200
#: More actors than this are two batches.
MOST_ACTORS = 20_000


class BatchState(models.TextChoices):
    """A batch is planned, then runs or pauses, then has ended."""

    PLANNING = "planning"
    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


class ItemState(models.TextChoices):
    """``planned → waiting → launched`` and one of three ends. ``blocked`` can't start, and says why."""

    PLANNED = "planned", "can start"
    BLOCKED = "blocked", "can't start"
    LEFT_OUT = "left_out", "left out"
    WAITING = "waiting"
    LAUNCHED = "launched", "training"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Order(models.TextChoices):
    """Who comes first."""

    CHOSEN = "chosen", "As chosen"
    NUMBER = "number", "By number"
    SHORTEST = "shortest", "Shortest first"
    IMAGES = "images", "Most images first"


#: The order of the items by these columns. Where they were chosen in an order, ``position`` keeps it.
QUEUES: dict[Order, tuple[str, ...]] = {
    Order.CHOSEN: ("position",),
    Order.NUMBER: ("actor_id",),
    Order.SHORTEST: ("seconds", "position"),
    Order.IMAGES: ("-image_count", "position"),
}
NOTHING = Decimal("0.0000")
#: A batch in one of these still launches, or may again.
OPEN = (BatchState.RUNNING, BatchState.PAUSED)
#: An item in one of these holds its actor: no second batch may train it meanwhile.
HOLDING = (ItemState.WAITING, ItemState.LAUNCHED)
ENDED = (ItemState.COMPLETED, ItemState.FAILED, ItemState.CANCELLED)
#: The plan has it, but it is not to be trained.
ASIDE = (ItemState.BLOCKED, ItemState.LEFT_OUT)
#: A batch in one of these has not begun.
NOT_BEGUN = (BatchState.PLANNING, BatchState.PLANNED)


class Batch(models.Model):
    """Actors to train, how, and within which limits."""

    name = models.CharField(max_length=200)
    state = models.CharField(
        max_length=20, choices=BatchState.choices, default=BatchState.PLANNING, editable=False
    )
    note = models.TextField(blank=True, editable=False, help_text="Why it paused by itself.")
    failures = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="How many trainings failed in a row."
    )
    preset = models.CharField(max_length=60, default="balanced")
    parameters = models.JSONField(
        default=dict, blank=True, help_text="Any of the eleven, for every actor, instead of the preset's."
    )
    concurrency = models.PositiveSmallIntegerField(
        default=1, help_text=f"Trainings at once, 1 to {MOST_AT_ONCE}."
    )
    ceiling = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, help_text="US dollars; never crossed."
    )
    order = models.CharField(max_length=20, choices=Order.choices, default=Order.CHOSEN)
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Nothing is launched before.")
    stops_at = models.DateTimeField(null=True, blank=True, help_text="Nothing is launched after.")
    daily_from = models.TimeField(null=True, blank=True, help_text="Each day nothing is launched before …")
    daily_until = models.TimeField(
        null=True, blank=True, help_text="… and after this, which may be next morning."
    )
    time_zone = models.CharField(max_length=60, default="UTC", help_text="Of the daily times.")
    good_threshold = models.FloatField(
        null=True,
        blank=True,
        help_text="A version that scores this is marked good by itself; empty: people decide.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    begun_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="In whose name it launches.",
    )
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    begun_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    planned_at = models.DateTimeField(default=timezone.now, help_text="When the plan was last made.")

    class Meta:
        app_label = "training"
        ordering = ("-created_at", "-pk")
        verbose_name_plural = "batches"
        indexes = [models.Index(fields=["state"])]
        constraints = [
            models.CheckConstraint(
                condition=Q(concurrency__gte=1, concurrency__lte=MOST_AT_ONCE),
                name="batch_trains_some_at_once",
            ),
            models.CheckConstraint(
                condition=Q(ceiling=None) | Q(ceiling__gt=0), name="batch_ceiling_above_zero"
            ),
            models.CheckConstraint(
                condition=Q(starts_at=None) | Q(stops_at=None) | Q(starts_at__lt=F("stops_at")),
                name="batch_starts_before_it_stops",
            ),
            models.CheckConstraint(
                condition=Q(daily_from=None, daily_until=None)
                | Q(daily_from__isnull=False, daily_until__isnull=False),
                name="batch_has_both_daily_times",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Its page: the plan, and live once it has begun."""
        return reverse("batch", args=[self.pk])

    @property
    def is_planned(self) -> bool:
        """Whether its plan is made, and it has not begun."""
        return self.state == BatchState.PLANNED

    @property
    def is_planning(self) -> bool:
        """Whether the task queue looks at its actors."""
        return self.state == BatchState.PLANNING

    @property
    def is_open(self) -> bool:
        """Whether it launches, or may again."""
        return self.state in OPEN

    def committed(self) -> Decimal:
        """US dollars: what ended trainings cost, and what is reserved for those that run."""
        sums = self.items.aggregate(gone=Sum("spent", default=NOTHING), held=Sum("reserved", default=NOTHING))
        # SQLite adds in floating point.
        return Decimal(sums["gone"] + sums["held"]).quantize(NOTHING)

    def queue(self) -> tuple[str, ...]:
        """The order of its items, for ``order_by``."""
        return QUEUES[Order(self.order)]

    def is_over(self, now: datetime) -> bool:
        """Whether its last moment has passed."""
        return self.stops_at is not None and now >= self.stops_at

    def may_launch_at(self, now: datetime) -> bool:
        """Whether the start and stop times allow a launch now."""
        if (self.starts_at and now < self.starts_at) or self.is_over(now):
            return False
        if self.daily_from is None or self.daily_until is None:
            return True
        clock = now.astimezone(ZoneInfo(self.time_zone)).time()
        return in_span(clock, self.daily_from, self.daily_until)

    @classmethod
    def lock(cls, pk: int) -> Self:
        """The row as it is now, for one transaction at a time. Locked before any actor's row, always."""
        return cls.objects.select_for_update(of=("self",)).get(pk=pk)

    def pause(self, why: str, by: User | None = None) -> None:
        """Launches nothing more; call with the row locked. ``why`` stays in sight where nobody did it."""
        self.state, self.note = BatchState.PAUSED, "" if by else why
        self.save(update_fields=["state", "note"])
        self.tell(why, by)

    def go_on(self, by: User | None) -> None:
        """Launches again; call with the row locked. Whoever lets it go on answers for what it launches."""
        self.state, self.note, self.failures, self.ended_at = BatchState.RUNNING, "", 0, None
        self.begun_by = by or self.begun_by
        self.save(update_fields=["state", "note", "failures", "ended_at", "begun_by"])

    def counts(self) -> dict[str, int]:
        """How many items are in each state; states without any are left out."""
        found = dict(self.items.order_by().values_list("state").annotate(Count("pk")))
        return {state: found[state] for state in ItemState.values if state in found}

    def counts_in_words(self) -> str:
        """``12 completed, 1 failed``."""
        return ", ".join(f"{n} {ItemState(state).label.lower()}" for state, n in self.counts().items())

    def tell(self, message: str, by: User | None = None) -> None:
        """Writes a line into its timeline."""
        self.events.create(message=message, by=by)


def in_span(clock: time, start: time, end: time) -> bool:
    """Whether a time of day lies in a span that may go over midnight; equal ends are the whole day."""
    if start < end:
        return start <= clock < end
    return clock >= start or clock < end


class BatchItem(models.Model):
    """One actor of a batch: how it is to be trained, why it can't be, and the version that came of it."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items")
    actor = models.ForeignKey("actors.Actor", on_delete=models.CASCADE, related_name="batch_items")
    position = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=ItemState.choices, default=ItemState.PLANNED)
    reason = models.TextField(blank=True, help_text="Why it can't start, or how it ended.")
    image_count = models.PositiveIntegerField(default=0)
    parameters = models.JSONField(default=dict, help_text="The eleven as planned.")
    own_values = models.JSONField(
        default=dict, blank=True, help_text="Any of the eleven, for this actor, over the batch's."
    )
    seconds = models.FloatField(default=0, help_text="How long it is expected to train.")
    cost = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, help_text="US dollars expected; none without a price."
    )
    version = models.OneToOneField(
        "training.TrainingVersion",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="batch_item",
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    reserved = models.DecimalField(
        max_digits=12, decimal_places=4, default=0, help_text="US dollars held while it trains."
    )
    spent = models.DecimalField(
        max_digits=12, decimal_places=4, default=0, help_text="US dollars of attempts that ended."
    )
    judged_at = models.DateTimeField(null=True, blank=True, help_text="When the batch's rule looked at it.")
    judged_without_preview = models.BooleanField(default=False, help_text="None could be drawn for the rule.")

    class Meta:
        app_label = "training"
        ordering = ("position", "pk")
        constraints = [
            models.UniqueConstraint(fields=["batch", "actor"], name="one_item_per_batch_and_actor"),
            models.UniqueConstraint(
                fields=["actor"], condition=Q(state__in=HOLDING), name="one_running_batch_per_actor"
            ),
        ]
        indexes = [models.Index(fields=["batch", "state", "position"])]

    def __str__(self) -> str:
        return f"{self.actor} in {self.batch}"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in ENDED
