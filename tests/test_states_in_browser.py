"""States of a page: narrow and wide, no script, no connection, errors, a session that ends, nobody looks."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import AbstractUser, User
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browsing import complaints, every_page, too_wide
from tests.factories import make_actor, make_version
from training import list_views, standing
from training.models import EndpointState, Status, TrainingVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
SCHEMES = ("light", "dark")


@pytest.fixture(autouse=True)
def quiet_end(page: Page) -> Iterator[None]:
    """No request is on its way while the database is emptied."""
    yield
    page.goto("about:blank")
    page.wait_for_load_state("networkidle")


def test_no_page_is_wider_than_the_screen_from_360_to_2560_pixels(signed_in_page: Page) -> None:
    page = signed_in_page
    addresses = every_page()
    found = {}
    for address in addresses:
        page.goto(address)
        for width in (360, 600, 768, 1024, 1280, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            found[address, width] = too_wide(page)
    assert {where: told for where, told in found.items() if told} == {}


def test_axe_finds_nothing_on_pages_for_strangers_and_refused_people(
    page: Page, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.create_user("nobody", password="password")
    EndpointState.troubled("local", "Connection refused.")

    def both(words: str) -> None:
        for scheme in SCHEMES:
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.wait_for_timeout(300)  # colours fade over
            assert complaints(page) == [], (words, scheme)

    page.goto("/actors/")
    both("sign in")
    page.get_by_label(re.compile("^Username")).fill("nobody")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    both("wrong password")
    page.get_by_label("Password", exact=True).fill("password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="You may not do this")).to_be_visible()
    both("no permission")
    User.objects.update(is_superuser=True)
    page.goto("/activity/")
    expect(page.get_by_text("Connection refused.")).to_be_visible()
    both("the endpoint is down")
    monkeypatch.setattr(list_views, "places_of", lambda _: 1 / 0)
    page.goto("/activity/")
    expect(page.get_by_role("heading", name="Something broke on our side")).to_be_visible()
    both("500")


def test_everything_but_live_updates_works_without_a_script(
    browser: Browser, live_server: LiveServer, admin_user: AbstractUser
) -> None:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    actor = make_actor(description="purple mohawk")
    make_actor(sex="male")
    page.goto("/")
    page.get_by_label(re.compile("^Username")).fill("admin")
    page.get_by_label("Password", exact=True).fill("password")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Search actors").fill("mohawk")
    page.get_by_role("button", name="Filter").click()
    page.locator(".poster a").click()
    page.get_by_label(re.compile("^Steps max_train")).fill("900")
    page.get_by_role("button", name="Check values").click()
    page.get_by_role("button", name="Apply 1 change").click()
    expect(page.get_by_text("These are the values of this preset")).to_be_visible()
    page.get_by_role("button", name="Start V1").click()
    page.get_by_role("button", name="Cancel training").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel training").click()
    expect(page.locator(".live-head")).to_contain_text("Cancelled")
    page.get_by_role("button", name="Try again").click()
    version = TrainingVersion.objects.get(actor=actor, number=2)
    version.complete("https://b.s3.us-east-1.amazonaws.com/x.safetensors")
    page.reload()
    page.get_by_role("button", name="Mark good").click()
    page.get_by_label(re.compile("^Why")).fill("likeness holds")
    page.get_by_role("button", name="Mark V2 good").click()
    page.get_by_role("button", name="Undo").click()
    version.refresh_from_db()
    assert not version.is_good
    context.close()


def test_what_is_on_its_way_shows_its_skeleton(signed_in_page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page = signed_in_page
    make_actor(description="purple mohawk")
    page.goto("/actors/")
    answer = threading.Event()
    known = standing.standings
    monkeypatch.setattr(list_views, "standings", lambda people: answer.wait(20) and known(people))
    page.get_by_label("Search actors").fill("mohawk")
    drawn = "getComputedStyle(document.querySelector('#results .frame'), '::after').content !== 'none'"
    while not page.evaluate(drawn):
        page.wait_for_timeout(50)
    answer.set()
    expect(page.get_by_role("link", name="Clear")).to_be_visible()
    assert not page.evaluate(drawn)


def test_a_lost_connection_is_told_and_the_page_catches_up(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version(status=Status.TRAINING, stage="training", step=40, max_train_steps=400)
    page.goto(version.get_absolute_url())
    page.context.set_offline(True)
    expect(page.get_by_text("No connection.")).to_be_visible()
    version.complete("https://b.s3.us-east-1.amazonaws.com/x.safetensors")
    page.context.set_offline(False)
    expect(page.get_by_text("No connection.")).to_be_hidden()
    expect(page.get_by_role("button", name="Mark good", exact=True)).to_be_visible()
    expect(page).to_have_title(re.compile("^Completed"))


def test_an_error_of_the_site_is_told_until_it_answers_again(
    signed_in_page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = signed_in_page
    version = make_version(status=Status.TRAINING)
    page.goto("/activity/")
    with monkeypatch.context() as broken:
        broken.setattr(list_views, "mark_of", lambda *_: 1 / 0)
        expect(page.get_by_text("The site answers with an error.")).to_be_visible()
    version.cancel()
    expect(page.get_by_text("The site answers with an error.")).to_be_hidden()
    expect(page.locator("#activity")).to_contain_text("Cancelled")


def test_after_a_session_has_ended_people_land_where_they_were(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version(status=Status.TRAINING, stage="training", step=40)
    page.goto(version.get_absolute_url())
    Session.objects.all().delete()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label(re.compile("^Username")).fill("admin")
    page.get_by_label("Password", exact=True).fill("password")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{version.get_absolute_url()}")
    expect(page.locator(".stepno")).to_contain_text("40")


def test_a_page_that_nobody_looks_at_does_not_ask(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version(status=Status.TRAINING, stage="training", step=40)
    asked: list[str] = []
    page.goto(version.get_absolute_url())
    page.on("request", lambda request: asked.append(request.url) if "seen=" in request.url else None)
    page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    page.wait_for_timeout(6000)
    assert asked == []
    version.cancel()
    page.evaluate(
        "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))",
    )
    expect(page.locator(".live-head")).to_contain_text("Cancelled")
