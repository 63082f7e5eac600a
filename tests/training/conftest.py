"""An endpoint for tests of the life cycle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from tests.runpod_simulator import Simulator


@pytest.fixture
def simulator(settings: Settings) -> Iterator[Simulator]:
    """A RunPod endpoint that behaves until told otherwise, and the site pointed at it."""
    with Simulator(seed=1, speed=200, queue_seconds=2, train_seconds=20).serve() as endpoint:
        settings.RUNPOD_BASE_URL = endpoint.url
        settings.RUNPOD_ENDPOINT_ID = endpoint.endpoint_id
        settings.RUNPOD_API_KEY = endpoint.api_key
        endpoint.faults.uploads = False  # no web server runs here
        yield endpoint
