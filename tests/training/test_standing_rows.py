"""The library's rows follow every change, however it is made, and progress costs them nothing."""

from __future__ import annotations

import pytest
from django.db import connection

from actors.models import Actor, TrainingImage
from tests.factories import make_actor, make_version
from training import standing_rows
from training.library import Filters, Library
from training.models import ActorStanding, StandingChange, Status, TrainingVersion

pytestmark = pytest.mark.django_db


def state_of(actor: Actor) -> str:
    standing_rows.refresh()
    return ActorStanding.objects.get(actor=actor).state


def test_the_row_follows_verbs_bulk_updates_and_plain_sql() -> None:
    actor = make_actor()
    assert state_of(actor) == "fit"
    version = make_version(actor, status=Status.QUEUED)
    assert state_of(actor) == "training"
    version.complete("https://b.s3.us-east-1.amazonaws.com/x.safetensors")
    assert state_of(actor) == "choose"
    version.mark_good()
    assert state_of(actor) == "good"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE training_trainingversion SET is_good = FALSE, status = 'failed'")
    assert state_of(actor) == "failed"
    TrainingVersion.objects.all().delete()
    assert state_of(actor) == "fit"
    TrainingImage.objects.filter(position__lt=9).update(included=False)
    assert state_of(actor) == "unfit"
    TrainingImage.objects.all().delete()
    assert state_of(actor) == "none"


def test_a_new_actor_is_found_at_once_and_a_deleted_one_leaves_no_row() -> None:
    actor = Actor.objects.register(name="0099_nordic_33_male")
    assert Library(Filters()).found == 1
    actor.delete()
    assert Library(Filters()).found == 0
    assert not ActorStanding.objects.exists()


def test_progress_notes_nothing() -> None:
    version = make_version(status=Status.TRAINING)
    standing_rows.refresh()
    TrainingVersion.objects.filter(pk=version.pk).update(step=7, log=[], loss_history=[[1, 0.5]])
    assert not StandingChange.objects.exists()


def test_rows_are_the_states_that_the_pages_show() -> None:
    for status in (Status.TRAINING, Status.FAILED, Status.COMPLETED):
        make_version(status=status)
    make_actor(images=3)
    library = Library(Filters())
    rows = {row.actor_id: row.state for row in ActorStanding.objects.all()}
    assert sorted(rows.values()) == ["choose", "failed", "training", "unfit"]
    assert library.left == library.found == 4
    assert [rows[actor.pk] for actor in library.actors()] == ["choose", "failed", "unfit", "training"]
