"""The dashboard's figures: what they count, that their links show the same rows, and who sees what."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from actors.permissions import ensure_roles
from tests.factories import make_actor, make_version
from training import analytics, analytics_csv, costs, failures
from training.figures import Figures
from training.models import Preset, Preview, Status, TrainingVersion
from training.selection import SIZES, Selection
from training.spans import Span

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MARCH = Span(date(2026, 3, 1), date(2026, 3, 31))
PRICE = 0.001


@pytest.fixture
def priced(settings: Settings) -> Settings:
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


def trained(
    status: str = Status.COMPLETED,
    *,
    launched: datetime = NOON,
    queue: float = 60,
    seconds: float = 300,
    review: float | None = None,
    **fields: Any,
) -> TrainingVersion:
    """A training of an actor of its own, ended unless it is active."""
    start = launched + timedelta(seconds=queue)
    end = start + timedelta(seconds=seconds)
    ended = status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
    values: dict[str, Any] = {
        "created_at": launched,
        "started_at": start,
        "finished_at": end if ended else None,
        "execution_ms": int(1000 * seconds) if ended else None,
    }
    if review is not None:
        marked = end + timedelta(seconds=review)
        values |= {"is_good": True, "good_at": marked, "first_good_at": marked}
    return make_version(make_actor(images=1), status=status, **values | fields)


def previewed(version: TrainingVersion, *dollars: str) -> None:
    """Previews of a version that have cost so much each."""
    for amount in dollars:
        preview = Preview.objects.create(version=version, title="A look")
        preview.complete(cost_usd=Decimal(amount))


def person(name: str, role: str = "Viewer") -> User:
    ensure_roles()
    user = User.objects.create_user(name)
    user.groups.add(Group.objects.get(name=role))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


# What is counted


def test_trainings_are_counted_by_how_they_ended(priced: Settings) -> None:
    trained(review=100), trained(), trained(Status.FAILED), trained(Status.CANCELLED)
    trained(Status.TRAINING, launched=NOON - timedelta(hours=1))
    found = analytics.report(MARCH).totals
    assert (found.trainings, found.active, found.completed, found.failed, found.cancelled) == (5, 1, 2, 1, 1)
    assert (found.good, found.finished, found.ended) == (1, 1, 3)
    assert found.success == pytest.approx(2 / 3)


def test_only_the_days_asked_for_count_and_the_days_before_stand_beside_them() -> None:
    trained(launched=datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    trained(launched=datetime(2026, 3, 1, tzinfo=UTC))
    trained(launched=datetime(2026, 3, 31, 23, 59, tzinfo=UTC))
    trained(launched=datetime(2026, 4, 1, tzinfo=UTC))
    report = analytics.report(MARCH)
    assert (report.totals.trainings, report.before.trainings) == (2, 1)


def test_a_day_begins_at_midnight_in_the_visitors_time_zone() -> None:
    trained(launched=datetime(2026, 2, 28, 23, 30, tzinfo=UTC))
    with timezone.override("Europe/Berlin"):
        found = analytics.report(MARCH)
        assert found.over_time[0].span.first == date(2026, 3, 1)
        assert found.over_time[0].figures.trainings == 1
    assert analytics.report(MARCH).totals.trainings == 0


def test_times_are_medians_of_what_was_measured() -> None:
    for queue, seconds, review in ((10, 100, 1000), (20, 200, 2000), (90, 900, 9000)):
        trained(queue=queue, seconds=seconds, review=review)
    trained(Status.FAILED, queue=20, seconds=5000)
    found = analytics.report(MARCH).totals
    assert found.queue == pytest.approx(20, abs=0.01)
    assert found.training == pytest.approx(200, abs=0.01)
    assert found.review == pytest.approx(2000, abs=0.01)


def test_an_imported_version_was_not_reviewed_here() -> None:
    trained(review=5000, request_id="", execution_ms=None, started_at=None)
    found = analytics.report(MARCH).totals
    assert (found.trainings, found.good) == (1, 1)
    assert (found.queue, found.training, found.review) == (None, None, None)


def test_without_trainings_nothing_is_known(priced: Settings) -> None:
    found = analytics.report(MARCH)
    assert found.totals == Figures(paid=0)
    assert (found.totals.success, found.totals.cost_per_training, found.totals.cost_per_good) == (None,) * 3
    assert (found.reasons, found.people, found.presets, found.sizes) == ([], [], [], [])
    assert len(found.over_time) == 31


# Costs


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


# Groups


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("The worker ran out of memory at step 212.", "memory"),
        (
            "The trainer was killed by the system, most likely for lack of memory: use a smaller batch.",
            "memory",
        ),
        (
            "The endpoint stopped the job: it took longer than allowed. Train fewer steps, or try again.",
            "too-long",
        ),
        ("Lost: the endpoint no longer knows this job, and no LoRA has arrived. Start it again.", "lost"),
        ("Given up: the endpoint never said whether it took the job.", "lost"),
        ("The endpoint cancelled the job.", "stopped"),
        ("The loss is nan at step 90: the training went astray. Lower the learning rate.", "diverged"),
        ("Image 7.png cannot be read as an image: replace or remove it.", "images"),
        (
            "The upload of a.safetensors was refused (403): the signed URL has expired. Launch again.",
            "store",
        ),
        ("The trainer stopped with exit code 3: nothing on standard error", "trainer"),
        ("The job completed, but its answer names no LoRA.", "no-lora"),
        ("The endpoint says that the training failed, but not why.", "unsaid"),
        ("", "unsaid"),
        ("Something that nobody has a word for", "other"),
    ],
)
def test_failures_are_grouped_by_what_their_errors_say(error: str, kind: str) -> None:
    trained(Status.FAILED, error=error)
    groups = analytics.report(MARCH).reasons
    assert [(group.key, group.label, group.figures.trainings) for group in groups] == [
        (kind, failures.LABELS[kind], 1)
    ]


def test_only_failures_have_a_reason() -> None:
    trained(error="Lost: this came true after all")
    assert analytics.report(MARCH).reasons == []


def test_groups_by_person_preset_and_size(priced: Settings, admin_user: User) -> None:
    quick = Preset.objects.get(name="quick").current()
    trained(created_by=admin_user, preset_revision=quick, image_count=15, review=10)
    trained(created_by=admin_user, preset_revision=quick, preset_edited=True, image_count=16)
    trained(image_count=61)
    report = analytics.report(MARCH)
    assert {group.key: group.figures.trainings for group in report.people} == {"admin": 2, "?": 1}
    assert {group.key: group.figures.good for group in report.presets} == {
        "quick.1": 1,
        "quick.1+": 0,
        "?": 0,
    }
    assert [(group.key, group.figures.trainings) for group in report.sizes] == [
        ("-15", 1),
        ("16-30", 1),
        ("61-", 1),
    ]


def some_of_everything() -> None:
    """Trainings that differ in everything that groups and links tell apart."""
    people = [None, User.objects.create_user("ines"), User.objects.create_user("tomas")]
    revisions = [None, *(preset.current() for preset in Preset.objects.all())]
    endings = [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TRAINING]
    errors = ["CUDA out of memory", "Lost: gone", "odd", ""]
    turns = zip(range(24), itertools.cycle(people), itertools.cycle(revisions), itertools.cycle(endings))
    for number, who, revision, status in turns:
        version = trained(
            status,
            launched=NOON + timedelta(days=number % 9),
            created_by=who,
            preset_revision=revision,
            preset_edited=bool(revision and number % 5 == 0),
            image_count=number * 4,
            error=errors[number % 3] if status == Status.FAILED else "",
            review=30 if status == Status.COMPLETED and number % 8 == 0 else None,
        )
        if status == Status.COMPLETED:
            previewed(version, f"0.{number:02d}07")


def linked(report: analytics.Report) -> Iterator[tuple[str, Figures, Selection]]:
    """Every figure that has a link."""
    yield "all", report.totals, report.rows
    for part in report.over_time:
        yield str(part.span.first), part.figures, part.rows
    for name in ("reasons", "people", "presets", "sizes"):
        for group in getattr(report, name):
            yield f"{name} {group.key}", group.figures, group.rows


def test_the_link_of_every_figure_shows_the_rows_that_it_counts(admin_client: Client) -> None:
    some_of_everything()
    report = analytics.report(MARCH)
    for words, figures, rows in linked(report):
        page = admin_client.get(reverse("activity") + rows.query()).context["page"]
        assert page.paginator.count == figures.trainings, words
        good = admin_client.get(reverse("activity") + rows.but(good="yes").query()).context["page"]
        assert good.paginator.count == figures.good, words


def test_the_link_of_every_cost_shows_what_adds_up_to_it(
    admin_client: Client, priced: Settings, in_april: None
) -> None:
    some_of_everything()
    report = analytics.report(MARCH)
    assert report.totals.preview_cost
    for words, figures, rows in linked(report):
        page = admin_client.get(reverse("activity") + rows.query()).context
        bills = [bill for _, _, bill in page["pictures"] if bill]
        assert sum(bill.total for bill in bills) == (figures.cost or 0), words
        page = admin_client.get(reverse("drawn") + rows.query()).context
        drawn = [preview.cost_usd for preview, _, _ in page["rows"]]
        assert sum(drawn) == (figures.preview_cost or 0), words


def test_every_grouping_adds_up_to_all_trainings() -> None:
    some_of_everything()
    report = analytics.report(MARCH)
    assert report.totals.trainings == 24
    for groups in (report.over_time, report.people, report.presets, report.sizes):
        assert sum(group.figures.trainings for group in groups) == 24
    assert sum(group.figures.trainings for group in report.reasons) == report.totals.failed
    assert {group.key for group in report.sizes} == set(SIZES)


def test_the_states_are_those_of_the_library_and_lead_there(admin_client: Client) -> None:
    trained(review=5), trained(), make_actor(images=0), make_actor()
    page = admin_client.get(reverse("analytics"))
    counted = {state.value: state.count for state in page.context["report"].states}
    assert {state: count for state, count in counted.items() if count} == {
        "good": 1,
        "choose": 1,
        "none": 1,
        "fit": 1,
    }
    for state, address, _ in page.context["states"]:
        assert admin_client.get(address).context["page"].paginator.count == state.count


# The page


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


# CSV


def rows_of(client: Client, table: str) -> list[list[str]]:
    answer = client.get(f"/analytics/{table}.csv", MARCH.query)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(text)))


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


# The API


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


# Spans


def test_long_spans_are_shown_by_weeks_and_months_that_end_where_the_span_does() -> None:
    weeks = Span(date(2026, 1, 1), date(2026, 3, 31)).parts()
    assert (weeks[0].first, weeks[0].last, weeks[1].first) == (
        date(2026, 1, 1),
        date(2026, 1, 4),
        date(2026, 1, 5),
    )
    assert weeks[-1].last == date(2026, 3, 31)
    months = Span(date(2025, 11, 15), date(2026, 12, 2)).parts()
    assert [months[0].first, months[1].first, months[-1].last] == [
        date(2025, 11, 15),
        date(2025, 12, 1),
        date(2026, 12, 2),
    ]
    assert len(months) == 14


@pytest.mark.parametrize(
    "span", [Span(date(2026, 1, 3), date(2026, 5, 20)), Span(date(2025, 1, 3), date(2026, 5, 20))]
)
def test_every_training_falls_into_one_part(span: Span) -> None:
    for day in (span.first, date(2026, 2, 2), span.last):
        trained(launched=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    parts = analytics.report(span).over_time
    assert sum(part.figures.trainings for part in parts) == 3
    assert [part.figures.trainings for part in (parts[0], parts[-1])] == [1, 1]


def test_a_selection_survives_its_own_address() -> None:
    asked = Selection(
        status="failed",
        by="ines",
        actor="0007",
        since=date(2026, 3, 1),
        until=date(2026, 3, 9),
        preset="quick.2",
        changed="no",
        reason="memory",
        images="16-30",
        good="no",
    )
    query = dict(part.split("=") for part in asked.query()[1:].split("&"))
    assert Selection.read(query) == asked
    assert len(asked.applied()) == 6
    assert Selection.read(
        {"reason": "x", "images": "9", "good": "?", "from": "y", "status": "z"}
    ).is_everything
    assert replace(asked, status="").query(status="active") == asked.but(status="active").query()
