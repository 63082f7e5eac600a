"""Dashboard and presets in a real browser: the keyboard, an edit to its end."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings

from tests.browsing import complaints
from tests.factories import make_actor, make_version
from training.models import Preset, Status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def trained(settings: Settings) -> None:
    """Trainings of every kind, some with a price and a preset."""
    settings.GPU_PRICE_PER_SECOND, settings.WORKER_START_SECONDS = 0.001, 20.0
    quick = Preset.objects.get(name="quick").current()
    now = timezone.now()
    for status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TRAINING):
        make_version(
            status=status,
            error="CUDA out of memory" if status == Status.FAILED else "",
            created_at=now - timedelta(days=2),
            started_at=now - timedelta(days=2),
            execution_ms=300_000,
            preset_revision=quick,
        )
    make_version(execution_ms=500_000, finished_at=now).mark_good()
    make_actor(images=0)


def test_a_dashboard_without_any_training_is_whole(signed_in_page: Page) -> None:
    page = signed_in_page
    page.goto("/analytics/")
    expect(page.get_by_role("heading", level=1)).to_have_text("0 actors, 0 with a good version")
    assert complaints(page) == []


def test_from_a_bar_to_its_rows_by_keyboard_alone(signed_in_page: Page, trained: None) -> None:
    page = signed_in_page
    page.goto("/analytics/")
    page.locator("details.numbers > summary").focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name="Trainings by day")
    link = table.get_by_role("link", name="4", exact=True)
    expect(link).to_be_visible()
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/activity/?from=*")
    expect(page.locator("tbody tr")).to_have_count(4)
    expect(page.locator(".chip")).to_have_text(re.compile("^Launched"))
    page.locator(".chip").click()
    expect(page.locator("tbody tr")).to_have_count(5)


def test_the_days_stay_in_the_address_when_they_are_typed(signed_in_page: Page, trained: None) -> None:
    page = signed_in_page
    page.goto("/analytics/")
    page.get_by_label("From", exact=True).fill("2026-01-05")
    page.get_by_label("To", exact=True).fill("2026-02-06")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**/analytics/?from=2026-01-05&to=2026-02-06")
    expect(page.get_by_role("heading", name="5 Jan 2026 to 6 Feb 2026")).to_be_visible()
    page.go_back()
    page.get_by_label("Month", exact=True).fill("2026-02")
    page.get_by_role("button", name="Show month").click()
    expect(page.get_by_role("heading", name="1 Feb 2026 to 28 Feb 2026")).to_be_visible()


def test_a_preset_is_edited_after_a_look_at_before_and_after(signed_in_page: Page) -> None:
    page = signed_in_page
    page.goto("/presets/quick")
    page.get_by_label("Steps ×").fill("0.4")
    page.get_by_role("button", name="Show before and after").click()
    expect(page.get_by_role("status").get_by_text("× 0.4")).to_be_visible()
    page.get_by_role("button", name="Save as revision 2").click()
    expect(page.get_by_role("heading", name="Revision 2")).to_be_visible()
    page.get_by_role("button", name="Restore revision 1").click()
    expect(page.get_by_role("heading", name="Revision 3")).to_be_visible()
    page.goto("/presets/")
    expect(page.get_by_role("row", name=re.compile("^Quick"))).to_contain_text("× 0.5")
