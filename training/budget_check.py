"""Whether the ledger of budgets is true, and its repair: rows may come from before there were budgets,
from plain SQL, or from a process that died at the wrong moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django_q.models import Schedule

from actors import studio_time
from training import budgets, launch, paid, previews
from training.budget_models import BudgetEntry, BudgetMonth
from training.models import TERMINAL, Preview, TrainingVersion
from training.preview_models import PREVIEW_TERMINAL

log = logging.getLogger(__name__)


def drift(*, repair: bool, since: date = date.min) -> Iterator[str]:
    """What is wrong, a line each; with ``repair`` it is put right before it is told.

    Sums of months before ``since`` are not looked at.
    """
    for source in SOURCES:
        yield from _not_entered(source, repair=repair)
        yield from _not_settled(source, repair=repair)
    yield from _wrong_sums(since, repair=repair)


@dataclass(frozen=True)
class Source:
    """One kind of what costs money."""

    kind: BudgetEntry.Kind
    rows: Callable[[], QuerySet[Any]]
    ends: Collection[str]
    #: Writes down what has started already, and what it has cost.
    enter: Callable[[Any], None]
    settle: Callable[[Any], bool]


def settle_training(version: TrainingVersion) -> bool:
    """One that was ended by plain SQL has no bill yet."""
    if version.cost_usd is None:
        paid.keep_bill(version)
    return budgets.settle_training(version)


SOURCES = (
    Source(
        BudgetEntry.Kind.TRAINING,
        lambda: TrainingVersion.objects.select_related("actor", "created_by"),
        TERMINAL,
        lambda version: budgets.reserve_training(
            version, launch.expected_cost(launch.estimate_of(version)), force=True
        ),
        settle_training,
    ),
    Source(
        BudgetEntry.Kind.PREVIEW,
        lambda: Preview.objects.select_related("version__actor", "created_by"),
        PREVIEW_TERMINAL,
        lambda preview: budgets.reserve_preview(preview, previews.expected_cost(preview), force=True),
        budgets.settle_preview,
    ),
)


def _not_entered(source: Source, *, repair: bool) -> Iterator[str]:
    """What somebody started this month and that is in nobody's ledger."""
    begin = studio_time.start_of(studio_time.this_month())
    entered = BudgetEntry.objects.filter(kind=source.kind).values("object_id")
    started = source.rows().filter(created_at__gte=begin, created_by__isnull=False)
    for row in started.exclude(pk__in=entered):
        if repair:
            with transaction.atomic():
                source.enter(row)
                if row.status in source.ends:
                    source.settle(row)
        yield f"The {source.kind} {row} of {row.created_by} was not in the ledger."


def _not_settled(source: Source, *, repair: bool) -> Iterator[str]:
    """Reservations of what has ended, or is gone."""
    waiting = BudgetEntry.objects.filter(kind=source.kind, spent=None)
    there = source.rows().in_bulk(waiting.values_list("object_id", flat=True))
    for entry in waiting.select_related("month__user"):
        row = there.get(entry.object_id)
        if row and row.status not in source.ends:
            continue
        if repair and row:
            source.settle(row)
        elif repair:
            # Nobody knows any more what it cost: the estimate stands.
            budgets.settle(source.kind, entry.object_id, entry.reserved, ran=True)
        ended = f"is {row.status}" if row else "is gone"
        yield f"{entry.label} of {entry.month.user} {ended}, but its reservation was still open."


def _wrong_sums(since: date, *, repair: bool) -> Iterator[str]:
    """Months whose sums are not those of their entries."""
    for month in BudgetMonth.objects.filter(month__gte=since).select_related("user"):
        with transaction.atomic():
            row = BudgetMonth.lock(month.user_id, month.month)
            here, right = (row.spent, row.reserved, row.trainings), row.sums()
            if here == right:
                continue
            if repair:
                row.add_up()
        yield f"{month}: {_sums(here)} stood there, but the entries say {_sums(right)}."


def _sums(sums: tuple[object, ...]) -> str:
    return "${} spent, ${} reserved, {} trainings".format(*sums)


def keep_true() -> None:
    """Each hour: repairs what is of this month or the one before."""
    for line in drift(repair=True, since=studio_time.this_month() - timedelta(days=31)):
        log.warning("budgets: %s", line)


def ensure_schedule() -> None:
    """Runs ``keep_true`` each hour."""
    Schedule.objects.update_or_create(
        name="budgets",
        defaults={"func": "training.budget_check.keep_true", "schedule_type": Schedule.HOURLY, "repeats": -1},
    )
