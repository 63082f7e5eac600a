"""The pages in a real browser: by mouse, by keyboard, live."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image
from playwright.sync_api import Page, expect

from actors import storage
from tests.browsing import complaints
from tests.factories import make_actor, make_version
from training.base_models import EMBEDDED
from training.models import SampleImage, Status, TrainingVersion

#: What auto-adjust recommends here.
STEPS = str(EMBEDDED.table[0].max_train_steps)
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def test_the_library_filters_while_typing_and_keeps_it_in_the_address(signed_in_page: Page) -> None:
    page = signed_in_page
    make_actor(description="purple mohawk")
    make_actor(sex="male")
    page.goto("/actors/")
    page.keyboard.press("/")
    page.keyboard.type("mohawk")
    expect(page.locator(".poster")).to_have_count(1)
    assert "q=mohawk" in page.url
    expect(page.get_by_label("Search actors")).to_be_focused()
    page.get_by_label("Search actors").fill("")
    expect(page.locator(".poster")).to_have_count(2)
    page.locator("input[name=sex][value=male]").check()
    expect(page.locator(".poster")).to_have_count(1)
    expect(page.locator(".chip")).to_have_text(re.compile("Sex Male"))
    page.go_back()
    expect(page.locator(".poster")).to_have_count(2)


def test_arrows_move_between_posters_and_enter_opens(signed_in_page: Page) -> None:
    page = signed_in_page
    second = [make_actor() for _ in range(3)][1]
    page.goto("/actors/?sort=number")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/actors/{second.pk}/")


def test_more_actors_are_shown_below(signed_in_page: Page) -> None:
    page = signed_in_page
    for _ in range(40):
        make_actor(images=0)
    page.goto("/actors/")
    expect(page.locator("#sheet > .poster")).to_have_count(36)
    expect(page.locator(".posters.loading")).to_be_hidden()
    page.mouse.wheel(0, 20_000)
    expect(page.locator("#sheet > .poster")).to_have_count(40)
    page.goto("/actors/?page=2")  # the same as pages
    expect(page.locator("#sheet > .poster")).to_have_count(4)
    page.goto("/actors/?view=table")
    page.get_by_role("link", name="Show 4 more").scroll_into_view_if_needed()
    expect(page.locator("#sheet > tr")).to_have_count(40)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#sheet > tr a[data-item]").first).to_be_focused()


def test_a_slider_sets_the_field_and_the_advice_follows(signed_in_page: Page) -> None:
    page = signed_in_page
    page.goto(f"/actors/{make_actor().pk}/")
    page.get_by_label("Steps, slider").focus()
    page.keyboard.press("End")
    expect(page.get_by_label(re.compile("^Steps max_train"))).to_have_value("2000")
    expect(page.get_by_text("Auto-adjust would change 1 value")).to_be_visible()
    page.get_by_role("button", name="Apply 1 change").click()
    expect(page.get_by_label(re.compile("^Steps max_train"))).to_have_value(STEPS)
    page.get_by_label(re.compile("^Learning rate learning")).fill("7")
    page.keyboard.press("Tab")
    expect(page.locator("#err-learning_rate")).to_contain_text("must be a number from")
    expect(page.get_by_text("Correct the marked parameters first")).to_be_visible()


def test_a_changed_value_is_still_there_after_leaving_the_page(signed_in_page: Page) -> None:
    page = signed_in_page
    page.goto(f"/actors/{make_actor().pk}/")
    page.get_by_label(re.compile("^Steps max_train")).fill("220")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Draft saved")).to_be_visible()
    page.goto("/actors/")
    page.go_back()
    page.reload()
    expect(page.get_by_label(re.compile("^Steps max_train"))).to_have_value("220")
    page.get_by_role("button", name="Discard draft").click()
    expect(page.get_by_label(re.compile("^Steps max_train"))).to_have_value(STEPS)


def test_a_training_is_watched_to_its_end_and_marked_good(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version(status=Status.TRAINING, stage="training", step=40, max_train_steps=400)
    page.goto(version.get_absolute_url())
    expect(page).to_have_title(re.compile("^10 %"))
    icon = page.locator("#favicon")
    expect(icon).to_have_attribute("href", re.compile("favicon-training"))
    TrainingVersion.objects.filter(pk=version.pk).update(
        step=200, loss_history=[[1, 0.9], [200, 0.3]], updated_at=timezone.now()
    )
    expect(page.locator(".stepno")).to_contain_text("200")
    expect(page.locator("#loss svg.chart")).to_be_visible()
    version.complete("https://b.s3.us-east-1.amazonaws.com/x.safetensors")
    expect(icon).to_have_attribute("href", re.compile("favicon-good"))
    page.get_by_role("button", name="Mark good", exact=True).click()
    page.get_by_label("Why?").fill("likeness holds")
    page.get_by_role("button", name=f"Mark {version.name} good").click()
    expect(page.get_by_text("is the good version now")).to_be_visible()
    version.refresh_from_db()
    assert version.is_good
    assert version.good_reason == "likeness holds"


def test_samples_open_large_and_arrows_move_between_steps_and_prompts(
    signed_in_page: Page, media: Path
) -> None:
    page = signed_in_page
    version = make_version()
    picture = BytesIO()
    Image.new("RGB", (64, 64), "teal").save(picture, "PNG")
    for step in (0, 80):
        for index in (0, 1):
            key = version.sample_key(step, index)
            url = storage.save(key, ContentFile(picture.getvalue()))
            SampleImage.objects.create(
                version=version, step=step, prompt_index=index, prompt=f"prompt {index}", url=url
            )
    page.goto(version.get_absolute_url())
    page.locator("a[data-sample]").first.click()
    viewer = page.get_by_role("dialog", name="Sample")
    expect(viewer).to_contain_text("step 80: prompt 0")
    page.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("step 80: prompt 1")
    page.keyboard.press("ArrowDown")
    expect(viewer).to_contain_text("step 0: prompt 1")
    assert complaints(page) == []
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    other = make_version(version.actor)
    for step in (0, 80):
        SampleImage.objects.create(version=other, step=step, prompt_index=0, prompt="prompt 0", url=url)
    page.goto(f"/actors/{version.actor_id}/versions")
    page.get_by_label(f"Compare {version.name}").check()
    page.get_by_label(f"Compare {other.name}").check()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".pairs:visible")).to_contain_text(f"{other.name}")
    slider = page.get_by_label("Step of the samples")
    expect(slider).to_be_visible()  # a script puts it there
    slider.press("Home")
    expect(page.locator("#parts [aria-current]")).to_have_text("Base")
    assert "part=0" in page.url
    assert complaints(page) == []


def test_the_console_shows_only_the_levels_asked_for(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version(status=Status.TRAINING)
    version.note("all is well")
    version.note("a caption is empty", level="warning")
    version.note("out of memory", level="error")
    page.goto(version.get_absolute_url())
    page.get_by_label("Warnings and errors").check()
    expect(page.locator("#console li:visible")).to_have_count(2)
    page.get_by_label("Errors", exact=True).check()
    expect(page.locator("#console li:visible")).to_have_text(re.compile("out of memory"))


def test_cancelling_asks_first(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version(status=Status.QUEUED)
    page.goto(version.get_absolute_url())
    page.get_by_role("button", name="Cancel training").click()
    page.get_by_role("button", name="Go on training").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Cancel training").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel training").click()
    expect(page.locator(".live-head")).to_contain_text("Cancelled")


def test_the_theme_switch_survives_a_reload(signed_in_page: Page) -> None:
    page = signed_in_page
    page.emulate_media(color_scheme="light")
    page.goto("/actors/")
    page.get_by_role("button", name="Switch between dark and light").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
