"""“Tell me at the end”: a notification in a real browser, and what the page says where none is possible."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.factories import make_version
from training.models import Status, TrainingVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
#: The browser's own notification, written down: nothing shows it without a screen.
WRITE_DOWN = """
const Real = Notification;
window.told = [];
window.Notification = class extends Real {
  constructor(title, options) {
    super(title, options);
    told.push({ title, body: options.body });
    window.newest = this;
  }
};
"""


@pytest.fixture
def version(transactional_db: None) -> TrainingVersion:
    return make_version(status=Status.TRAINING, stage="training", step=40, max_train_steps=400)


def set_permission(page: Page, setting: str) -> None:
    """As somebody does in the browser's settings: ``granted``, ``denied``, or ``prompt`` for never asked."""
    address = urlsplit(page.url)
    there = page.context.new_cdp_session(page).send("Target.getTargetInfo")["targetInfo"]
    assert page.context.browser
    page.context.browser.new_browser_cdp_session().send(
        "Browser.setPermission",
        {
            "permission": {"name": "notifications"},
            "setting": setting,
            "origin": f"{address.scheme}://{address.netloc}",
            "browserContextId": there["browserContextId"],
        },
    )


def bell(page: Page) -> Locator:
    return page.get_by_role("button", name="Tell me at the end")


def told(page: Page) -> list[dict[str, str]]:
    found: list[dict[str, str]] = page.evaluate("told")
    return found


def end(version: TrainingVersion) -> None:
    version.complete("https://b.s3.us-east-1.amazonaws.com/x.safetensors")


def test_the_end_is_told_once_also_after_a_reload_and_a_click_leads_there(
    signed_in_page: Page, version: TrainingVersion
) -> None:
    page = signed_in_page
    page.context.grant_permissions(["notifications"])
    page.add_init_script(WRITE_DOWN)
    page.goto(version.get_absolute_url())
    expect(bell(page)).to_have_attribute("aria-pressed", "false")
    bell(page).click()
    expect(bell(page)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("Your browser will tell you")).to_be_visible()
    page.reload()
    expect(bell(page)).to_have_attribute("aria-pressed", "true")
    page.mouse.wheel(0, 4000)
    end(version)
    expect(page).to_have_title(re.compile("^Completed"))
    [notification] = told(page)
    assert notification["title"] == f"Completed · {version.actor.number} V1 · ActorTrain"
    assert notification["body"].startswith(f"{version.actor.title}, after ")
    page.evaluate("newest.dispatchEvent(new Event('click'))")
    expect(page.get_by_role("heading", name=re.compile(version.actor.number))).to_be_in_viewport()
    assert page.url.endswith(version.get_absolute_url())
    page.reload()
    assert told(page) == []


def test_whoever_takes_the_wish_back_hears_nothing(signed_in_page: Page, version: TrainingVersion) -> None:
    page = signed_in_page
    page.context.grant_permissions(["notifications"])
    page.add_init_script(WRITE_DOWN)
    page.goto(version.get_absolute_url())
    bell(page).press("Enter")
    expect(bell(page)).to_have_attribute("aria-pressed", "true")
    bell(page).press("Enter")
    expect(bell(page)).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#bell-says")).to_be_hidden()
    end(version)
    expect(page).to_have_title(re.compile("^Completed"))
    assert told(page) == []


def test_a_browser_that_blocks_says_how_to_allow_it_and_obeys_at_once(
    signed_in_page: Page, version: TrainingVersion
) -> None:
    page = signed_in_page
    page.goto("/actors/")  # a permission is given to an address
    set_permission(page, "denied")
    page.goto(version.get_absolute_url())
    bell(page).click()
    expect(page.get_by_text("Your browser blocks notifications of this site. Allow them")).to_be_visible()
    expect(bell(page)).to_have_attribute("aria-pressed", "false")
    set_permission(page, "granted")
    expect(page.get_by_text("Your browser will tell you")).to_be_visible()
    expect(bell(page)).to_have_attribute("aria-pressed", "true")


def test_a_browser_that_was_never_asked_says_what_to_answer(
    signed_in_page: Page, version: TrainingVersion
) -> None:
    page = signed_in_page
    page.goto("/actors/")  # a permission is given to an address
    set_permission(page, "prompt")
    page.goto(version.get_absolute_url())
    # The question itself stands outside the page: nobody can answer it here.
    page.evaluate("() => void (Notification.requestPermission = () => new Promise(() => {}))")
    bell(page).click()
    expect(page.get_by_text("asks whether this site may notify you: choose Allow")).to_be_visible()
    expect(bell(page)).to_have_attribute("aria-pressed", "false")
    set_permission(page, "granted")
    expect(bell(page)).to_have_attribute("aria-pressed", "true")
