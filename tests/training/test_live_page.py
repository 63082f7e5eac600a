"""A training's page: what it shows, how it follows, and what can be done there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.factories import make_actor, make_version
from tests.training.pages import HTMX, STEPS, seen_in, undo
from training.models import Status, TrainingVersion

pytestmark = pytest.mark.django_db


def poll(client: Client, version: TrainingVersion, seen: str = "") -> Any:
    return client.get(version.get_absolute_url(), {"seen": seen}, headers=HTMX)


def test_the_poll_answers_nothing_until_something_changes(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING, step=10, stage="training")
    page = admin_client.get(version.get_absolute_url()).text
    assert poll(admin_client, version, seen_in(page)).status_code == 204
    TrainingVersion.objects.filter(pk=version.pk).update(step=20, updated_at=timezone.now())
    answer = poll(admin_client, version, seen_in(page))
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert f"20 <small>of {STEPS} steps" in answer.text
    # Only what has moved: no open dialog closes, no picture is fetched again.
    assert set(re.findall(r'id="(\w+)"[^>]* hx-swap-oob', answer.text)) == {"progress", "loss"}
    version.note("Looked at")
    answer = poll(admin_client, version, seen_in(answer.text))
    assert set(re.findall(r'id="(\w+)"[^>]* hx-swap-oob', answer.text)) == {"progress", "console"}


def test_within_one_second_the_sites_events_come_before_the_workers_lines(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING)
    at = datetime(2026, 1, 1, 10, 0, 2, tzinfo=UTC)
    for number, message in enumerate(("Sending to the endpoint", "In the endpoint's queue", "taken")):
        version.events.create(kind="note", message=message, at=at + timedelta(milliseconds=300 * number))
    log = [(at, "info", "15 images read"), (at + timedelta(seconds=1), "warning", "one is blurred")]
    version.log = [{"at": when.isoformat(), "level": level, "message": text} for when, level, text in log]
    version.save()
    answer = admin_client.get(reverse("console", args=[version.pk]))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    assert answer.text.splitlines() == [
        "2026-01-01 10:00:02 info    Sending to the endpoint",
        "2026-01-01 10:00:02 info    In the endpoint's queue",
        "2026-01-01 10:00:02 info    taken",
        "2026-01-01 10:00:02 info    15 images read",
        "2026-01-01 10:00:03 warning one is blurred",
    ]


def test_the_cost_runs_along_when_a_price_is_configured(admin_client: Client, settings: Any) -> None:
    version = make_version(status=Status.TRAINING, execution_ms=90_000)
    assert "cost so far" not in admin_client.get(version.get_absolute_url()).text
    settings.GPU_PRICE_PER_SECOND, settings.WORKER_START_SECONDS = 0.001, 5.0
    settings.WORKER_IDLE_SECONDS = 5.0
    text = admin_client.get(version.get_absolute_url()).text
    assert re.search(r"<dt>cost so far, of ≈ \$[\d.]+</dt><dd>\$0\.10</dd>", text)


def test_polling_stops_when_the_training_is_over(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING)
    version.complete("https://b.s3.us-east-1.amazonaws.com/x.safetensors")
    answer = poll(admin_client, version)
    assert answer.status_code == 286
    assert "every" not in answer.text
    assert "Mark good" in answer.text


def test_cancel_ends_it_once(admin_client: Client) -> None:
    version = make_version(status=Status.PENDING)
    first = admin_client.post(reverse("cancel", args=[version.pk]), follow=True)
    assert "is cancelled" in first.text
    again = admin_client.post(reverse("cancel", args=[version.pk]), follow=True)
    assert "had ended already" in again.text


def test_marking_good_keeps_the_reason_and_takes_the_mark_from_the_former(admin_client: Client) -> None:
    first = make_version()
    first.mark_good()
    second = make_version(first.actor)
    answer = admin_client.post(
        reverse("mark-good", args=[second.pk]), {"reason": "likeness <holds>"}, follow=True
    )
    assert "V2 is the good version now instead of V1." in answer.text
    assert "likeness &lt;holds&gt;" in answer.text
    first.refresh_from_db()
    assert not first.is_good
    undo(admin_client, answer.text)
    first.refresh_from_db()
    assert first.is_good


def test_taking_a_good_mark_away_can_be_undone_with_its_reason(admin_client: Client) -> None:
    version = make_version()
    answer = admin_client.post(reverse("mark-good", args=[version.pk]), {"reason": "likeness"}, follow=True)
    undo(admin_client, answer.text)
    version.refresh_from_db()
    assert not version.is_good
    version.mark_good(reason="likeness")
    answer = admin_client.post(reverse("unmark-good", args=[version.pk]), follow=True)
    undo(admin_client, answer.text)
    version.refresh_from_db()
    assert (version.is_good, version.good_reason) == (True, "likeness")


def test_a_failed_training_can_not_be_marked_good(admin_client: Client) -> None:
    version = make_version(status=Status.FAILED, error="Out of memory.")
    page = admin_client.get(version.get_absolute_url()).text
    assert "Out of memory." in page
    assert "Try again" in page
    answer = admin_client.post(reverse("mark-good", args=[version.pk]), follow=True)
    assert "only a completed version can be good" in answer.text


def test_trying_again_makes_a_version_with_the_same_parameters(admin_client: Client) -> None:
    failed = make_version(status=Status.FAILED, max_train_steps=321)
    answer = admin_client.post(reverse("retry", args=[failed.pk]), follow=True)
    again = TrainingVersion.objects.get(repeats=failed)
    assert again.max_train_steps == 321
    assert answer.redirect_chain[-1][0] == again.get_absolute_url()
    for page in (failed.get_absolute_url(), reverse("activity")):
        text = admin_client.get(page).text
        assert "Tried again as" in text
        assert reverse("retry", args=[failed.pk]) not in text


def test_checking_an_endpoint_that_is_down_says_so(admin_client: Client, settings: Any) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    version = make_version(status=Status.QUEUED)
    answer = admin_client.post(reverse("check-status", args=[version.pk]), follow=True)
    assert "The endpoint can&#x27;t say" in answer.text


def test_a_version_imported_from_the_old_system_has_a_page(admin_client: Client) -> None:
    version = make_version(max_train_steps=None, learning_rate=None, base_model="", image_count=0, stages=[])
    assert "This training has no samples" in admin_client.get(version.get_absolute_url()).text


def test_a_container_that_reports_no_steps_gets_a_bar_by_the_clock_marked_as_an_estimate(
    admin_client: Client,
) -> None:
    started = timezone.now() - timedelta(seconds=30)
    version = make_version(status=Status.TRAINING, started_at=started)
    page = admin_client.get(version.get_absolute_url()).content.decode()
    assert "estimated from the time" in page
    TrainingVersion.objects.filter(pk=version.pk).update(step=12, stage="training")
    page = admin_client.get(version.get_absolute_url()).content.decode()
    assert "estimated from the time" not in page


def test_a_queued_training_says_its_place_and_a_good_one_the_way_back(admin_client: Client) -> None:
    waiting = make_version(status=Status.QUEUED, submitted_at=timezone.now())
    assert "Next in the queue" in admin_client.get(waiting.get_absolute_url()).content.decode()
    first = make_version()
    second = make_version(first.actor)
    first.mark_good()
    second.mark_good()
    assert "Back to V1" in admin_client.get(second.get_absolute_url()).content.decode()


def test_a_cost_is_shown_in_its_parts(admin_client: Client, settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.01
    version = make_version(status=Status.COMPLETED, execution_ms=100_000)
    page = admin_client.get(version.get_absolute_url()).content.decode()
    assert "Training $1.00 (as the endpoint says)" in page
    assert "Worker start $" in page


def test_up_to_twelve_references_stand_beside_the_samples_and_one_is_seen(admin_client: Client) -> None:
    version = make_version(make_actor(images=15), status=Status.TRAINING)
    figure = admin_client.get(version.get_absolute_url()).text.split('id="ref"')[1].split("</figure>")[0]
    assert figure.count("<img") == 12
    assert figure.count(" hidden>") == 11
    assert 'aria-label="Next reference"' in figure


def test_a_single_reference_needs_no_buttons_and_none_is_no_gap(admin_client: Client) -> None:
    for images in (1, 0):
        version = make_version(make_actor(images=images))
        figure = admin_client.get(version.get_absolute_url()).text.split('id="ref"')[1].split("</figure>")[0]
        assert figure.count("<img") == images
        assert "Next reference" not in figure


def test_parameters_stand_by_the_names_of_the_train_page(admin_client: Client) -> None:
    text = admin_client.get(make_version(network_dim=24).get_absolute_url()).text
    assert '<dt>LoRA rank</dt><dd class="mono">24</dd>' in text
    assert "network_dim" not in text
