"""The plan of a batch: parameters and reasons for each actor, totals, and when it is made anew."""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.factories import make_actor, make_version
from tests.training.batch_steps import (
    asked,
    begin,
    begun,
    looked_at,
    plan,
    retry,
    states,
)
from training import batch_plan, batch_totals, batches, launch
from training.base_models import EMBEDDED
from training.models import Batch, BatchItem, Status, TrainingVersion
from training.parameters import ParameterErrors

pytestmark = pytest.mark.django_db
STEPS = EMBEDDED.table[0].max_train_steps


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


def test_totals_count_what_can_start_and_what_runs_side_by_side(cent_a_second: None) -> None:
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
