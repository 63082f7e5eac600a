"""The bill: its parts, where each is from, and prices that are configured."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.factories import make_version
from training import costs
from training.models import Status

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def prices(settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.0005
    settings.RUNPOD_ENDPOINT_ID = "local"


def test_without_a_price_there_is_no_bill(settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.0
    assert costs.bill_for(100) is None


def test_the_start_and_the_idle_time_are_on_the_bill(settings: Settings) -> None:
    settings.WORKER_START_SECONDS = 20.0
    bill = costs.bill_for(99.2)
    assert bill
    assert bill.total == Decimal("0.0625")  # 99.2 + 20 + 5 seconds, rounded up to 125
    assert [(part.label, part.seconds) for part in bill.parts] == [
        ("Training", 99.2),
        ("Worker start", 20.0),
        ("Idle allowance", 5.0),
    ]
    assert bill.start_source == "configured"


def test_the_start_is_learned_from_the_run_that_waited_least(settings: Settings) -> None:
    for seconds in (300, 40, 12, 90):
        make_version(delay_ms=seconds * 1000)
    assert costs.worker_start() == (0.0, "not known")
    make_version(delay_ms=60_000)
    make_version(delay_ms=1000, endpoint_id="another")
    assert costs.worker_start() == (12.0, "learned")


def test_a_running_training_costs_by_the_clock_and_a_finished_one_by_the_endpoints_time() -> None:
    now = timezone.now()
    version = make_version(status=Status.TRAINING, started_at=now - timedelta(seconds=60))
    running = costs.bill_of(version, now)
    assert running
    assert (running.execution_seconds, running.execution_source) == (60.0, "running")
    version.execution_ms = 45_000
    told = costs.bill_of(version, now)
    assert told
    assert (told.execution_seconds, told.execution_source) == (45.0, "told")


def test_waiting_in_the_queue_is_free() -> None:
    assert costs.bill_of(make_version(status=Status.QUEUED), timezone.now()) is None


def price_with(**environment: str) -> str:
    """The price that settings read from these variables, or the line that stops the start."""
    code = "from django.conf import settings; print(settings.GPU_PRICE_PER_SECOND)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "actortrain_site.settings"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return (ran.stdout or ran.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"GPU_PRICES": "L40S=0.00053"}, "0.00053"),
        ({"GPU_PRICES": "L40S=0.00053,H100=0.00116", "RUNPOD_GPU": "H100"}, "0.00116"),
        ({"GPU_PRICES": '{"L40S": 0.00053}'}, "0.00053"),
        ({"GPU_PRICE_PER_SECOND": "0.0002"}, "0.0002"),
        ({"GPU_PRICES": "L40S=0.00053,H100=0.00116"}, "RUNPOD_GPU is not set"),
        ({"GPU_PRICES": "L40S=0.00053", "RUNPOD_GPU": "T4"}, "has no price for it"),
        ({"GPU_PRICES": "cheap"}, "must look like"),
        ({"GPU_PRICES": "L40S=1.90"}, "can't be right"),
    ],
)
def test_prices_are_read_from_the_environment(environment: dict[str, str], says: str) -> None:
    assert says in price_with(**environment)
