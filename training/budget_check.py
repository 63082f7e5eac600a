"""Whether the ledger of budgets is true, and its repair: rows may come from before there were budgets,
from plain SQL, or from a process that died at the wrong moment.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.db import transaction
from django_q.models import Schedule

from actors import studio_time
from training import budgets, launch
from training.budget_models import BudgetEntry, BudgetMonth
from training.models import TERMINAL, TrainingVersion

log = logging.getLogger(__name__)


def drift(*, repair: bool) -> Iterator[str]:
    """What is wrong, a line each; with ``repair`` it is put right before it is told."""
    yield from _not_entered(repair=repair)
    yield from _not_settled(repair=repair)
    yield from _wrong_sums(repair=repair)


def _not_entered(*, repair: bool) -> Iterator[str]:
    """Trainings that somebody started this month and that are in nobody's ledger."""
    begin = studio_time.start_of(studio_time.this_month())
    entered = BudgetEntry.objects.filter(kind=BudgetEntry.Kind.TRAINING).values("object_id")
    started = TrainingVersion.objects.filter(created_at__gte=begin, created_by__isnull=False)
    for version in started.exclude(pk__in=entered).select_related("actor", "created_by"):
        if repair:
            with transaction.atomic():
                cost = launch.expected_cost(launch.estimate_of(version))
                budgets.reserve_training(version, cost, force=True)
                if version.status in TERMINAL:
                    budgets.settle_training(version)
        yield f"{version.actor.number} {version.name} of {version.created_by} was not in the ledger."


def _not_settled(*, repair: bool) -> Iterator[str]:
    """Reservations whose training has ended, or is gone."""
    waiting = BudgetEntry.objects.filter(kind=BudgetEntry.Kind.TRAINING, spent=None)
    there = TrainingVersion.objects.in_bulk(waiting.values_list("object_id", flat=True))
    for entry in waiting.select_related("month__user"):
        version = there.get(entry.object_id)
        if version and version.status not in TERMINAL:
            continue
        if repair and version:
            budgets.settle_training(version)
        elif repair:
            # Nobody knows any more what it cost: the estimate stands.
            budgets.settle(BudgetEntry.Kind.TRAINING, entry.object_id, entry.reserved, ran=True)
        ended = f"is {version.status}" if version else "is gone"
        yield f"{entry.label} of {entry.month.user} {ended}, but its reservation was still open."


def _wrong_sums(*, repair: bool) -> Iterator[str]:
    """Months whose sums are not those of their entries."""
    for month in BudgetMonth.objects.select_related("user"):
        with transaction.atomic():
            row = BudgetMonth.lock(month.user_id, month.month)
            here, right = (row.spent, row.reserved, row.trainings), row.sums()
            if here == right:
                continue
            if repair:
                row.add_up()
        yield f"{month}: {_sums(here)} stood there, but the entries say {_sums(right)}."


def _sums(sums: tuple[object, ...]) -> str:
    return "{} $ spent, {} $ reserved, {} trainings".format(*sums)


def keep_true() -> None:
    """Each hour: repairs."""
    for line in drift(repair=True):
        log.warning("budgets: %s", line)


def ensure_schedule() -> None:
    """Runs ``keep_true`` each hour."""
    Schedule.objects.update_or_create(
        name="budgets",
        defaults={"func": "training.budget_check.keep_true", "schedule_type": Schedule.HOURLY, "repeats": -1},
    )
