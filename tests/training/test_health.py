"""Stuck is said: health for monitors and people, and the place in the queue."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from tests.factories import make_version
from training import health, tasks
from training.endpoints import EndpointState
from training.leases import Lease
from training.models import Status
from training.queueing import place_of
from training.runpod import Health

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


def state_of(name: str) -> tuple[str, str]:
    check = next(check for check in health.checks() if check.name == name)
    return check.state, check.says


def seen(settings: Settings, jobs: dict[str, int], workers: dict[str, int]) -> None:
    settings.RUNPOD_ENDPOINT_ID = "local"
    EndpointState.well("local", Health(jobs=jobs, workers=workers))


def test_monitors_get_states_and_no_details(client: Client) -> None:
    EndpointState.troubled(EndpointState.configured(), "a sentence that names an address")
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert list(answer.json()["checks"]) == [
        "database",
        "object_store",
        "task_queue",
        "sweep",
        "endpoint",
        "answers",
        "disk",
    ]
    assert "address" not in answer.content.decode()


def test_the_signed_in_get_the_details(admin_client: Client) -> None:
    EndpointState.troubled(EndpointState.configured(), "The endpoint refuses the key.")
    assert "refuses the key" in admin_client.get("/healthz").json()["checks"]["endpoint"]["says"]


def test_a_store_that_cannot_be_used_takes_the_site_down(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    blocked = tmp_path / "a file where the folder should be"
    blocked.write_text("")
    settings.MEDIA_ROOT = blocked
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (503, "down")


def test_the_age_of_the_oldest_task_is_told() -> None:
    assert state_of("task_queue") == ("ok", "No task waits.")
    OrmQ.objects.create(key="actortrain", payload="x", lock=timezone.now() - timedelta(minutes=2))
    assert state_of("task_queue")[0] == "warning"
    OrmQ.objects.create(key="actortrain", payload="x", lock=timezone.now() - timedelta(minutes=10))
    state, says = state_of("task_queue")
    assert state == "error"
    assert "2 tasks wait" in says
    assert "manage.py run_tasks" in says


def test_a_task_that_is_being_worked_on_is_not_waiting() -> None:
    OrmQ.objects.create(key="actortrain", payload="x", lock=timezone.now() + timedelta(minutes=10))
    assert state_of("task_queue") == ("ok", "No task waits.")


def test_a_sweep_that_stays_away_is_told() -> None:
    assert state_of("sweep")[0] == "warning"
    make_version(status=Status.QUEUED)
    assert state_of("sweep")[0] == "error"
    Lease.take("sweep", 60)
    assert state_of("sweep")[0] == "ok"
    Lease.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    assert state_of("sweep")[0] == "error"


def test_a_sweep_without_trainings_is_heard_of_too(settings: Settings) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    tasks.sweep()
    assert state_of("sweep")[0] == "ok"
    assert "no connection" in state_of("endpoint")[1]


def test_the_endpoint_is_told_in_its_own_counts(settings: Settings) -> None:
    assert state_of("endpoint")[0] == "warning"
    seen(settings, {"inQueue": 3, "inProgress": 1}, {"running": 1, "throttled": 2})
    assert state_of("endpoint") == ("ok", "Jobs: 1 running, 3 waiting. Workers: 1 running, 2 throttled.")
    seen(settings, {"inQueue": 3}, {"throttled": 2})
    assert state_of("endpoint")[0] == "warning"
    seen(settings, {}, {})
    assert state_of("endpoint")[0] == "ok"


def test_the_page_is_for_the_signed_in_and_shows_every_check(client: Client) -> None:
    assert client.get("/health/").status_code == 302
    client.force_login(User.objects.create_superuser("admin", "", "x"))
    text = client.get("/health/").content.decode()
    assert all(check.label in text for check in health.checks())


# The place in the queue


def test_the_place_in_the_queue_and_a_cold_start_are_said(settings: Settings) -> None:
    now = timezone.now()
    first = make_version(status=Status.QUEUED, submitted_at=now - timedelta(minutes=2))
    second = make_version(status=Status.QUEUED, submitted_at=now - timedelta(minutes=1))
    seen(settings, {"inQueue": 7}, {"initializing": 1})
    places = [place_of(version) for version in (first, second)]
    assert [place.words for place in places if place] == [
        "Next in the queue. 7 jobs wait at the endpoint. A worker has to start first: a cold start.",
        "Number 2 in the queue. 7 jobs wait at the endpoint. A worker has to start first: a cold start.",
    ]
    seen(settings, {"inQueue": 2}, {"running": 1})
    place = place_of(first)
    assert place
    assert place.words == "Next in the queue. 2 jobs wait at the endpoint."


def test_outside_the_queue_there_is_no_place() -> None:
    assert place_of(make_version(status=Status.TRAINING)) is None


def test_an_endpoint_in_trouble_is_said_instead_of_a_place(settings: Settings) -> None:
    settings.RUNPOD_ENDPOINT_ID = "local"
    EndpointState.troubled("local", "no answer")
    place = place_of(make_version(status=Status.QUEUED, submitted_at=timezone.now()))
    assert place
    assert place.words == "The endpoint has trouble: no answer"
