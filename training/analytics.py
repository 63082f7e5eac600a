"""The numbers behind the trainings: queries only, each one aggregate. Pages, CSV and API read them.

Two rules hold for all of them. A figure is about the trainings *launched* in a span of days, whenever they
ended; and the selection it counts is the one its link shows. Costs are what ``costs.bill_of`` says of a
version, at the price that is configured now, worked out in SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models.functions import TruncDay, TruncMonth, TruncWeek
from django.utils import timezone

from training import costs, failures
from training.figures import Figures, measured
from training.library import Choice, Filters, Library
from training.preset_models import PresetRevision
from training.selection import NONE, SIZES, Selection, size_of_dataset
from training.spans import Span, Unit

#: Medians that are shown of each group, of a preset's results, and of all trainings.
OF_A_GROUP = ("training", "likeness")
OF_A_PRESET = (*OF_A_GROUP, "median_cost")
OF_ALL = ("queue", "training", "review", "median_cost")
TRUNCATED = {"day": TruncDay, "week": TruncWeek, "month": TruncMonth}


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


def _start_of_unit(day: date, unit: Unit) -> date:
    """Where the database says that a day's part begins: the span may cut the first one off."""
    match unit:
        case "day":
            return day
        case "week":
            return date.fromordinal(day.toordinal() - day.weekday())
        case "month":
            return day.replace(day=1)
