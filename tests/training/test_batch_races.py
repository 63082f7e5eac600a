"""Batches when several do the same at one moment: on PostgreSQL, with threads and real locks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.factories import make_actor
from tests.training.batch_steps import asked, begun, end_all, looked_at, plan, states
from tests.training.ready import recommended
from training import batch_launches, batch_plan, batch_planning, batches, launch
from training.models import BatchItem, TrainingVersion

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
#: 40 s and 160 steps of 0.25 s, a quarter on top, at a cent a second: a training reserves one dollar.
ONE_DOLLAR = {"max_train_steps": 160}


@pytest.fixture
def priced(settings: Settings) -> None:
    """A cent a second."""
    settings.GPU_PRICE_PER_SECOND, settings.WORKER_IDLE_SECONDS = 0.01, 0.0
    settings.WORKER_START_SECONDS = 0.0


def all_at_once(*steps: Callable[[], object]) -> list[Exception]:
    """Each step in a thread of its own, begun at the same moment; what was raised."""
    barrier, raised = threading.Barrier(len(steps)), []

    def run(step: Callable[[], object]) -> None:
        connection.ensure_connection()
        barrier.wait()
        try:
            step()
        except Exception as error:  # noqa: BLE001  # judged by the test
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.mark.usefixtures("priced")
def test_fifty_launches_racing_for_the_last_ten_dollars_never_cross_the_ceiling() -> None:
    batch = begun(50, concurrency=50, ceiling=Decimal("10.00"), parameters=ONE_DOLLAR)
    now = timezone.now()
    assert all_at_once(*[lambda: batch_launches.launch_next(batch, now)] * 50) == []
    assert Counter(states(batch)) == {"launched": 10, "waiting": 40}
    assert batch.committed() == batch.ceiling
    assert TrainingVersion.objects.count() == 10
    # The ones that ended cheaper than reserved make room for as many as fit, and again no more.
    assert batch.items.filter(state="launched").count() == 10
    end_all(batch, execution_ms=50_000)
    assert all_at_once(*[lambda: batch_launches.advance(now)] * 8) == []
    # Estimates have learned from them: the next ones reserve a little over fifty cents each.
    assert Counter(states(batch)) == {"completed": 10, "launched": 9, "waiting": 31}
    assert Decimal("9.50") < batch.committed() <= Decimal(10)


def test_four_sweeps_at_once_keep_to_the_places_and_launch_nobody_twice() -> None:
    batch = begun(6, concurrency=3)
    for _ in range(2):
        assert all_at_once(*[batch_launches.advance] * 4) == []
        assert TrainingVersion.objects.filter(status="pending").count() == 3
        TrainingVersion.objects.update(status="completed", finished_at=timezone.now())
    assert all_at_once(*[batch_launches.advance] * 4) == []
    batch.refresh_from_db()
    assert batch.state == "done"
    assert TrainingVersion.objects.count() == 6
    assert set(Counter(TrainingVersion.objects.values_list("actor_id", flat=True)).values()) == {1}
    assert batch.events.filter(message__startswith="Done").count() == 1


def test_four_tasks_at_once_make_one_plan_begin_once_and_try_again_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_planning, "AT_ONCE", 3)
    looks: list[Sequence[int]] = []
    real = batch_plan.evaluate

    def noted(actor_ids: Sequence[int], *arguments: Any, **options: Any) -> list[BatchItem]:
        looks.append(actor_ids)
        return real(actor_ids, *arguments, **options)

    monkeypatch.setattr(batch_plan, "evaluate", noted)
    batch = asked([*(make_actor() for _ in range(8)), make_actor(images=0)])

    def all_four() -> list[int]:
        looks.clear()
        assert all_at_once(*[lambda: batch_planning.run(batch.pk)] * 4) == []
        batch.refresh_from_db()
        return [actor for look in looks for actor in look]

    assert all_four() == batch.planning.chosen
    assert states(batch) == ["planned"] * 8 + ["blocked"]
    assert batch.items.count() == 9
    batches.begin(batch, None)
    assert all_four() == batch.planning.chosen
    assert Counter(states(batch)) == {"waiting": 8, "blocked": 1}
    batch.items.filter(state="waiting").update(state="failed")
    batches.retry_failed(batch, None)
    assert all_four() == batch.planning.chosen
    assert Counter(states(batch)) == {"waiting": 8, "blocked": 1}
    said = list(batch.events.values_list("message", flat=True))
    assert [words.split()[0] for words in said] == ["Planned:", "Begun", "Tries"]


def test_people_who_begin_change_and_discard_at_one_moment_leave_something_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_planning, "AT_ONCE", 2)
    batch = asked(6)
    raised = all_at_once(
        *[lambda: batch_planning.run(batch.pk)] * 2,
        *[lambda: batches.begin(batch, None)] * 2,
        lambda: batches.change(batch, None, preset="quick"),
    )
    assert all(isinstance(error, batches.NotPossible) for error in raised)
    looked_at(batch)
    assert (batch.state, set(states(batch))) == ("running", {"waiting"})
    steps = {item.parameters["max_train_steps"] for item in batch.items.all()}
    assert len(steps) == 1


def test_an_actor_of_two_batches_that_begin_at_once_is_in_one_of_them() -> None:
    actors = [make_actor() for _ in range(8)]
    found = [plan(actors, name=f"Batch {number}") for number in range(4)]
    own = [plan([make_actor(), *actors]) for _ in range(2)]
    everyone = [*found, *own]
    assert all_at_once(*(lambda each=each: batches.begin(each, None) for each in everyone)) == []
    assert all_at_once(*(lambda each=each: batch_planning.run(each.pk) for each in everyone)) == []
    for each in everyone:
        each.refresh_from_db()
        assert each.planning.trouble.startswith("None of its actors") == (each.state == "planned")
    held = BatchItem.objects.filter(state="waiting").values_list("actor_id", flat=True)
    assert set(Counter(held).values()) == {1}
    assert {actor.pk for actor in actors} <= set(held)


def test_a_cancellation_in_the_middle_of_launches_leaves_nothing_training() -> None:
    batch = begun(12, concurrency=12)
    now = timezone.now()
    steps = [lambda: batch_launches.launch_next(batch, now)] * 8
    raised = all_at_once(*steps, lambda: batches.cancel(batch, None), *steps)
    assert raised == []
    batch_launches.advance()
    batch_launches.advance()
    assert not TrainingVersion.objects.active().exists()
    assert set(states(batch)) == {"cancelled"}


def test_a_batch_and_a_person_who_launch_the_same_actor_make_one_training() -> None:
    actor = make_actor()
    batch = begun([actor])
    now = timezone.now()
    raised = all_at_once(
        lambda: batch_launches.launch_next(batch, now),
        *[lambda: launch.launch(actor, recommended())] * 3,
    )
    assert all(isinstance(error, launch.CannotStart) for error in raised)
    assert TrainingVersion.objects.active().count() == 1
    item = batch.items.get()
    assert (item.state == "launched") == (item.version is not None)
