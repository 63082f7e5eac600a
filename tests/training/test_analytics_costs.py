"""What trainings and previews have cost, and who was told which price."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from tests.training.figured import (
    MARCH,
    NOON,
    PRICE,
    person,
    previewed,
    rows_of,
    trained,
)
from training import analytics, costs
from training.models import Preview, Status

pytestmark = pytest.mark.django_db


def test_costs_are_those_of_the_trainings_own_page(priced: Settings, at_noon: None) -> None:
    versions = [
        trained(seconds=123.4),
        trained(Status.FAILED, seconds=61, execution_ms=None),
        trained(Status.TRAINING, launched=NOON - timedelta(minutes=10)),
        trained(Status.QUEUED, started_at=None),
    ]
    bills = [costs.bill_of(version, NOON) for version in versions]
    found = analytics.report(MARCH).totals
    assert found.cost == sum(bill.total for bill in bills if bill)
    assert found.paid == 3
    assert found.cost_per_training == pytest.approx(found.cost / 3, abs=Decimal("0.0001"))


def test_a_good_version_costs_every_failed_and_rejected_try_too(priced: Settings) -> None:
    trained(seconds=975, review=10), trained(seconds=975), trained(Status.FAILED, seconds=975)
    found = analytics.report(MARCH).totals
    assert found.cost == Decimal("3.0000")
    assert found.cost_per_good == Decimal("3.0000")
    assert found.median_cost == Decimal("1.0000")


def test_a_price_that_changes_later_rewrites_no_past(
    admin_client: Client, priced: Settings, in_april: None
) -> None:
    version = trained(seconds=975, created_by=person("ines", "Trainer"), review=10)
    priced.GPU_PRICE_PER_SECOND, priced.WORKER_START_SECONDS = 0.1, 500.0
    assert analytics.report(MARCH).totals.cost == Decimal("1.0000")
    assert admin_client.get("/api/analytics", MARCH.query).json()["totals"]["cost"] == 1.0
    assert admin_client.get(f"/api/versions/{version.pk}").json()["cost_usd"] == "1.0000"
    header, row = rows_of(admin_client, "trainings")
    assert float(dict(zip(header, row, strict=True))["cost in US dollars"]) == 1.0
    for page in (
        reverse("activity"),
        version.get_absolute_url(),
        reverse("versions", args=[version.actor_id]),
    ):
        assert "$1.00" in admin_client.get(page).text, page


def test_what_was_paid_is_shown_when_no_price_is_set_any_more(admin_client: Client, priced: Settings) -> None:
    trained(seconds=975, review=10)
    priced.GPU_PRICE_PER_SECOND = 0.0
    report = analytics.report(MARCH)
    assert (report.prices, report.has_costs, report.totals.cost) == (None, True, Decimal("1.0000"))
    assert "per good version" in admin_client.get("/analytics/", MARCH.query).text


def test_previews_cost_apart_and_are_part_of_a_good_version(priced: Settings) -> None:
    good, other = trained(seconds=975, review=10), trained(seconds=975)
    previewed(good, "0.1250", "0.0001")
    previewed(other, "0.5")
    found = analytics.report(MARCH).totals
    assert (found.cost, found.preview_cost) == (Decimal("2.0000"), Decimal("0.6251"))
    assert found.cost_per_training == Decimal("1.0000")
    assert found.cost_per_good == Decimal("2.6251")


def test_a_preview_counts_with_its_version_whenever_and_by_whom_it_was_drawn(priced: Settings) -> None:
    february = trained(launched=datetime(2026, 2, 10, tzinfo=UTC), created_by=person("ines"))
    previewed(february, "0.25")
    report = analytics.report(MARCH)
    assert (report.totals.preview_cost, report.before.preview_cost) == (None, Decimal("0.2500"))


def test_a_deleted_preview_leaves_the_figures(priced: Settings) -> None:
    version = trained(review=10)
    previewed(version, "0.25", "0.5")
    Preview.objects.filter(version=version).first().delete()  # type: ignore[union-attr]
    assert analytics.report(MARCH).totals.preview_cost == Decimal("0.2500")
    Preview.objects.get(version=version).delete()
    assert analytics.report(MARCH).totals.preview_cost is None


def test_amounts_add_up_to_the_last_digit(priced: Settings) -> None:
    for _ in range(40):
        previewed(trained(seconds=74.9), "0.0001")
    found = analytics.report(MARCH).totals
    assert (found.cost, found.preview_cost) == (Decimal("4.0000"), Decimal("0.0040"))


def test_without_a_price_there_are_no_costs(settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.0
    trained(review=10)
    found = analytics.report(MARCH)
    assert found.prices is None
    assert (found.totals.cost, found.totals.median_cost, found.totals.cost_per_good) == (None, None, None)


def test_the_price_is_shown_with_its_source(priced: Settings) -> None:
    prices = analytics.report(MARCH).prices
    assert prices is not None
    assert (prices.per_second, prices.per_hour) == (Decimal("0.001"), Decimal("3.6"))
    assert (prices.start_seconds, prices.start_source, prices.idle_seconds) == (20.0, "configured", 5.0)
    assert (prices.gpu, prices.setting, prices.gpus) == ("", "GPU_PRICE_PER_SECOND", [])


def test_all_gpus_with_a_price_are_listed(admin_client: Client, priced: Settings) -> None:
    priced.GPU_PRICES, priced.RUNPOD_GPU = {"H100": 0.00116, "L40S": PRICE}, "L40S"
    trained()
    text = admin_client.get("/analytics/", MARCH.query).text
    assert "<dt>L40S</dt><dd>$0.001 a second, $3.60 an hour; set by GPU_PRICES</dd>" in text
    assert "<dt>H100</dt><dd>$0.00116 a second; not this endpoint" in text
    assert [row[0] for row in rows_of(admin_client, "prices")[1:3]] == ["L40S", "H100 (not this endpoint's)"]
