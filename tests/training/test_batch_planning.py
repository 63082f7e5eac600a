"""Looking at a batch's actors in the task queue: step by step, through deaths, with a way out of trouble."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.utils import timezone
from django_q.models import OrmQ

from tests.factories import make_actor, make_version
from tests.training.batch_steps import asked, begin, begun, looked_at, plan, retry, states
from training import batch_launches, batch_plan, batch_planning, batches
from training.models import Batch, Planning, Preset, Status
from training.planning_models import PATIENCE, TASK

pytestmark = pytest.mark.django_db


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a handful of actors takes several steps."""
    monkeypatch.setattr(batch_planning, "AT_ONCE", 2)


def queued() -> list[str]:
    return [task.func() for task in OrmQ.objects.all()]


def test_a_choice_is_kept_at_once_and_the_task_queue_is_asked(
    django_capture_on_commit_callbacks: Any,
) -> None:
    actors = [make_actor() for _ in range(3)]
    with django_capture_on_commit_callbacks(execute=True):
        batch = asked([*actors, actors[0]])
    assert (batch.state, batch.name, batch.items.count()) == ("planning", "3 actors", 0)
    assert batch.planning.chosen == [actor.pk for actor in actors]
    assert queued() == [TASK]


@pytest.mark.usefixtures("two_at_once")
def test_each_step_looks_at_some_and_says_how_far_it_is() -> None:
    batch = asked([make_actor(), make_actor(images=0), make_actor(), make_actor(), make_actor()])
    seen = []
    while batch_planning.step(batch.pk):
        row = Planning.objects.get()
        seen.append((row.looked, row.ready))
    assert seen == [(2, 1), (4, 3), (5, 4)]
    batch.refresh_from_db()
    assert (batch.state, states(batch)) == ("planned", ["planned", "blocked", *["planned"] * 3])
    assert batch.events.get().message == "Planned: 4 can start, 1 can't start"


