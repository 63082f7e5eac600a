"""The figures of the dashboard: what they count, and that their links show the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.factories import make_actor, make_version
from tests.training.figured import (
    MARCH,
    NOON,
    some_of_everything,
    trained,
)
from training import analytics, failures
from training.figures import Figures
from training.models import Preset, Status
from training.selection import SIZES, Selection

pytestmark = pytest.mark.django_db


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
        bills = [bill for _, _, bill, _ in page["pictures"] if bill]
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


def test_the_dashboard_names_some_who_wait_for_a_person_with_the_way_to_it(admin_client: Client) -> None:
    assert "Waits for a person" not in admin_client.get(reverse("analytics")).text
    judged, failed, unfit = make_actor(), make_actor(), make_actor(images=3)
    make_version(judged, status=Status.COMPLETED)
    make_version(judged, status=Status.COMPLETED)
    last = make_version(failed, status=Status.FAILED, error="Out of memory.")
    for _ in range(3):
        make_version(status=Status.FAILED)
    assert ">All 6</a>" in admin_client.get(reverse("analytics")).text
    listed = admin_client.get(reverse("analytics-waiting")).text
    assert f'href="{reverse("compare", args=[judged.pk])}?v=1&amp;v=2"' in listed
    assert f'href="{last.get_absolute_url()}">See why' in listed
    assert f'href="{reverse("dataset", args=[unfit.pk])}">Mend' in listed
    assert listed.count("See why") == 2  # the library shows all
