"""The main job by clicking only, in steps: browser test and pictures of the guide take the same way."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.started_site import Site

#: Longer than any training here: what is slow is the machine, not the page.
PATIENCE = 300_000


def open_site(browser: Browser, site: Site, password: str, width: int = 1440, height: int = 900) -> Page:
    """A signed-in page in a window of its own."""
    context = browser.new_context(base_url=site.url, viewport={"width": width, "height": height})
    page = context.new_page()
    page.goto("/")
    page.get_by_label(re.compile("^Username")).fill("admin")
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    return page


def choose_actor(page: Page, number: str) -> None:
    """From the library to the actor."""
    page.get_by_role("link", name=re.compile(number)).first.click()
    expect(page.get_by_role("button", name=re.compile("^Start V"))).to_be_visible()


def auto_adjust(page: Page, preset: str) -> None:
    """Looks at what a preset would change, and takes it over."""
    page.get_by_label("Preset", exact=True).select_option(label=preset)
    page.get_by_role("button", name=re.compile("^Apply")).click()
    expect(page.get_by_role("heading", name="Nothing to adjust")).to_be_visible()


def set_parameter(page: Page, label: str, value: str) -> None:
    """Types a value, as a person does."""
    field = page.get_by_role("textbox", name=re.compile(rf"^{label}\b")).first
    field.fill(value)
    field.press("Tab")


def start_training(page: Page) -> None:
    """Starts, and lands on the training's page."""
    page.get_by_role("button", name=re.compile("^Start V")).click()
    page.wait_for_url(re.compile(r"/trainings/\d+/"))


def wait_until_training(page: Page) -> None:
    """The page shows the first strip of samples by itself."""
    expect(page.locator(".strip.film").first).to_be_visible(timeout=PATIENCE)


def wait_until_completed(page: Page) -> None:
    """The page says by itself that it is done."""
    expect(page.get_by_role("button", name="Mark good")).to_be_visible(timeout=PATIENCE)


def mark_good(page: Page, reason: str) -> None:
    """Marks it good with a reason, and confirms."""
    page.get_by_role("button", name="Mark good").click()
    page.get_by_label(re.compile("^Why")).fill(reason)
    page.get_by_role("button", name=re.compile("^Mark V.* good$")).click()
    expect(page.get_by_role("button", name="No longer good")).to_be_visible()
