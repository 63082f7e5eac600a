"""Previews in a real browser: what axe says, what fits on a phone, live pictures, work by keyboard."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from playwright.sync_api import Page, expect

from actors import storage
from actors.permissions import ensure_roles
from tests.browsing import complaints
from tests.training.previewing import PROMPT, make_drawable, ordered
from training import preview_reports, previews
from training.job_report import JobReport, JobState
from training.models import Checkpoint, Preview, PromptSet, TrainingVersion
from training.previews import pictures
from training.prompt_sets import PromptLine
from worker.portraits import paint, random_portrait

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture(autouse=True)
def quiet_end(page: Page, media: Path) -> Iterator[None]:
    """No request is on its way while the database is emptied."""
    ensure_roles()
    yield
    page.goto("about:blank")
    page.wait_for_load_state("networkidle")


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
    """One with checkpoints, and previews in every state."""
    version = make_drawable()
    for step in (60, 120, 180, 240):
        Checkpoint.objects.create(version=version, step=step, url="s3://local/loras/step.safetensors")
    drawn(previews.order_standard_preview(version, with_base=True, automatic=True))
    grid = pictures([PromptLine(PROMPT, 5)], strengths=(0, 0.4, 0.7, 1, 1.3), checkpoints=(60, 180, None))
    drawn(ordered(version, *grid, title="portrait of {trigger}, smiling"))
    failed = ordered(version, *grid[:4], title="A look that failed")
    paint_pictures(failed, 0, 1)
    failed.mark_submitted("job-failed")
    error = "Not enough memory: draw fewer pictures with fewer LoRAs, or use a worker with more of it."
    preview_reports.apply(failed, JobReport(id="job-failed", state=JobState.FAILED, error=error))
    ordered(version, *grid[:4], title="Another look").cancel()
    ordered(version, *grid, title="A look on its way").mark_submitted("job-queued")
    PromptSet.objects.create(
        name="Night scenes", subject="drawn", lines=[{"prompt": PROMPT, "seed": 1}], description="Dark ones."
    )
    return version


def addresses(version: TrainingVersion) -> list[str]:
    """Every page of previews and prompt sets."""
    found = [f"/trainings/{version.pk}/previews", f"/trainings/{version.pk}/grid"]
    found += [preview.get_absolute_url() for preview in version.previews.all()]
    found += ["/prompt-sets/", "/prompt-sets/new"]
    found += [prompt_set.get_absolute_url() for prompt_set in PromptSet.objects.all()[:1]]
    empty = make_drawable()
    return [
        *found,
        f"/trainings/{empty.pk}/previews",
        f"/trainings/{empty.pk}/grid",
        version.get_absolute_url(),
    ]


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_too_wide(
    signed_in_page: Page, version: TrainingVersion, width: int, scheme: str
) -> None:
    page = signed_in_page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    found = {}
    for address in addresses(version):
        page.goto(address)
        if wrong := complaints(page):
            found[address] = wrong
    assert found == {}


def test_pictures_appear_while_somebody_watches(signed_in_page: Page, version: TrainingVersion) -> None:
    preview = ordered(version)
    preview.mark_submitted("job-live")
    page = signed_in_page
    page.goto(preview.get_absolute_url())
    state = page.locator(".preview-state .state")
    expect(state).to_contain_text("in the queue")
    paint_pictures(preview, 0)
    output = {"stage": "drawing", "images": [{"image": 0}]}
    preview_reports.apply(preview, JobReport(id="job-live", state=JobState.IN_PROGRESS, output=output))
    expect(state).to_contain_text("drawing, 1 of 2")
    expect(page.locator(".strip a.frame img")).to_have_count(1)
    paint_pictures(preview)
    preview_reports.apply(preview, JobReport(id="job-live", state=JobState.COMPLETED))
    expect(state).to_contain_text("done")
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
