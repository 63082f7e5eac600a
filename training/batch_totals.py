"""What stands above a plan: sums, reasons, and what will stop the batch before its end."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db.models import Count, Max, Q, Sum

from training import budgets
from training.batch_models import ASIDE, NOTHING, Batch, ItemState

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True)
class Totals:
    """The sums of a plan."""

    actors: int
    ready: int
    blocked: int
    left_out: int
    seconds: float
    longest: float
    cost: Decimal | None
    concurrency: int

    @property
    def clock_seconds(self) -> float:
        """How long it takes with so many at once, the queue aside."""
        return max(self.seconds / self.concurrency, self.longest)


def totals(batch: Batch) -> Totals:
    """Of a batch's items that can start. One query."""
    ready = ~Q(state__in=ASIDE)
    sums = batch.items.aggregate(
        everyone=Count("pk"),
        blocked=Count("pk", filter=Q(state=ItemState.BLOCKED)),
        left_out=Count("pk", filter=Q(state=ItemState.LEFT_OUT)),
        length=Sum("seconds", filter=ready, default=0.0),
        longest=Max("seconds", filter=ready, default=0.0),
        dollars=Sum("cost", filter=ready),
    )
    return Totals(
        actors=sums["everyone"],
        ready=sums["everyone"] - sums["blocked"] - sums["left_out"],
        blocked=sums["blocked"],
        left_out=sums["left_out"],
        seconds=sums["length"],
        longest=sums["longest"],
        cost=sums["dollars"],
        concurrency=batch.concurrency,
    )


def reasons(batch: Batch) -> list[tuple[str, int]]:
    """Why actors can't start, the most frequent first."""
    blocked = batch.items.filter(state=ItemState.BLOCKED).order_by().values_list("reason")
    return list(blocked.annotate(number=Count("pk")).order_by("-number", "reason")[:8])


def warnings(batch: Batch, sums: Totals, person: User) -> list[str]:
    """What will stop the batch before its end, as far as it is known now."""
    found = []
    if batch.ceiling is not None and sums.cost is not None and sums.cost > batch.ceiling:
        found.append(
            f"All of them cost about ${sums.cost:.2f}. At ${batch.ceiling:.2f} the batch pauses, and you can "
            "raise the ceiling then."
        )
    try:
        usage = budgets.usage_of(person)
        usage.check(sums.cost or NOTHING, trainings=sums.ready, what="This batch")
    except budgets.OverBudget as over:
        found.append(f"{over} When it is used up, the batch pauses.")
    return found
