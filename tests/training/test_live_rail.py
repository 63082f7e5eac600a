"""What a training's page says of stages, steps and time, also where little is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories import make_version
from training.live import Picture
from training.models import Status, TrainingVersion

pytestmark = pytest.mark.django_db


def states(version: TrainingVersion) -> list[str]:
    return [stage.state for stage in Picture(version).rail]


def training(**fields: Any) -> TrainingVersion:
    """One that is in the middle, at ten seconds a step."""
    known: dict[str, Any] = {"max_train_steps": 100, "step": 40, "seconds_per_step": 10.0}
    known |= {"started_at": timezone.now(), "stage": "training"}
    return make_version(status=Status.TRAINING, **known | fields)


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.FAILED])
@pytest.mark.parametrize(
    ("stage", "place"), [("", 0), ("starting", 1), ("downloading", 2), ("training", 3), ("uploading", 4)]
)
def test_the_rail_shows_in_which_stage_it_ended(status: Status, stage: str, place: int) -> None:
    version = make_version(status=status, stage=stage, finished_at=timezone.now())
    assert states(version) == [*["done"] * place, str(status), *["ahead"] * (5 - place)]


def test_who_reports_steps_is_training_even_where_no_stage_is_told() -> None:
    assert states(make_version(status=Status.FAILED, step=41, stage=""))[3] == "failed"


def test_what_lies_ahead_has_the_clock_time_at_which_it_is_expected(admin_client: Client) -> None:
    version = training()
    upload, done = Picture(version).rail[4:]
    assert upload.expected == done.expected is not None
    assert "≈ " in admin_client.get(version.get_absolute_url()).text.split('class="meterline"')[0]


def test_an_end_on_another_day_is_named_with_its_day(admin_client: Client) -> None:
    version = training(max_train_steps=100_000)
    text = admin_client.get(version.get_absolute_url()).text
    end = Picture(version).ends_at
    assert end is not None
    assert f"<dt>ends at</dt><dd>{timezone.localtime(end):%-d %b %H:}" in text
    assert "<dt>left</dt><dd>11 days 13 h</dd>" in text


def test_the_time_to_the_next_samples_runs_along(admin_client: Client) -> None:
    version = training()
    ahead = next(step for step in Picture(version).sample_ticks if step > 40)
    assert Picture(version).next_sample_seconds == (ahead - 40) * 10
    assert "<dt>to the next samples</dt>" in admin_client.get(version.get_absolute_url()).text


def test_the_cost_so_far_stands_beside_the_expected_one(admin_client: Client, settings: Any) -> None:
    settings.GPU_PRICE_PER_SECOND, settings.WORKER_IDLE_SECONDS = 0.01, 0.0
    settings.WORKER_START_SECONDS = 0.0
    version = training(started_at=timezone.now() - timedelta(seconds=100))
    assert "<dt>cost so far, of ≈ $7.0" in admin_client.get(version.get_absolute_url()).text


def test_nobody_knows_when_a_lost_training_ends(admin_client: Client) -> None:
    asked = timezone.now() - timedelta(hours=1)
    lost = make_version(status=Status.SUBMITTING, submitted_at=asked, max_train_steps=100)
    assert Picture(lost).remaining is None
    assert "ends at" not in admin_client.get(lost.get_absolute_url()).text


def test_a_completed_version_of_an_old_registry_has_all_steps_and_no_invented_time(
    admin_client: Client,
) -> None:
    old = make_version(max_train_steps=1500, step=0)
    assert (Picture(old).shown_step, Picture(old).elapsed) == (1500, None)
    text = admin_client.get(old.get_absolute_url()).text
    assert '<div class="stepno">1,500 <small>of 1,500 steps' in text
    assert "in all" not in text
    row = admin_client.get("/activity/").text
    assert "1,500 of 1,500" in row
    assert 'data-k="Took">–</td>' in row
