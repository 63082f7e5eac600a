"""The numbers behind the trainings: queries only, each one aggregate. Pages, CSV and API read them.

Two rules hold for all of them. A figure is about the trainings *launched* in a span of days, whenever they
ended; and the selection it counts is the one its link shows. Costs are what ``costs.bill_of`` says of a
version, at the price that is configured now, worked out in SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, DateTimeField, FloatField, Q, Sum, Value
from django.db.models.functions import Cast, Ceil, Coalesce, NullIf, TruncDay, TruncMonth, TruncWeek
from django.utils import timezone

from training import costs, failures
from training.aggregates import Median, SecondsBetween
from training.library import Choice, Filters, Library
from training.models import ACTIVE, Status, TrainingVersionQuerySet
from training.preset_models import PresetRevision
from training.selection import BECAME_GOOD, NONE, SIZES, Selection, size_of_dataset
from training.spans import Span, Unit

OF_A_GROUP = ("training", "likeness")
OF_A_PRESET = (*OF_A_GROUP, "median_cost")
OF_ALL = ("queue", "training", "review", "median_cost")
TRUNCATED = {"day": TruncDay, "week": TruncWeek, "month": TruncMonth}


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


@dataclass(frozen=True)
class Group:
    """Figures of one group: its key, its words, and the selection that shows its rows."""

    key: str
    label: str
    figures: Figures
    rows: Selection


@dataclass(frozen=True)
class Part:
    """Figures of a day, week or month."""

    span: Span
    figures: Figures
    rows: Selection


@dataclass(frozen=True)
class Prices:
    """What the costs are made of, and where each number is from."""

    #: Name of the endpoint's GPU; empty where only a price is configured.
    gpu: str
    per_second: Decimal
    start_seconds: float
    start_source: str
    idle_seconds: float

    @property
    def per_hour(self) -> Decimal:
        """US dollars."""
        return self.per_second * 3600

    @property
    def setting(self) -> str:
        """Where the price is set."""
        return "GPU_PRICES" if self.gpu else "GPU_PRICE_PER_SECOND"

    @property
    def gpus(self) -> list[tuple[str, Decimal]]:
        """All GPUs with a known price in US dollars a second, the cheapest first."""
        known = [(name, Decimal(str(price))) for name, price in settings.GPU_PRICES.items()]
        return sorted(known, key=lambda each: each[1])


@dataclass(frozen=True)
class Report:
    """Everything that the dashboard shows, the API answers and a CSV holds."""

    span: Span
    states: list[Choice]
    totals: Figures
    before: Figures
    over_time: list[Part]
    reasons: list[Group]
    people: list[Group]
    presets: list[Group]
    sizes: list[Group]
    prices: Prices | None

    @property
    def actors(self) -> int:
        """Everyone in the library."""
        return sum(state.count for state in self.states)

    @property
    def good_actors(self) -> int:
        """Actors whose state is good."""
        return next((state.count for state in self.states if state.value == "good"), 0)

    @property
    def rows(self) -> Selection:
        """All trainings of the span."""
        return Selection.launched(self.span)


def report(span: Span, only: User | None = None) -> Report:
    """Always the same number of queries. ``only``: the one person whose costs may be shown."""
    bill = costs.bill_for(0.0)
    return Report(
        span=span,
        states=states(),
        totals=totals(span, bill),
        before=totals(before(span), bill),
        over_time=over_time(span, bill),
        reasons=reasons(span, bill),
        people=people(span, bill, only),
        presets=presets(span, bill),
        sizes=sizes(span, bill),
        prices=prices(bill),
    )


def prices(bill: costs.Bill | None) -> Prices | None:
    """As configured; ``None`` where trainings cost nothing."""
    if bill is None:
        return None
    return Prices(settings.RUNPOD_GPU, bill.price, bill.start_seconds, bill.start_source, bill.idle_seconds)


def states() -> list[Choice]:
    """Actors by state, as the library counts them."""
    return Library(Filters()).choices("state")


def totals(span: Span, bill: costs.Bill | None) -> Figures:
    """All trainings of the span."""
    return measured(Selection.launched(span).rows(), bill, medians=OF_ALL)[()]


def before(span: Span) -> Span:
    """As many days before it, to compare with."""
    last = date.fromordinal(span.first.toordinal() - 1)
    return Span(date.fromordinal(last.toordinal() - span.days + 1), last)


def over_time(span: Span, bill: costs.Bill | None) -> list[Part]:
    """By day, week or month of the launch; the empty ones too."""
    zone = timezone.get_current_timezone()
    moment = TRUNCATED[span.unit]("created_at", tzinfo=zone)
    found = measured(Selection.launched(span).rows().annotate(part=moment), bill, "part")
    by_day = {timezone.localdate(key[0]): figures for key, figures in found.items()}
    return [
        Part(part, by_day.get(_start_of_unit(part.first, span.unit), Figures()), Selection.launched(part))
        for part in span.parts()
    ]


def reasons(span: Span, bill: costs.Bill | None) -> list[Group]:
    """Failed trainings by what their errors say, the most frequent first."""
    rows = Selection.launched(span).but(status="failed")
    failed = rows.rows().annotate(kind=failures.failure_kind())
    found = measured(failed, bill, "kind")
    groups = [
        Group(key, failures.LABELS[key], figures, rows.but(reason=key)) for (key,), figures in found.items()
    ]
    return sorted(groups, key=lambda group: (-group.figures.trainings, group.label))


def people(span: Span, bill: costs.Bill | None, only: User | None) -> list[Group]:
    """By who launched them, the most expensive first; only one person where others are not to be seen."""
    rows = Selection.launched(span)
    found = rows.rows().filter(created_by=only) if only else rows.rows()
    groups = [
        Group(name or NONE, name or "No person", figures, rows.but(by=name or NONE))
        for (name,), figures in measured(found, bill, "created_by__username").items()
    ]
    return sorted(
        groups, key=lambda group: (-(group.figures.cost or 0), -group.figures.trainings, group.label)
    )


def presets(
    span: Span | None,
    bill: costs.Bill | None,
    *,
    preset: str = "",
    medians: Sequence[str] = OF_A_GROUP,
) -> list[Group]:
    """By preset and revision, those with changed values apart. Without a span: of all time."""
    rows = (Selection.launched(span) if span else Selection()).but(preset=preset)
    found = measured(rows.rows(), bill, "preset_revision", "preset_edited", medians=medians)
    revisions = PresetRevision.objects.select_related("preset").in_bulk([key[0] for key in found if key[0]])
    groups = []
    for (pk, edited), figures in found.items():
        if pk is None:
            group = Group(NONE, "No preset", figures, rows.but(preset=NONE))
        else:
            revision = revisions[pk]
            key = f"{revision.preset.name}.{revision.number}"
            label = f"{revision.label}, revision {revision.number}{', values changed' if edited else ''}"
            changed = "yes" if edited else "no"
            group = Group(
                f"{key}{'+' if edited else ''}", label, figures, rows.but(preset=key, changed=changed)
            )
        groups.append(group)
    return sorted(groups, key=lambda group: (group.key == NONE, -group.figures.trainings, group.label))


def sizes(span: Span, bill: costs.Bill | None) -> list[Group]:
    """By how many images they were trained on, the smallest first."""
    rows = Selection.launched(span)
    found = measured(rows.rows().annotate(size=size_of_dataset()), bill, "size", medians=OF_A_GROUP)
    return [
        Group(key, SIZES[key][0], found[(key,)], rows.but(images=key)) for key in SIZES if (key,) in found
    ]


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


def _start_of_unit(day: date, unit: Unit) -> date:
    """Where the database says that a day's part begins: the span may cut the first one off."""
    match unit:
        case "day":
            return day
        case "week":
            return date.fromordinal(day.toordinal() - day.weekday())
        case "month":
            return day.replace(day=1)
