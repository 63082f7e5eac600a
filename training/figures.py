"""What is measured of a group of trainings.

One query hands the trainings over as columns of numbers, and each group is a part of them: so every figure of
a page is of the same moment, a median is exact, and the database reads its index once, however many groups
there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from django.db.models import Case, DecimalField, F, FloatField, IntegerField, Q, Value, When
from django.db.models.functions import Cast, Ceil, Coalesce, NullIf, Round
from django.utils import timezone

from training import costs
from training.aggregates import Column, Moment, Numbers
from training.models import ACTIVE, Status, TrainingVersionQuerySet
from training.selection import BECAME_GOOD

Chosen = npt.NDArray[np.bool_]
#: Amounts have four digits below a dollar: as whole numbers of those they add up without an error.
UNITS = 10_000
AMOUNT: DecimalField[Any, Any] = DecimalField(max_digits=12, decimal_places=4)


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
    #: US dollars of the trainings; ``None`` where nothing was paid.
    cost: Decimal | None = None
    #: US dollars of all their previews, whoever ordered them and whenever.
    preview_cost: Decimal | None = None
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
    def spent(self) -> Decimal | None:
        """Trainings and their previews."""
        known = [cost for cost in (self.cost, self.preview_cost) if cost is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def cost_per_training(self) -> Decimal | None:
        """The mean over all that have cost something, failed ones too."""
        return _share(self.cost, self.paid)

    @property
    def cost_per_good(self) -> Decimal | None:
        """All costs, every failed and rejected try and every preview too, over the good versions."""
        return _share(self.spent, self.paid_good)

    @property
    def tries_per_good(self) -> float | None:
        """Trainings for each that became good."""
        return self.trainings / self.good if self.good else None


@dataclass(frozen=True)
class Trainings:
    """Some trainings as columns, each in the same order."""

    columns: Mapping[str, Numbers]

    @classmethod
    def read(cls, rows: TrainingVersionQuerySet, bill: costs.Bill | None, **more: Any) -> Self:
        """One query. ``more``: further columns, to group by."""
        asked = {name: Column(value) for name, value in (COLUMNS | {"cost": dollars(bill)} | more).items()}
        return cls(rows.aggregate(**asked))

    def __len__(self) -> int:
        return len(self["launched"])

    def __getitem__(self, name: str) -> Numbers:
        return self.columns[name]

    def where(self, chosen: Chosen | npt.NDArray[np.intp]) -> Trainings:
        """Only these."""
        return Trainings({name: column[chosen] for name, column in self.columns.items()})

    def by(self, key: Numbers) -> Iterator[tuple[int | None, Trainings]]:
        """A part for each value of a key; ``None`` stands for what has none."""
        order = np.argsort(key, kind="stable")
        values, starts = np.unique(key[order], return_index=True)
        for value, rows in zip(values, np.split(order, starts[1:]), strict=False):
            yield None if np.isnan(value) else int(value), self.where(rows)

    def figures(self) -> Figures:
        """What is known of all of them together."""
        state, good, cost = self["state"], self["good"] == 1, self["cost"]
        completed, paid = state == STATES[Status.COMPLETED], ~np.isnan(cost)
        executed = np.where(
            np.isnan(self["executed"]), self["ended"] - self["began"], self["executed"] / 1000.0
        )
        return Figures(
            trainings=len(self),
            active=count(np.isin(state, [STATES[status] for status in ACTIVE])),
            completed=count(completed),
            failed=count(state == STATES[Status.FAILED]),
            cancelled=count(state == STATES[Status.CANCELLED]),
            good=count(good),
            queue=median(self["began"] - self["launched"]),
            training=median(executed[completed]),
            # An imported version was marked by the import, not by a person who looked.
            review=median((self["marked"] - self["ended"])[good & (self["imported"] == 0)]),
            cost=dollars_of(cost),
            preview_cost=dollars_of(self["previews"]),
            median_cost=rounded(median(cost)),
            likeness=median(self["likeness"]),
            paid=count(paid),
            paid_good=count(paid & good),
        )


def dollars(bill: costs.Bill | None) -> Any:
    """The cost of each version as a column, as ``costs.bills_of`` says it; NULL before a worker had it.

    What has ended has its cost with it; only what runs is reckoned, by the clock and at the price of now.
    """
    if bill is None:
        return F("cost_usd")
    told = Cast(NullIf("execution_ms", Value(0)), FloatField()) / Value(1000.0)
    by_clock = Value(timezone.now().timestamp()) - Moment("started_at")
    around = Value(bill.start_seconds + bill.idle_seconds)
    seconds = Cast(Ceil(Coalesce(told, by_clock) + around), DecimalField(max_digits=12, decimal_places=0))
    so_far = Round(seconds * Value(bill.price), precision=4)
    running = Case(When(status__in=ACTIVE, then=so_far), output_field=AMOUNT)
    return Coalesce("cost_usd", running, output_field=AMOUNT)


def flag(condition: Q) -> Case:
    """1 where it holds, else 0."""
    return Case(When(condition, then=Value(1)), default=Value(0), output_field=IntegerField())


STATES = {status: number for number, status in enumerate(Status)}
#: All that figures are made of. PostgreSQL has these in one index (migration ``0011_bills``).
COLUMNS: dict[str, Any] = {
    "state": Case(
        *(When(status=status, then=Value(number)) for status, number in STATES.items()),
        output_field=IntegerField(),
    ),
    "launched": Moment("created_at"),
    "began": Moment("started_at"),
    "ended": Moment("finished_at"),
    "marked": Moment(Coalesce("first_good_at", "good_at")),
    "good": flag(BECAME_GOOD),
    "imported": flag(Q(request_id="")),
    "executed": NullIf("execution_ms", Value(0)),
    "previews": F("preview_cost_usd"),
    "likeness": F("score__value"),
}


def count(chosen: Chosen) -> int:
    """How many."""
    return int(np.count_nonzero(chosen))


def median(values: Numbers) -> float | None:
    """The middle one of those that are known, halfway between two when they are even in number."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def dollars_of(amounts: Numbers) -> Decimal | None:
    """Their sum, to the last digit; ``None`` where nothing was paid."""
    known = amounts[~np.isnan(amounts)]
    return Decimal(int(np.rint(known * UNITS).sum())) / UNITS if len(known) else None


def rounded(amount: float | None) -> Decimal | None:
    """With four digits."""
    return None if amount is None else Decimal(str(amount)).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _share(amount: Decimal | None, among: int) -> Decimal | None:
    return (
        (amount / among).quantize(Decimal("0.0001"), ROUND_HALF_UP) if amount is not None and among else None
    )