@pytest.mark.usefixtures("two_at_once")
@pytest.mark.parametrize("dies_at", [0, 1, 2, 3])
@pytest.mark.parametrize("what", ["plan", "begin", "retry"])
def test_a_task_that_is_killed_anywhere_is_found_by_the_sweep_and_goes_on(
    what: str, dies_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = User.objects.create_superuser("ines")
    batch = asked(6, by=person)
    if what != "plan":
        batches.begin(batch, person)
    if what == "retry":
        looked_at(batch)
        batch.items.update(state="failed")
        batches.retry_failed(batch, person)
    for _ in range(dies_at):
        batch_planning.step(batch.pk)
    real = Planning.save

    def killed(row: Planning, **options: Any) -> None:
        real(row, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Planning, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        batch_planning.run(batch.pk)
    monkeypatch.undo()
    monkeypatch.setattr(batch_planning, "AT_ONCE", 2)
    OrmQ.objects.all().delete()
    assert Planning.objects.get().looked == 2 * dies_at
    assert batch_launches.is_hungry(timezone.now())
    look = batch_launches.advance if what == "plan" else batch_planning.rescue
    look(timezone.now())
    assert queued() == []  # its task may still be at it
    look(timezone.now() + PATIENCE)
    assert queued() == [TASK]
    looked_at(batch)
    assert states(batch) == ["planned" if what == "plan" else "waiting"] * 6
    assert (batch.state, batch.planning.asked) == ("planned" if what == "plan" else "running", "")
    assert batch.begun_by == (None if what == "plan" else person)


@pytest.mark.usefixtures("two_at_once")
def test_a_task_hands_over_to_the_next_before_it_holds_others_up() -> None:
    batch = asked(5)
    batch_planning.run(batch.pk, seconds=0)
    assert queued() == [TASK]
    assert looked_at(batch).state == "planned"


def test_who_begins_while_the_plan_is_made_need_not_wait_for_it() -> None:
    batch = asked(2)
    batches.begin(batch, None)
    with pytest.raises(batches.NotPossible, match="about to begin already"):
        batches.begin(batch, None)
    with pytest.raises(batches.NotPossible, match="about to begin: preset can't change"):
        batches.change(batch, None, preset="quick")
    batches.change(batch, None, concurrency=2)
    assert looked_at(batch).state == "running"


@pytest.mark.usefixtures("two_at_once")
def test_other_values_while_the_plan_is_made_begin_it_again() -> None:
    batch = asked(3)
    batch_planning.step(batch.pk)
    batches.change(batch, None, parameters={"max_train_steps": 50})
    assert batch.planning.looked == 0
    looked_at(batch)
    assert {item.parameters["max_train_steps"] for item in batch.items.all()} == {50}


def test_a_plan_that_is_discarded_meanwhile_is_made_no_more() -> None:
    batch = asked(2)
    batches.discard(batch)
    batch_planning.run(batch.pk or 1)
    assert not Batch.objects.exists()


def test_a_batch_that_is_cancelled_meanwhile_tries_nobody_again() -> None:
    batch = begun(2)
    batch.items.filter(position=0).update(state="failed")
    batches.retry_failed(batch, None)
    batches.cancel(batch, None)
    looked_at(batch)
    batch_launches.advance()
    assert (batch.state, states(batch), batch.planning.asked) == ("cancelled", ["failed", "cancelled"], "")


def test_what_makes_a_plan_impossible_is_told_and_the_choice_is_kept() -> None:
    batch = asked(2)
    Batch.objects.update(preset="quick")
    Preset.objects.filter(name="quick").update(retired_at=timezone.now())
    looked_at(batch)
    assert (batch.state, batch.items.count()) == ("planned", 0)
    assert batch.planning.trouble.startswith("The preset must be one of")
    assert batch.events.get().message == batch.planning.trouble
    batches.change(batch, None, preset="balanced")
    looked_at(batch)
    assert (states(batch), batch.planning.trouble) == (["planned", "planned"], "")


def test_actors_that_are_deleted_since_they_were_chosen_are_left_out() -> None:
    stays, goes = make_actor(), make_actor()
    batch = asked([goes, stays])
    goes.delete()
    looked_at(batch)
    assert (batch.state, [item.actor for item in batch.items.all()]) == ("planned", [stays])
    stays.delete()
    batches.look_again(batch, None)
    assert "None of the chosen actors is in the registry" in looked_at(batch).planning.trouble


def test_what_no_one_foresaw_is_tried_again_ever_later_and_given_up_at_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = asked(1)

    def broken(*_: object, **__: object) -> None:
        raise DatabaseError("no space left")

    monkeypatch.setattr(batch_plan, "look", broken)
    batch_planning.run(batch.pk)
    first = Planning.objects.get()
    assert (first.failures, first.asked) == (1, "plan")
    assert first.due_at
    batch_planning.rescue(first.due_at - timedelta(seconds=1))
    assert queued() == []
    for _ in range(batch_planning.TOO_MANY_FAILURES - 1):
        batch_planning.run(batch.pk)
    batch.refresh_from_db()
    assert (batch.state, batch.planning.asked) == ("planned", "")
    assert "broke off 5 times (DatabaseError)" in batch.planning.trouble
    monkeypatch.undo()
    batches.look_again(batch, None)
    assert looked_at(batch).planning.trouble == ""
    assert states(batch) == ["planned"]


def test_a_batch_that_can_not_begin_any_more_says_why_and_stays_a_plan() -> None:
    batch = plan(1)
    batches.begin(batch, None)
    Batch.objects.update(stops_at=timezone.now() - timedelta(seconds=1))
    looked_at(batch)
    assert (batch.state, states(batch)) == ("planned", ["planned"])
    assert batch.planning.trouble.startswith("Its stop time has passed.")
    batches.change(batch, None, stops_at=None)
    assert batch.planning.trouble == ""
    assert begin(batch).state == "running"


def test_trying_again_what_still_can_not_start_says_so_and_changes_nothing() -> None:
    batch = begun([make_actor(), make_actor(images=0)])
    assert retry(batch) == 0
    assert batch.planning.trouble == "None of them can start again; the list says why."
    assert (batch.state, states(batch)) == ("running", ["waiting", "blocked"])
    Batch.objects.update(state="done")
    batch.items.filter(position=0).update(state="failed")
    assert retry(batch) == 1
    assert (batch.state, batch.planning.trouble) == ("running", "")


# One actor's own


def test_one_actors_own_values_go_over_the_batchs_and_outlive_a_new_plan() -> None:
    batch = plan(2, parameters={"max_train_steps": 100})
    first = batch.items.all()[0]
    batches.edit_item(batch, first.actor_id, None, own_values={"max_train_steps": "60", "network_dim": ""})
    first.refresh_from_db()
    assert first.own_values == {"max_train_steps": "60"}
    assert (first.parameters["max_train_steps"], first.parameters["lr_warmup_steps"]) == (60, 12)
    batches.change(batch, None, preset="quick")
    looked_at(batch)
    assert [item.parameters["max_train_steps"] for item in batch.items.all()] == [60, 100]
    begin(batch)
    batch_launches.advance()
    version = batch.items.all()[0].version
    assert version
    assert version.max_train_steps == 60
    assert batch.events.filter(message__contains="values of its own: Steps 60").exists()


def test_own_values_of_a_failed_actor_hold_when_it_is_tried_again() -> None:
    batch = plan(1)
    item = batch.items.get()
    batches.edit_item(batch, item.actor_id, None, own_values={"max_train_steps": 60})
    begin(batch)
    batch.items.update(state="failed")
    retry(batch)
    assert batch.items.get().parameters["max_train_steps"] == 60


def test_an_actor_that_is_left_out_is_neither_counted_nor_trained_nor_tried_again() -> None:
    batch = plan(2)
    first = batch.items.all()[0]
    batches.edit_item(batch, first.actor_id, None, left_out=True)
    batches.look_again(batch, None)
    looked_at(batch)
    assert states(batch) == ["left_out", "planned"]
    begin(batch)
    assert batch.events.last().message == "Begun with 1 of 2 actors"  # type: ignore[union-attr]
    batch.items.filter(state="waiting").update(state="failed")
    retry(batch)
    assert states(batch) == ["left_out", "waiting"]


def test_who_is_taken_in_again_is_looked_at_anew() -> None:
    actor = make_actor()
    batch = plan([actor])
    batches.edit_item(batch, actor.pk, None, left_out=True)
    make_version(actor, status=Status.TRAINING)
    item = batches.edit_item(batch, actor.pk, None, left_out=False)
    assert (item.state, "is training already" in item.reason) == ("blocked", True)


def test_own_values_that_no_longer_fit_block_the_actor_with_the_reason() -> None:
    batch = plan(1)
    batch.items.update(own_values={"max_train_steps": 1})
    batches.look_again(batch, None)
    looked_at(batch)
    item = batch.items.get()
    assert item.state == "blocked"
    assert item.reason.startswith("Its own values no longer fit: Steps must be")
