"""A batch from plan to end: what it launches, when, for how much, and what people can do about it."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from tests.factories import make_actor, make_version
from tests.training.batch_steps import (
    asked,
    begin,
    begun,
    end,
    end_all,
    looked_at,
    plan,
    retry,
    run_through,
    states,
)
from tests.training.ready import sweep_once
from training import batch_launches, batch_plan, batch_totals, batches, launch
from training.base_models import EMBEDDED
from training.models import Batch, BatchItem, Status, TrainingVersion
from training.parameters import ParameterErrors

pytestmark = pytest.mark.django_db
STEPS = EMBEDDED.table[0].max_train_steps


@pytest.fixture
def priced(settings: Settings) -> None:
    """A cent a second, so that a training of 100 s costs a dollar."""
    settings.GPU_PRICE_PER_SECOND, settings.WORKER_IDLE_SECONDS = 0.01, 0.0
    settings.WORKER_START_SECONDS = 0.0


# The plan


def test_a_plan_has_parameters_for_each_actor_and_the_reasons_of_a_single_launch() -> None:
    able, few, none, busy = make_actor(images=20), make_actor(images=3), make_actor(images=0), make_actor()
    make_version(busy, status=Status.TRAINING)
    batch = plan([able, few, none, busy, make_actor(synced=False)], preset="quick")
    items = list(batch.items.all())
    assert states(batch) == ["planned", "blocked", "blocked", "blocked", "blocked"]
    assert items[0].parameters["max_train_steps"] == STEPS // 2
    assert items[0].parameters["class_tokens"] == able.trigger_token
    assert (items[0].image_count, items[0].seconds > 0, items[0].cost) == (20, True, None)
    for item in items[1:]:
        assert item.reason == str(launch.CannotStart(launch.obstacles(item.actor)))
    assert not TrainingVersion.objects.exclude(actor=busy).exists()


def test_a_plan_knows_errors_of_the_inspection_but_not_accepted_ones() -> None:
    flawed, accepted = make_actor(), make_actor()
    for actor in (flawed, accepted):
        image = actor.dataset.images.first()
        assert image
        image.findings = [{"code": "several_faces", "level": "error", "message": "Two faces."}]
        image.accepted = {"several_faces": {"reason": "a mirror", "by": "ines"}} if actor == accepted else {}
        image.save()
        actor.dataset.write_verdict()
    batch = plan([flawed, accepted])
    assert states(batch) == ["blocked", "planned"]
    assert "Several faces: 1 image." in batch.items.all()[0].reason


def test_values_of_the_batch_go_over_the_presets_and_the_warm_up_follows_the_steps() -> None:
    batch = plan(1, parameters={"max_train_steps": 50, "network_dim": "32"})
    parameters = batch.items.get().parameters
    assert (parameters["max_train_steps"], parameters["lr_warmup_steps"]) == (50, 10)
    assert parameters["network_dim"] == 32


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"preset": "best"}, "The preset must be one of"),
        ({"parameters": {"max_train_steps": 1}}, "Steps must be a whole number from 20"),
        ({"parameters": {"stepz": 1}}, "stepz: there is no such parameter"),
        ({"ceiling": Decimal(5)}, "A ceiling needs a price"),
        ({"daily_from": time(22)}, "both ends"),
        ({"starts_at": timezone.now(), "stops_at": timezone.now() - timedelta(days=1)}, "before it starts"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_and_nothing_is_written(
    settings: dict[str, Any], says: str
) -> None:
    with pytest.raises((batch_plan.CannotPlan, ParameterErrors), match=says):
        plan(2, **settings)
    assert not Batch.objects.exists()


def test_a_plan_of_nobody_is_refused() -> None:
    with pytest.raises(batch_plan.CannotPlan, match="No actor is chosen"):
        plan([])


@pytest.mark.parametrize("step", [asked, looked_at, begin, retry, batches.cancel])
def test_every_step_takes_as_many_queries_for_forty_as_for_ten(step: Any) -> None:
    def queries(actors: int) -> int:
        people = [make_actor(images=12 + number % 5) for number in range(actors)]
        make_version(people[0], status=Status.TRAINING)
        batch = asked(people)
        if step is not looked_at:
            looked_at(batch)
        if step in (retry, batches.cancel):
            begin(batch)
        if step is retry:
            batch.items.update(state="failed")
        with CaptureQueriesContext(connection) as captured:
            step(people) if step is asked else step(batch, None) if step is batches.cancel else step(batch)
        return len(captured)

    queries(2)
    assert queries(10) == queries(40)


def test_totals_count_what_can_start_and_what_runs_side_by_side(priced: None) -> None:
    batch = plan([make_actor() for _ in range(4)] + [make_actor(images=0)], concurrency=2)
    found = batch_totals.totals(batch)
    assert (found.actors, found.ready, found.blocked) == (5, 4, 1)
    assert found.clock_seconds == pytest.approx(found.seconds / 2)
    assert found.cost == sum(item.cost or 0 for item in batch.items.all())


def test_a_plan_is_made_anew_when_its_preset_changes_or_images_arrive() -> None:
    later = make_actor(images=3)
    batch = plan([make_actor(), later])
    batches.change(batch, None, preset="thorough")
    assert looked_at(batch).state == "planned"
    assert batch.items.all()[0].parameters["max_train_steps"] == STEPS * 1.5
    later.dataset.images.all().delete()
    later.dataset.delete()
    fit = make_actor()
    fit.dataset.actor = later
    fit.dataset.save()
    batches.look_again(batch, None)
    looked_at(batch)
    assert states(batch) == ["planned", "planned"]


def test_a_discarded_plan_leaves_nothing_and_a_begun_batch_stays() -> None:
    batches.discard(plan())
    assert not BatchItem.objects.exists()
    with pytest.raises(batches.NotPossible, match="cancel it instead"):
        batches.discard(begun())


# Running


def test_it_launches_so_many_at_once_in_its_order_until_all_are_done() -> None:
    batch = begun([make_actor(images=count) for count in (12, 30, 20)], concurrency=2, order="images")
    batch_launches.advance()
    assert states(batch) == ["waiting", "launched", "launched"]
    batch_launches.advance()
    assert TrainingVersion.objects.count() == 2
    end_all(batch)
    batch_launches.advance()
    assert states(batch) == ["launched", "completed", "completed"]
    run_through(batch)
    assert batch.state == "done"
    assert batch.events.last().message == "Done: 3 completed"  # type: ignore[union-attr]
    assert TrainingVersion.objects.count() == 3


def test_a_launch_is_bound_to_its_item_has_its_parameters_and_its_person(django_user_model: Any) -> None:
    person = django_user_model.objects.create_superuser("ines")
    batch = begun(1, parameters={"max_train_steps": 40}, by=person)
    batch_launches.advance()
    version = TrainingVersion.objects.get()
    item = batch.items.get()
    assert (item.version, item.attempts, version.max_train_steps) == (version, 1, 40)
    assert (version.created_by, version.preset_revision and version.preset_revision.preset.name) == (
        person,
        "balanced",
    )


def test_the_sweep_begins_ends_and_has_nothing_left(django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        batch = begun(1)
    assert "training.tasks.sweep" in [task.func() for task in OrmQ.objects.all()]
    assert batch_launches.is_hungry(timezone.now())
    sweep_once()
    end_all(batch)
    sweep_once()
    batch.refresh_from_db()
    assert batch.state == "done"
    assert not batch_launches.is_hungry(timezone.now())


def test_an_actor_is_in_one_running_batch_only() -> None:
    actor = make_actor()
    first, second = plan([actor, make_actor()], name="Night"), plan([actor, make_actor()])
    begin(first)
    begin(second)
    assert states(second) == ["blocked", "waiting"]
    assert "The batch “Night” has this actor." in second.items.all()[0].reason
    with pytest.raises(IntegrityError), transaction.atomic():
        second.items.filter(actor=actor).update(state="waiting")
    batches.cancel(first, None)
    batch_launches.advance()
    assert retry(second) == 1


def test_an_actor_that_somebody_else_trains_meanwhile_is_left_out_with_the_reason() -> None:
    batch = begun(2)
    taken = batch.items.all()[0]
    make_version(taken.actor, status=Status.TRAINING)
    batch_launches.advance()
    assert states(batch) == ["blocked", "launched"]
    taken.refresh_from_db()
    assert taken.reason.startswith("V1 is training already.")
    run_through(batch)
    assert batch.state == "done"


def test_a_batch_none_of_whose_actors_can_start_does_not_begin() -> None:
    batch = plan([make_actor(images=0)])
    begin(batch)
    assert batch.state == "planned"
    assert batch.planning.trouble.startswith("None of its actors can start.")
    batches.look_again(batch, None)
    assert looked_at(batch).planning.trouble == ""


def test_a_paused_batch_launches_nothing_while_its_trainings_go_on() -> None:
    batch = begun(3)
    batch_launches.advance()
    batches.pause(batch, None)
    end_all(batch)
    batch_launches.advance()
    assert states(batch) == ["completed", "waiting", "waiting"]
    batches.resume(batch, None)
    run_through(batch)
    assert states(batch) == ["completed"] * 3


def test_a_paused_batch_whose_last_training_ends_is_done() -> None:
    batch = begun(1)
    batch_launches.advance()
    batches.pause(batch, None)
    end_all(batch)
    batch_launches.advance()
    batch.refresh_from_db()
    assert batch.state == "done"


def test_cancelling_ends_what_waits_and_what_trains() -> None:
    batch = begun(3)
    batch_launches.advance()
    person = User.objects.create_superuser("ines")
    batches.cancel(batch, person)
    assert states(batch) == ["launched", "waiting", "waiting"]
    batch_launches.advance()
    batch_launches.advance()
    assert states(batch) == ["cancelled"] * 3
    version = TrainingVersion.objects.get()
    assert version.status == Status.CANCELLED
    assert version.events.get(kind="cancelled").by == person
    assert batch.events.last().message == "Cancelled; 2 actors were not begun"  # type: ignore[union-attr]


@pytest.mark.parametrize("state", ["planning", "planned", "running", "paused", "done", "cancelled"])
def test_each_state_says_what_it_does_not_allow(state: str) -> None:
    batch = plan(2)
    Batch.objects.update(state=state)
    allowed = {
        "planning": {"begin", "discard"},
        "planned": {"begin", "discard", "look_again", "edit"},
        "running": {"pause", "cancel"},
        "paused": {"resume", "cancel"},
        "done": set(),
        "cancelled": set(),
    }[state]
    verbs: dict[str, Any] = {
        "begin": lambda: batches.begin(batch, None),
        "pause": lambda: batches.pause(batch, None),
        "resume": lambda: batches.resume(batch, None),
        "cancel": lambda: batches.cancel(batch, None),
        "discard": lambda: batches.discard(batch),
        "retry": lambda: batches.retry_failed(batch, None),
        "look_again": lambda: batches.look_again(batch, None),
        "edit": lambda: batches.edit_item(batch, batch.items.all()[0].actor_id, None, left_out=True),
    }
    for name in verbs.keys() - allowed:
        with pytest.raises(batches.NotPossible):
            verbs[name]()
        batch.refresh_from_db()
        assert batch.state == state, name


# Failures


def test_failed_ones_are_tried_again_as_new_versions_that_repeat_the_old() -> None:
    batch = begun(2)
    batch_launches.advance()
    end_all(batch, Status.FAILED, error="Out of memory.")
    run_through(batch)
    assert states(batch) == ["failed", "completed"]
    item = batch.items.all()[0]
    failed = item.version
    assert item.reason == "Out of memory."
    assert retry(batch) == 1
    assert batch.state == "running"
    batch_launches.advance()
    item.refresh_from_db()
    assert item.version != failed
    assert item.version
    assert item.version.repeats == failed
    assert item.attempts == 2
    run_through(batch)
    assert states(batch) == ["completed"] * 2


def test_three_failures_in_a_row_pause_the_batch_before_all_have_failed() -> None:
    batch = begun(6)
    run_through(batch, Status.FAILED, error="The worker ran out of memory.")
    assert batch.state == "paused"
    assert states(batch).count("failed") == batch_launches.TOO_MANY_FAILURES
    assert "3 trainings in a row failed" in batch.note
    assert "out of memory" in batch.note
    batches.resume(batch, None)
    batch_launches.advance()
    assert "launched" in states(batch)


def test_a_training_that_was_only_presumed_lost_counts_as_completed_after_all() -> None:
    batch = begun(1)
    batch_launches.advance()
    end_all(batch, Status.FAILED)
    batch_launches.advance()
    assert states(batch) == ["failed"]
    TrainingVersion.objects.update(status=Status.COMPLETED)
    batch_launches.advance()
    assert states(batch) == ["completed"]


def test_a_deleted_version_ends_its_item() -> None:
    batch = begun(1)
    batch_launches.advance()
    TrainingVersion.objects.get().delete()
    batch_launches.advance()
    assert states(batch) == ["cancelled"]
    batch.refresh_from_db()
    assert batch.state == "done"


# The ceiling


def test_the_ceiling_holds_the_upper_end_of_the_estimate_until_the_real_cost_is_known(priced: None) -> None:
    batch = begun(3, concurrency=3, ceiling=Decimal("3.00"), parameters={"max_train_steps": 240})
    most = Decimal("1.2500")  # 40 s and 240 steps of 0.25 s, a quarter on top, at a cent a second
    batch_launches.advance()
    assert states(batch) == ["launched", "launched", "waiting"]
    assert batch.committed() == 2 * most
    end(batch.items.all()[0], execution_ms=50_000)
    batch_launches.advance()
    assert states(batch) == ["completed", "launched", "launched"]
    assert batch.committed() == Decimal("0.5000") + 2 * most


def test_a_batch_that_reaches_its_ceiling_pauses_and_goes_on_with_a_higher_one(priced: None) -> None:
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


def test_a_training_that_takes_longer_than_thought_holds_what_it_costs(priced: None) -> None:
    batch = begun(2, concurrency=2, ceiling=Decimal("2.50"), parameters={"max_train_steps": 240})
    batch_launches.launch_next(batch, timezone.now())
    started = timezone.now() - timedelta(seconds=200)
    TrainingVersion.objects.update(status=Status.TRAINING, started_at=started)
    batch_launches.advance()
    assert states(batch) == ["launched", "waiting"]
    assert batch.committed() >= Decimal(2)


def test_failed_attempts_stay_in_the_bill(priced: None) -> None:
    batch = begun(1, ceiling=Decimal(10), parameters={"max_train_steps": 240})
    batch_launches.advance()
    end_all(batch, Status.FAILED, execution_ms=70_000)
    batch_launches.advance()
    retry(batch)
    run_through(batch, execution_ms=100_000)
    assert batch.items.get().spent == Decimal("1.7000")


def test_a_persons_budget_pauses_the_batch_instead_of_refusing_every_actor(
    priced: None, django_user_model: Any
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


# Times


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


# Twice


def test_every_step_of_the_sweep_may_come_twice() -> None:
    batch = begun(3, concurrency=2)
    for _ in range(3):
        batch_launches.advance()
        batch_launches.advance()
        end_all(batch)
    batch.refresh_from_db()
    batch_launches.advance()
    batch_launches.advance()
    batch.refresh_from_db()
    assert batch.state == "done"
    assert TrainingVersion.objects.count() == 3
    assert batch.events.filter(message__startswith="Done").count() == 1


def test_a_launch_that_is_killed_before_the_commit_leaves_neither_version_nor_bound_item(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = begun(1)
    real = BatchItem.save

    def killed(item: BatchItem, *arguments: Any, **options: Any) -> None:
        real(item, *arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(BatchItem, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        batch_launches.launch_next(batch, timezone.now())
    monkeypatch.undo()
    assert states(batch) == ["waiting"]
    assert not TrainingVersion.objects.exists()
    batch_launches.advance()
    assert TrainingVersion.objects.count() == 1


def test_one_batchs_trouble_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = begun(1), begun(1)
    real = launch.estimate

    def fragile(parameters: Any, count: int) -> Any:
        if parameters.class_tokens == bad.items.get().actor.name:
            raise ValueError("a row that no one foresaw")
        return real(parameters, count)

    monkeypatch.setattr(launch, "estimate", fragile)
    batch_launches.advance()
    assert (states(bad), states(good)) == (["waiting"], ["launched"])
