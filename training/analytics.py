"""The numbers behind the trainings. Pages, CSV and API read them.

Two rules hold for all of them. A figure is about the trainings *launched* in a span of days, whenever they
ended; and the selection it counts is the one its link shows. Costs are what ``costs.bill_of`` says of a
version: what was paid, and of those that run what they have cost so far.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F, Q

from training import costs, failures
from training.figures import Figures, Trainings, flag
from training.library import Choice, Filters, Library
from training.models import TrainingVersion
from training.preset_models import PresetRevision
from training.selection import NONE, SIZE_NAMES, SIZES, Selection, size_of_dataset
from training.spans import Span, start_of

#: What trainings are grouped by, as numbers.
PRESET_KEYS: dict[str, Any] = {
    "revision": F("preset_revision"),
    "edited": flag(Q(preset_edited=True)),
}
KEYS: dict[str, Any] = PRESET_KEYS | {"person": F("created_by"), "size": size_of_dataset(numbered=True)}


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
    def has_costs(self) -> bool:
        """Whether anything costs, or has cost, money."""
        return priced(self.prices, (self.totals, self.before))

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


def priced(now: Prices | costs.Bill | None, figures: Iterable[Figures]) -> bool:
    """Whether there are dollars to show: a price is set, or was when something was paid."""
    return now is not None or any(each.spent is not None for each in figures)


def report(span: Span, only: User | None = None) -> Report:
    """Always the same number of queries. ``only``: the one person whose costs may be shown."""
    bill = costs.bill_for(0.0)
    both = launched(Span(before(span).first, span.last), bill)
    now = both["launched"] >= start_of(span.first).timestamp()
    trainings = both.where(now)
    return Report(
        span=span,
        states=states(),
        totals=trainings.figures(),
        before=both.where(~now).figures(),
        over_time=over_time(span, trainings),
        reasons=reasons(span, bill),
        people=people(span, trainings, only),
        presets=presets(trainings, span),
        sizes=sizes(span, trainings),
        prices=prices(bill),
    )


def launched(span: Span, bill: costs.Bill | None) -> Trainings:
    """All trainings of these days, in one query."""
    return Trainings.read(Selection.launched(span).rows(), bill, **KEYS)


def prices(bill: costs.Bill | None) -> Prices | None:
    """As configured; ``None`` where trainings cost nothing."""
    if bill is None:
        return None
    return Prices(settings.RUNPOD_GPU, bill.price, bill.start_seconds, bill.start_source, bill.idle_seconds)


def states() -> list[Choice]:
    """Actors by state, as the library counts them."""
    return Library(Filters()).choices("state")


def before(span: Span) -> Span:
    """As many days before it, to compare with."""
    last = date.fromordinal(span.first.toordinal() - 1)
    return Span(date.fromordinal(last.toordinal() - span.days + 1), last)


def over_time(span: Span, trainings: Trainings) -> list[Part]:
    """By day, week or month of the launch; the empty ones too."""
    parts = span.parts()
    starts = [start_of(part.first).timestamp() for part in parts]
    numbers = np.searchsorted(starts, trainings["launched"], side="right") - 1
    found = {number: rows.figures() for number, rows in trainings.by(numbers.astype(np.float64))}
    return [
        Part(part, found.get(number, Figures()), Selection.launched(part))
        for number, part in enumerate(parts)
    ]


def reasons(span: Span, bill: costs.Bill | None) -> list[Group]:
    """Failed trainings by what their errors say, the most frequent first."""
    rows = Selection.launched(span).but(status="failed")
    # Errors are long and in no index, so they are read of the failed ones alone.
    failed = Trainings.read(rows.rows(), bill, kind=failures.failure_kind(numbered=True))
    groups = [
        Group(key := failures.NAMES[number or 0], failures.LABELS[key], each.figures(), rows.but(reason=key))
        for number, each in failed.by(failed["kind"])
    ]
    return sorted(groups, key=lambda group: (-group.figures.trainings, group.label))


def people(span: Span, trainings: Trainings, only: User | None) -> list[Group]:
    """By who launched them, the most expensive first; only one person where others are not to be seen."""
    rows = Selection.launched(span)
    parts = dict(trainings.by(trainings["person"]))
    if only:
        parts = {only.pk: parts[only.pk]} if only.pk in parts else {}
    names = dict(User.objects.filter(pk__in=[pk for pk in parts if pk]).values_list("pk", "username"))
    groups = [
        Group(name, name if pk else "No person", each.figures(), rows.but(by=name))
        for pk, each in parts.items()
        for name in [names[pk] if pk else NONE]
    ]
    return sorted(
        groups, key=lambda group: (-(group.figures.spent or 0), -group.figures.trainings, group.label)
    )


def results_of_preset(preset: str, bill: costs.Bill | None) -> list[Group]:
    """What its trainings of all time came to, by revision, those with changed values apart."""
    rows = Selection(preset=preset).rows()
    return presets(Trainings.read(rows, bill, **PRESET_KEYS), preset=preset)


def results_of_revisions(revisions: Iterable[PresetRevision], bill: costs.Bill | None) -> list[Group]:
    """What all trainings with exactly their values came to."""
    rows = TrainingVersion.objects.filter(preset_revision__in=revisions, preset_edited=False)
    return presets(Trainings.read(rows, bill, **PRESET_KEYS))


def presets(trainings: Trainings, span: Span | None = None, *, preset: str = "") -> list[Group]:
    """By preset and revision, those with changed values apart."""
    rows = (Selection.launched(span) if span else Selection()).but(preset=preset)
    parts = dict(trainings.by(2 * trainings["revision"] + trainings["edited"]))
    revisions = PresetRevision.objects.select_related("preset").in_bulk({key // 2 for key in parts if key})
    groups = []
    for number, each in parts.items():
        if number is None:
            group = Group(NONE, "No preset", each.figures(), rows.but(preset=NONE))
        else:
            revision, edited = revisions[number // 2], number % 2
            key = f"{revision.preset.name}.{revision.number}"
            label = f"{revision.label}, revision {revision.number}{', values changed' if edited else ''}"
            narrower = rows.but(preset=key, changed="yes" if edited else "no")
            group = Group(f"{key}{'+' if edited else ''}", label, each.figures(), narrower)
        groups.append(group)
    return sorted(groups, key=lambda group: (group.key == NONE, -group.figures.trainings, group.label))


def sizes(span: Span, trainings: Trainings) -> list[Group]:
    """By how many images they were trained on, the smallest first."""
    rows = Selection.launched(span)
    return [
        Group(key := SIZE_NAMES[number or 0], SIZES[key][0], each.figures(), rows.but(images=key))
        for number, each in trainings.by(trainings["size"])
    ]
