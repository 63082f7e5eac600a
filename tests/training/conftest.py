"""What tests of trainings share: an endpoint, prices, and clocks that stand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.runpod_simulator import Simulator
from tests.training.figured import NOON, PRICE


@pytest.fixture
def simulator(settings: Settings) -> Iterator[Simulator]:
    """A RunPod endpoint that behaves until told otherwise, and the site pointed at it."""
    with Simulator(seed=1, speed=200, queue_seconds=2, train_seconds=20).serve() as endpoint:
        settings.RUNPOD_BASE_URL = endpoint.url
        settings.RUNPOD_ENDPOINT_ID = endpoint.endpoint_id
        settings.RUNPOD_API_KEY = endpoint.api_key
        endpoint.faults.uploads = False  # no web server runs here
        yield endpoint


@pytest.fixture
def priced(settings: Settings) -> Settings:
    """Prices of the figures: a second, the start of a worker, and its idle end."""
    settings.GPU_PRICE_PER_SECOND, settings.WORKER_START_SECONDS = PRICE, 20.0
    settings.WORKER_IDLE_SECONDS = 5.0
    return settings


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the tenth of March, 2026."""
    monkeypatch.setattr(timezone, "now", lambda: NOON)


@pytest.fixture
def in_april(monkeypatch: pytest.MonkeyPatch) -> None:
    """March is over, and the clock stands: what is active costs the same each time it is asked."""
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 4, 20, tzinfo=UTC))


@pytest.fixture
def cent_a_second(settings: Settings) -> None:
    """A cent a second, so that a training of 100 s costs a dollar."""
    settings.GPU_PRICE_PER_SECOND, settings.WORKER_IDLE_SECONDS = 0.01, 0.0
    settings.WORKER_START_SECONDS = 0.0
