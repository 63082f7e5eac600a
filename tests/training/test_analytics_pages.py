"""The dashboard, its CSV and its API: who sees what, and nothing that is a formula."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from tests.training.figured import (
    MARCH,
    person,
    rows_of,
    signed_in,
    some_of_everything,
    trained,
)
from training import analytics, analytics_csv
from training.models import Status

pytestmark = pytest.mark.django_db


def test_the_dashboard_takes_as_many_queries_for_60_trainings_as_for_20(
    admin_client: Client, priced: Settings
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(reverse("analytics"), MARCH.query).status_code == 200
        return len(captured)

    some_of_everything()
    queries()
    few = queries()
    for _ in range(20):
        trained(created_by=User.objects.create_user(f"person{_}"))
        trained(Status.FAILED, error="odd")
    queries()
    assert queries() == few


def test_the_dashboard_says_when_nothing_was_trained(admin_client: Client) -> None:
    assert "No training was launched on these days, nor before" in admin_client.get("/analytics/").text
    trained(launched=datetime(2026, 2, 10, tzinfo=UTC))
    text = admin_client.get("/analytics/", MARCH.query).text
    assert "No training was launched on these days</h2>" in text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"from": "soon"}, "&#x27;soon&#x27; is no day"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "2026-03-02 is after 2026-03-01"),
        ({"month": "2026-13"}, "is no day"),
        ({"days": "12"}, "days must be one of 7, 30, 90"),
        ({"from": "0001-01-01"}, "The year must be between"),
    ],
)
def test_wrong_days_are_explained_and_the_last_30_are_shown(
    admin_client: Client, asked: dict[str, str], says: str
) -> None:
    answer = admin_client.get("/analytics/", asked)
    assert answer.status_code == 400
    assert says in answer.text
    assert answer.context["span"].days == 30
    download = admin_client.get("/analytics/people.csv", asked)
    assert (download.status_code, download["Content-Type"]) == (400, "text/plain; charset=utf-8")


def test_the_days_stand_in_the_visitors_zone(admin_client: Client, at_noon: None) -> None:
    admin_client.cookies["tz"] = "Pacific/Kiritimati"  # 14 hours ahead: the eleventh already
    assert admin_client.get("/analytics/?days=7").context["span"].last == date(2026, 3, 11)
    assert admin_client.get("/analytics/?month=2026-02").context["span"].query == {"month": "2026-02"}


def test_names_and_errors_are_written_as_text(admin_client: Client) -> None:
    trained(created_by=User.objects.create_user("<b>odd"))
    text = admin_client.get("/analytics/", MARCH.query).text
    assert "&lt;b&gt;odd" in text
    assert "<b>odd" not in text


def test_only_admins_see_what_other_peoples_trainings_cost(priced: Settings, admin_client: Client) -> None:
    ines, tomas = person("ines"), person("tomas", "Curator")
    trained(created_by=ines), trained(created_by=tomas)
    for client, seen in (
        (signed_in(ines), {"ines"}),
        (signed_in(tomas), {"tomas"}),
        (admin_client, {"ines", "tomas"}),
    ):
        page = client.get("/analytics/", MARCH.query)
        assert {group.key for group in page.context["report"].people} == seen
        answer = client.get("/api/analytics", MARCH.query).json()
        assert {group["key"] for group in answer["people"]} == seen
        assert {row[0] for row in rows_of(client, "people")[1:]} == seen
        assert {row[8] for row in rows_of(client, "trainings")[1:]} - {""} == seen


@pytest.mark.parametrize("method", ["post", "put", "delete"])
@pytest.mark.parametrize("address", ["/analytics/", "/analytics/people.csv"])
def test_figures_are_only_read(admin_client: Client, method: str, address: str) -> None:
    assert getattr(admin_client, method)(address).status_code == 405


@pytest.mark.parametrize("table", analytics_csv.TABLES)
def test_every_table_is_a_csv_with_as_many_cells_in_every_row(
    admin_client: Client, priced: Settings, table: str
) -> None:
    some_of_everything()
    rows = rows_of(admin_client, table)
    assert len(rows) > 1
    assert {len(row) for row in rows} == {len(rows[0])}
    name = f"{table}_2026-03-01_2026-03-31.csv"
    assert name in admin_client.get(f"/analytics/{table}.csv", MARCH.query)["Content-Disposition"]


def test_the_csv_of_the_trainings_has_a_line_for_each(admin_client: Client, priced: Settings) -> None:
    version = trained(Status.FAILED, error="CUDA out of memory", seconds=75)
    header, row = rows_of(admin_client, "trainings")
    told = dict(zip(header, row, strict=True))
    assert told["id"] == str(version.pk)
    assert (told["status"], told["failure"], told["error"]) == (
        "failed",
        "Out of memory",
        "CUDA out of memory",
    )
    assert told["execution seconds"] == "75.0"
    assert float(told["cost in US dollars"]) == pytest.approx(0.1)
    assert told["launched"] == "2026-03-10T12:00:00+00:00"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_no_cell_is_a_formula(admin_client: Client, text: str) -> None:
    trained(Status.FAILED, error=text)
    header, row = rows_of(admin_client, "trainings")
    assert dict(zip(header, row, strict=True))["error"].startswith("'")


def test_a_table_that_is_not_there_is_not_found(admin_client: Client) -> None:
    assert admin_client.get("/analytics/secrets.csv").status_code == 404


def test_the_api_answers_the_same_figures(admin_client: Client, priced: Settings, in_april: None) -> None:
    some_of_everything()
    answer = admin_client.get("/api/analytics", MARCH.query).json()
    report = analytics.report(MARCH)
    assert answer["totals"]["trainings"] == 24
    assert answer["totals"]["cost"] == float(report.totals.cost or 0)
    assert answer["totals"]["success"] == report.totals.success
    assert [group["key"] for group in answer["failures"]] == [group.key for group in report.reasons]
    assert len(answer["over_time"]) == 31
    assert answer["prices"]["start_source"] == "configured"
    refused = admin_client.get("/api/analytics?days=5")
    assert refused.status_code == 400
    assert "7, 30, 90" in refused.json()["days"][0]
