"""Ceilings, budgets and hours of batches: what they hold back, and what goes on all the same."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.training.batch_steps import (
    begun,
    end,
    end_all,
    plan,
    retry,
    run_through,
    states,
)
from training import batch_launches, batches
from training.models import Batch, Status, TrainingVersion

pytestmark = pytest.mark.django_db


def test_the_ceiling_holds_the_upper_end_of_the_estimate_until_the_real_cost_is_known(
    cent_a_second: None,
) -> None:
    batch = begun(3, concurrency=3, ceiling=Decimal("3.00"), parameters={"max_train_steps": 240})
    most = Decimal("1.2500")  # 40 s and 240 steps of 0.25 s, a quarter on top, at a cent a second
    batch_launches.advance()
    assert states(batch) == ["launched", "launched", "waiting"]
    assert batch.committed() == 2 * most
    end(batch.items.all()[0], execution_ms=50_000)
    batch_launches.advance()
    assert states(batch) == ["completed", "launched", "launched"]
    assert batch.committed() == Decimal("0.5000") + 2 * most


def test_a_batch_that_reaches_its_ceiling_pauses_and_goes_on_with_a_higher_one(cent_a_second: None) -> None:
    batch = begun(2, ceiling=Decimal("1.50"), parameters={"max_train_steps": 240})
    batch_launches.advance()
    end_all(batch, execution_ms=100_000)
    batch_launches.advance()
    batch.refresh_from_db()
    assert batch.state == "paused"
    assert batch.note.startswith("The ceiling is reached: 1.00 of $1.50 are used")
    batches.change(batch, None, ceiling=Decimal("2.50"))
    batches.resume(batch, None)
    batch_launches.advance()
    assert states(batch) == ["completed", "launched"]


def test_a_training_that_takes_longer_than_thought_holds_what_it_costs(cent_a_second: None) -> None:
    batch = begun(2, concurrency=2, ceiling=Decimal("2.50"), parameters={"max_train_steps": 240})
    batch_launches.launch_next(batch, timezone.now())
    started = timezone.now() - timedelta(seconds=200)
    TrainingVersion.objects.update(status=Status.TRAINING, started_at=started)
    batch_launches.advance()
    assert states(batch) == ["launched", "waiting"]
    assert batch.committed() >= Decimal(2)


def test_failed_attempts_stay_in_the_bill(cent_a_second: None) -> None:
    batch = begun(1, ceiling=Decimal(10), parameters={"max_train_steps": 240})
    batch_launches.advance()
    end_all(batch, Status.FAILED, execution_ms=70_000)
    batch_launches.advance()
    retry(batch)
    run_through(batch, execution_ms=100_000)
    assert batch.items.get().spent == Decimal("1.7000")


def test_a_persons_budget_pauses_the_batch_instead_of_refusing_every_actor(
    cent_a_second: None, django_user_model: Any
) -> None:
    from training.budget_models import BudgetRule

    person: User = django_user_model.objects.create_superuser("ines")
    BudgetRule.objects.create(user=person, trainings=1)
    batch = begun(3, concurrency=3, by=person)
    batch_launches.advance()
    batch.refresh_from_db()
    assert states(batch) == ["launched", "waiting", "waiting"]
    assert batch.state == "paused"
    assert "1 of 1" in batch.note


def test_who_may_train_no_more_launches_nothing(django_user_model: Any) -> None:
    person: User = django_user_model.objects.create_superuser("ines")
    batch = begun(2, by=person)
    User.objects.update(is_active=False)
    batch_launches.advance()
    batch.refresh_from_db()
    assert batch.state == "paused"
    assert "ines may no longer start trainings" in batch.note
    other: User = django_user_model.objects.create_superuser("mara")
    batches.resume(batch, other)
    batch_launches.advance()
    assert TrainingVersion.objects.get().created_by == other


@pytest.mark.parametrize(
    ("hour", "may"), [(21, False), (22, True), (23, True), (3, True), (5, True), (6, False), (12, False)]
)
def test_nightly_times_go_over_midnight_in_the_zone_of_the_batch(hour: int, may: bool) -> None:
    batch = plan(1, daily_from=time(22), daily_until=time(6), time_zone="Asia/Tokyo")
    now = datetime(2026, 11, 23, hour, 30, tzinfo=UTC) - timedelta(hours=9)
    assert batch.may_launch_at(now) is may


def test_nothing_is_launched_outside_of_its_times_and_what_trains_goes_on() -> None:
    now = timezone.now()
    batch = begun(3, starts_at=now + timedelta(hours=1), stops_at=now + timedelta(hours=3))
    batch_launches.advance(now)
    assert not TrainingVersion.objects.exists()
    assert not batch_launches.is_hungry(now)
    batch_launches.advance(now + timedelta(hours=2))
    batch_launches.advance(now + timedelta(hours=4))
    batch.refresh_from_db()
    assert (batch.state, states(batch)) == ("paused", ["launched", "waiting", "waiting"])
    assert "stop time has passed" in batch.note
    Batch.objects.update(starts_at=None, stops_at=now)
    with pytest.raises(batches.NotPossible, match="stop time has passed"):
        batches.resume(batch, None)


def test_limits_change_while_it_runs_and_the_plan_does_not() -> None:
    batch = begun(3)
    batches.change(batch, None, concurrency=3)
    batch_launches.advance()
    assert TrainingVersion.objects.count() == 3
    with pytest.raises(batches.NotPossible, match="preset can't change any more"):
        batches.change(batch, None, preset="quick")
