"""What was paid stays with what it was paid for: at an end, at a second end, and before there were bills."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.factories import make_actor, make_version
from tests.training.previewing import make_drawable, ordered
from training import costs, paid
from training.budget_models import BudgetEntry, BudgetMonth
from training.models import Preview, Status, TrainingVersion

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]
LORA = "https://bucket.s3.us-east-1.amazonaws.com/a.safetensors"


@pytest.fixture(autouse=True)
def priced(settings: Settings) -> Settings:
    settings.GPU_PRICE_PER_SECOND = 0.01
    settings.WORKER_START_SECONDS, settings.WORKER_IDLE_SECONDS = 4.0, 1.0
    return settings


def running(**fields: Any) -> TrainingVersion:
    return make_version(status=Status.TRAINING, started_at=timezone.now() - timedelta(seconds=60), **fields)


def bill_of(version: TrainingVersion) -> costs.Bill:
    version.refresh_from_db()
    bill = costs.bill_of(version, timezone.now())
    assert bill
    return bill


def test_the_end_keeps_the_bill_at_the_prices_of_then(priced: Settings) -> None:
    version = running()
    version.complete(LORA, execution_ms=95_000)
    priced.GPU_PRICE_PER_SECOND, priced.WORKER_START_SECONDS = 1.0, 900.0
    bill = bill_of(version)
    assert version.cost_usd == bill.total == Decimal("1.0000")
    assert [part.amount for part in bill.parts] == [Decimal("0.9500"), Decimal("0.0400"), Decimal("0.0100")]
    assert (bill.price, bill.start_source, bill.note) == (Decimal("0.01"), "configured", "")


def test_without_the_endpoints_time_the_clock_counts() -> None:
    version = running()
    version.fail("broken")
    assert bill_of(version).execution_source == "clock"
    assert Decimal("0.65") <= bill_of(version).total <= Decimal("0.70")


def test_what_never_ran_and_what_had_no_price_costs_nothing(priced: Settings) -> None:
    waiting = make_version(status=Status.QUEUED)
    waiting.cancel()
    priced.GPU_PRICE_PER_SECOND = 0.0
    free = running()
    free.complete(LORA, execution_ms=95_000)
    priced.GPU_PRICE_PER_SECOND = 0.01
    assert costs.bills_of([waiting, free], timezone.now()) == {}
    assert (waiting.cost_usd, free.cost_usd) == (None, None)


def test_a_second_end_keeps_the_prices_of_the_first(priced: Settings) -> None:
    version = running()
    version.lose("Nobody knows it any more")
    priced.GPU_PRICE_PER_SECOND = 1.0
    version.complete(LORA, execution_ms=95_000)
    assert bill_of(version).total == Decimal("1.0000")


def test_what_runs_costs_so_far_at_the_price_of_now(priced: Settings) -> None:
    version = running()
    assert Decimal("0.65") <= bill_of(version).total <= Decimal("0.70")
    priced.GPU_PRICE_PER_SECOND = 0.02
    assert Decimal("1.30") <= bill_of(version).total <= Decimal("1.40")
    assert version.cost_usd is None


def test_the_budget_and_the_version_say_the_same() -> None:
    person = User.objects.create_user("ines")
    version = running(created_by=person)
    month = BudgetMonth.objects.create(user=person, month="2026-03-01")
    month.entries.create(kind="training", object_id=version.pk, label="x", reserved=5, counts=True)
    version.complete(LORA, execution_ms=95_000)
    month.refresh_from_db()
    assert month.spent == version.cost_usd == Decimal("1.0000")


# Previews


def test_a_preview_that_is_cancelled_half_way_costs_what_ran() -> None:
    preview = ordered()
    started = timezone.now() - timedelta(seconds=45)
    Preview.objects.filter(pk=preview.pk).update(status="submitted", job_id="j", started_at=started)
    preview.refresh_from_db()
    preview.cancel()
    assert preview.cost_usd is not None
    assert Decimal("0.50") <= preview.cost_usd <= Decimal("0.55")


def test_a_version_knows_what_all_its_previews_have_cost() -> None:
    version = make_drawable()
    one, two, _waiting = ordered(version), ordered(version), ordered(version)
    one.complete(cost_usd=Decimal("0.1"))
    two.fail("broken", cost_usd=Decimal("0.0203"))
    version.refresh_from_db()
    assert version.preview_cost_usd == Decimal("0.1203")
    one.delete()
    version.refresh_from_db()
    assert version.preview_cost_usd == Decimal("0.0203")


@pytest.mark.django_db(transaction=True)
def test_of_previews_that_end_at_once_each_is_in_the_sum() -> None:
    """The lock on the version holds this on PostgreSQL: without it later sums miss earlier previews."""
    person = User.objects.create_user("ines")
    version = make_drawable()
    previews = [ordered(version, by=person) for _ in range(8)]
    barrier = Barrier(len(previews))

    def end(preview: Preview) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(30)
            preview.complete(cost_usd=Decimal("0.0101"))
        finally:
            connection.close()

    with ThreadPoolExecutor(len(previews)) as threads:
        list(threads.map(end, previews))
    version.refresh_from_db()
    assert version.preview_cost_usd == 8 * Decimal("0.0101")
    assert BudgetMonth.objects.get(user=person).spent == version.preview_cost_usd


def test_deleting_a_version_with_previews_works() -> None:
    version = make_drawable()
    ordered(version).complete(cost_usd=Decimal("0.1"))
    version.delete()
    assert not Preview.objects.exists()
    paid.add_up_previews(version.pk or 1)  # of nobody: nothing to do


# What ended before bills were kept


def before_bills(**fields: Any) -> TrainingVersion:
    """A row as a database of then has it."""
    version = make_version(make_actor(images=1), started_at=timezone.now(), **fields)
    TrainingVersion.objects.update(cost_usd=None, bill=None)
    return version


def fill() -> None:
    """The migration's own function; models have not changed since in what it reads."""
    migration = importlib.import_module("training.migrations.0012_old_bills")
    with connection.schema_editor() as editor:
        migration.fill(apps, editor)


