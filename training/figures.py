"""What is measured of a group of trainings, and the one query that measures it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db.models import Count, DateTimeField, FloatField, Q, Sum, Value
from django.db.models.functions import Cast, Ceil, Coalesce, NullIf
from django.utils import timezone

from training import costs
from training.aggregates import Median, SecondsBetween
from training.models import ACTIVE, Status, TrainingVersionQuerySet
from training.selection import BECAME_GOOD


@dataclass(frozen=True)
class Figures:
    """What is known of a group of trainings. Times are medians in seconds; ``None``: nothing was measured."""

    trainings: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    #: Those that were the good version once.
    good: int = 0
    #: From the launch until a worker took it.
    queue: float | None = None
    #: On the worker, of the completed ones.
    training: float | None = None
    #: From the end until somebody marked it good.
    review: float | None = None
    #: US dollars; ``None`` where no price is configured.
    cost: Decimal | None = None
    median_cost: Decimal | None = None
    #: Median of the likeness scores, 0 to 100.
    likeness: float | None = None
    #: How many of them, and of the good ones, have cost something.
    paid: int = 0
    paid_good: int = 0

    @property
    def ended(self) -> int:
        """Completed or failed: a cancelled one says nothing about success."""
        return self.completed + self.failed

    @property
    def success(self) -> float | None:
        """Share of the ended that completed, 0 to 1."""
        return self.completed / self.ended if self.ended else None

    @property
    def finished(self) -> int:
        """Completed and not chosen."""
        return max(0, self.completed - self.good)

    @property
    def cost_per_training(self) -> Decimal | None:
        """The mean over all that have cost something, failed ones too."""
        return _share(self.cost, self.paid)

    @property
    def cost_per_good(self) -> Decimal | None:
        """All costs, every failed and rejected try too, over the good versions."""
        return _share(self.cost, self.paid_good)

    @property
    def tries_per_good(self) -> float | None:
        """Trainings for each that became good."""
        return self.trainings / self.good if self.good else None


def measured(
    rows: TrainingVersionQuerySet, bill: costs.Bill | None, *by: str, medians: Sequence[str] = ()
) -> dict[tuple[Any, ...], Figures]:
    """Figures of each group of rows, in one query. A median sorts every group: ask where it is shown."""
    rows = rows.annotate(dollars=dollars(bill))
    found = {**COUNTS, **(COSTS if bill else {})}
    found |= {name: MEDIANS[name] for name in medians if bill or name != "median_cost"}
    if not by:
        values = rows.aggregate(**found)
        return {(): _figures(values)}
    return {
        tuple(values[name] for name in by): _figures(values) for values in rows.values(*by).annotate(**found)
    }


def dollars(bill: costs.Bill | None) -> Any:
    """The cost of each version as a column, as ``costs.bill_of`` reckons it; NULL before a worker had it."""
    if bill is None:
        return Value(None, output_field=FloatField())
    now = Value(timezone.now(), output_field=DateTimeField())
    told = Cast(NullIf("execution_ms", Value(0)), FloatField()) / Value(1000.0)
    by_clock = SecondsBetween(Coalesce("finished_at", now), "started_at")
    around = Value(bill.start_seconds + bill.idle_seconds)
    return Ceil(Coalesce(told, by_clock) + around) * Value(float(bill.price))


_COMPLETED = Q(status=Status.COMPLETED)
COUNTS: dict[str, Any] = {
    "trainings": Count("created_at"),
    "active": Count("created_at", filter=Q(status__in=ACTIVE)),
    "completed": Count("created_at", filter=_COMPLETED),
    "failed": Count("created_at", filter=Q(status=Status.FAILED)),
    "cancelled": Count("created_at", filter=Q(status=Status.CANCELLED)),
    "good": Count("created_at", filter=BECAME_GOOD),
}
COSTS: dict[str, Any] = {
    "cost": Sum("dollars"),
    "paid": Count("dollars"),
    "paid_good": Count("dollars", filter=BECAME_GOOD),
}
MEDIANS: dict[str, Any] = {
    "queue": Median(SecondsBetween("started_at", "created_at")),
    "training": Median(
        Coalesce(
            Cast(NullIf("execution_ms", Value(0)), FloatField()) / Value(1000.0),
            SecondsBetween("finished_at", "started_at"),
        ),
        filter=_COMPLETED,
    ),
    # An imported version was marked by the import, not by a person who looked.
    "review": Median(
        SecondsBetween(Coalesce("first_good_at", "good_at"), "finished_at"),
        filter=BECAME_GOOD & ~Q(request_id=""),
    ),
    "median_cost": Median("dollars"),
    "likeness": Median("score__value"),
}


def _figures(values: dict[str, Any]) -> Figures:
    known = {name: values[name] for name in Figures.__dataclass_fields__ if name in values}
    for name in ("cost", "median_cost"):
        if name in known:
            known[name] = _money(known[name])
    return Figures(**known)


def _money(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _share(amount: Decimal | None, among: int) -> Decimal | None:
    return (
        (amount / among).quantize(Decimal("0.0001"), ROUND_HALF_UP) if amount is not None and among else None
    )
