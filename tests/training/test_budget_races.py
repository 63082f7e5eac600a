"""Fifty launches at the same moment share the last ten dollars and never cross them.

Real connections, real transactions, on both databases. What holds is the lock on the person's month
(``BudgetMonth.lock``; on SQLite the transaction itself): without it PostgreSQL lets most of the fifty in.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from actors import studio_time
from tests.factories import make_actor
from tests.training.ready import recommended
from training import budgets, launch
from training.budget_models import BudgetEntry, BudgetMonth, BudgetRule
from training.models import TrainingVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
LAUNCHES = 50
CEILING = Decimal(100)
LEFT = Decimal(10)


@pytest.fixture(autouse=True)
def priced(settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.01
    settings.WORKER_START_SECONDS = settings.WORKER_IDLE_SECONDS = 0.0


@pytest.fixture
def ines(db: None) -> User:
    """Somebody with ten dollars left."""
    person = User.objects.create_user("ines", "ines@studio.example", "x")
    BudgetRule.objects.create(user=person, dollars=CEILING)
    budgets.reserve(person, BudgetEntry.Kind.PREVIEW, 1, CEILING - LEFT, "before")
    return person


def together(step: Callable[[int], bool], times: int = LAUNCHES) -> list[bool]:
    """The step by so many threads at one moment, each with a connection of its own."""
    barrier = Barrier(times)

    def run(number: int) -> bool:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            return step(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(run, range(times)))


def cost_of_one() -> Decimal:
    version = launch.launch(make_actor(), recommended())
    cost = launch.expected_cost(launch.estimate_of(version))
    version.delete()
    return cost


def test_fifty_launches_never_cross_the_last_ten_dollars(ines: User) -> None:
    cost = cost_of_one()
    actors = [make_actor() for _ in range(LAUNCHES)]
    refusals: list[str] = []

    def start(number: int) -> bool:
        try:
            launch.launch(actors[number], recommended(), by=ines)
        except launch.CannotStart as refusal:
            refusals.extend(check.mend for check in refusal.checks)
            return False
        return True

    started = sum(together(start))
    assert refusals == ["budget"] * (LAUNCHES - started)
    assert 2 < started < LAUNCHES
    assert started == LEFT // cost, "as many as fit, and not one more"
    month = BudgetMonth.objects.get(user=ines)
    assert month.used == CEILING - LEFT + started * cost <= CEILING
    assert (month.spent, month.reserved, month.trainings) == month.sums()
    assert TrainingVersion.objects.filter(created_by=ines).count() == started


def test_the_first_launches_of_a_month_make_one_ledger(ines: User) -> None:
    BudgetMonth.objects.all().delete()

    def lock(_: int) -> bool:
        with transaction.atomic():
            return bool(BudgetMonth.lock(ines.pk, studio_time.this_month()))

    assert all(together(lock, times=10))
    assert BudgetMonth.objects.count() == 1


def test_ends_and_starts_at_once_leave_the_ledger_true(ines: User) -> None:
    actors = [make_actor() for _ in range(20)]

    def start_and_cancel(number: int) -> bool:
        version = launch.launch(actors[number], recommended(), by=ines)
        return version.cancel(ines)

    BudgetRule.objects.update(dollars=None)
    assert all(together(start_and_cancel, times=len(actors)))
    month = BudgetMonth.objects.get(user=ines)
    assert month.spent == 0
    assert (month.reserved, month.trainings) == (CEILING - LEFT, 0)


def test_a_quota_of_trainings_holds_as_well(ines: User) -> None:
    BudgetRule.objects.update(dollars=None, trainings=3)
    actors = [make_actor() for _ in range(20)]

    def start(number: int) -> bool:
        try:
            launch.launch(actors[number], recommended(), by=ines)
        except launch.CannotStart:
            return False
        return True

    assert sum(together(start, times=len(actors))) == 3