@pytest.mark.django_db(transaction=True)
def test_old_trainings_cost_what_the_ledger_says_else_the_price_of_now() -> None:
    in_ledger, free_then, unknown, never_ran = (before_bills(execution_ms=95_000) for _ in range(4))
    TrainingVersion.objects.filter(pk=never_ran.pk).update(execution_ms=None, started_at=None)
    active = running()
    month = BudgetMonth.objects.create(user=User.objects.create_user("ines"), month="2026-03-01")
    for version, spent in ((in_ledger, "0.7"), (free_then, "0")):
        entry = {"kind": "training", "object_id": version.pk, "label": "x", "reserved": 5, "counts": True}
        month.entries.create(**entry, spent=Decimal(spent))
    fill()
    assert bill_of(in_ledger).total == Decimal("0.7000")
    assert bill_of(in_ledger).parts == []
    assert "ledger of budgets" in bill_of(in_ledger).note
    assert bill_of(unknown).total == Decimal("1.0000")
    assert f"{timezone.now():%Y-%m-%d}" in bill_of(unknown).note
    for version in (free_then, never_ran, active):
        version.refresh_from_db()
        assert version.cost_usd is None
    assert BudgetEntry.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_old_previews_are_added_up_and_those_without_a_cost_get_the_ledgers() -> None:
    version = before_bills()
    month = BudgetMonth.objects.create(user=User.objects.create_user("ines"), month="2026-03-01")
    known = Preview.objects.create(version=version, title="a", status="done", cost_usd=Decimal("0.1"))
    cancelled = Preview.objects.create(
        version=version, title="b", status="cancelled", started_at=timezone.now()
    )
    month.entries.create(
        kind="preview", object_id=cancelled.pk, label="x", reserved=5, spent=Decimal("0.0203"), counts=False
    )
    fill()
    for row in (version, known, cancelled):
        row.refresh_from_db()
    assert (known.cost_usd, cancelled.cost_usd) == (Decimal("0.1000"), Decimal("0.0203"))
    assert version.preview_cost_usd == Decimal("0.1203")
