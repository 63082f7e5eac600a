"""Previews in a real browser: live pictures, and work by keyboard."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from playwright.sync_api import Page, expect

from actors import storage
from actors.permissions import ensure_roles
from tests.training.previewing import make_drawable, ordered
from training import preview_reports, previews
from training.job_report import JobReport, JobState
from training.models import Preview, TrainingVersion
from worker.portraits import paint, random_portrait

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture(autouse=True)
def room(transactional_db: None, media: Path) -> None:
    """Files of this test only, and roles."""
    ensure_roles()


def paint_pictures(preview: Preview, *positions: int) -> None:
    """Portraits by our painter, as a worker would store them."""
    for image in preview.images.all():
        if not positions or image.position in positions:
            content = io.BytesIO()
            paint(random_portrait(random.Random(image.seed)), 64, oversample=1).save(content, "PNG")
            storage.save(preview.image_key(image.position), ContentFile(content.getvalue()))


def drawn(preview: Preview) -> Preview:
    paint_pictures(preview)
    preview_reports.recover(preview)
    return preview


@pytest.fixture
def version() -> TrainingVersion:
    """One with its standard preview drawn."""
    version = make_drawable()
    drawn(previews.order_standard_preview(version, with_base=True, automatic=True))
    return version


def test_pictures_appear_while_somebody_watches(signed_in_page: Page, version: TrainingVersion) -> None:
    preview = ordered(version)
    preview.mark_submitted("job-live")
    page = signed_in_page
    page.goto(preview.get_absolute_url())
    state = page.locator(".preview-state .state")
    expect(state).to_contain_text("In the queue")
    paint_pictures(preview, 0)
    output = {"stage": "drawing", "images": [{"image": 0}]}
    preview_reports.apply(preview, JobReport(id="job-live", state=JobState.IN_PROGRESS, output=output))
    expect(state).to_contain_text("Drawing, 1 of 2")
    expect(page.locator(".strip a.frame img")).to_have_count(1)
    paint_pictures(preview)
    preview_reports.apply(preview, JobReport(id="job-live", state=JobState.COMPLETED))
    expect(state).to_contain_text("Done")
    expect(page.get_by_role("button", name="Check status")).to_have_count(0)
    expect(page.locator(".strip a.frame img")).to_have_count(2)
    expect(page.locator("#preview")).not_to_have_attribute("hx-get", "")


def test_a_preview_is_ordered_by_keyboard_alone(signed_in_page: Page, version: TrainingVersion) -> None:
    page = signed_in_page
    page.goto(f"/trainings/{version.pk}/previews")
    page.get_by_label("Prompts").focus()
    page.keyboard.press("Home")  # a prompt of your own
    page.keyboard.press("Tab")
    page.keyboard.type("portrait of {trigger}, laughing")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    page.wait_for_url("**/previews/*/")
    preview = version.previews.latest("pk")
    assert (preview.title, preview.images.get().seed) == ("portrait of {trigger}, laughing", 7)


def test_deleting_asks_first(signed_in_page: Page, version: TrainingVersion) -> None:
    page = signed_in_page
    preview = version.previews.get(automatic=True)
    page.goto(preview.get_absolute_url())
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Keep it").click()
    assert Preview.objects.filter(pk=preview.pk).exists()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete preview").click()
    page.wait_for_url(f"**/trainings/{version.pk}/previews")
    expect(page.get_by_text("The preview and its pictures are deleted")).to_be_visible()
    assert not Preview.objects.filter(pk=preview.pk).exists()


def test_the_panel_on_a_trainings_page_comes_by_itself(
    signed_in_page: Page, version: TrainingVersion
) -> None:
    page = signed_in_page
    page.goto(version.get_absolute_url())
    expect(page.get_by_role("heading", name="Preview", exact=True)).to_be_visible()
    page.get_by_role("link", name="Draw a preview").click()
    expect(page.get_by_role("button", name="Draw", exact=True)).to_be_visible()
