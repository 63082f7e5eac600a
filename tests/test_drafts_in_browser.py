"""What somebody types on the train page is kept, however they leave it and whatever the connection does."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from actors.models import Actor
from tests.factories import make_actor
from training.models import TrainingVersion


def steps_of(page: Page) -> Locator:
    return page.get_by_label(re.compile("^Steps max_train"))


def opened(page: Page) -> Actor:
    actor = make_actor()
    page.goto(f"/actors/{actor.pk}/")
    return actor


def test_leaving_by_a_link_right_after_typing_loses_nothing(signed_in_page: Page) -> None:
    page = signed_in_page
    actor = opened(page)
    steps_of(page).fill("220")
    page.get_by_role("link", name=re.compile("^Dataset")).first.click()
    page.wait_for_url("**/dataset")
    page.goto(f"/actors/{actor.pk}/")
    expect(steps_of(page)).to_have_value("220")


def test_an_edit_without_a_connection_is_saved_when_it_is_back(signed_in_page: Page) -> None:
    page = signed_in_page
    opened(page)
    page.context.set_offline(True)
    steps_of(page).fill("220")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Not saved yet")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("Draft saved")).to_be_visible()
    expect(page.get_by_text("Not saved yet")).to_have_count(0)


def test_enter_takes_the_value_and_the_focus_stays(signed_in_page: Page) -> None:
    page = signed_in_page
    opened(page)
    steps_of(page).fill("220")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Draft saved")).to_be_visible()
    expect(steps_of(page)).to_be_focused()
    assert "?" not in page.url
    assert not TrainingVersion.objects.exists()


def test_an_arrow_key_moves_a_slider_of_few_numbers_by_one(signed_in_page: Page) -> None:
    page = signed_in_page
    opened(page)
    page.get_by_text("Advanced").click()
    slider = page.get_by_label("Batch size, slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label(re.compile("^Batch size batch"))).to_have_value("9")
    assert slider.get_attribute("aria-valuetext") == "9"


def test_what_is_wrong_among_the_advanced_ones_unfolds_them(signed_in_page: Page) -> None:
    page = signed_in_page
    opened(page)
    steps_of(page).fill("40")
    page.keyboard.press("Tab")
    expect(page.locator("#err-lr_warmup_steps")).to_contain_text(
        "Warm-up must be a whole number from 0 to 40"
    )
    expect(page.locator("#err-lr_warmup_steps")).to_be_visible()


def test_a_field_that_somebody_has_resized_breaks_no_policy(signed_in_page: Page) -> None:
    page = signed_in_page
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    opened(page)
    steps_of(page).fill("220")
    page.keyboard.press("Tab")
    steps_of(page).evaluate("field => { field.style.blockSize = '60px' }")  # as a dragged corner does it
    page.get_by_role("button", name="Apply 1 change").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert [text for text in told if "Content Security Policy" in text] == []
