"""A running batch: so many at once, pauses, failures, and every step twice."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.models import OrmQ

from tests.factories import make_actor, make_version
from tests.training.batch_steps import (
    begin,
    begun,
    end_all,
    looked_at,
    plan,
    retry,
    run_through,
    states,
)
from tests.training.ready import sweep_once
from training import batch_launches, batches, launch
from training.models import Batch, BatchItem, Status, TrainingVersion

pytestmark = pytest.mark.django_db


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
