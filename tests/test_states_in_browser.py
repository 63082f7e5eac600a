"""States of a page: no script, no connection, errors, a session that ends, nobody looks."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from actors.permissions import ensure_roles
from tests.factories import make_actor, make_version
from tests.signing_in import let_in
from tests.training.previewing import make_drawable
from training import list_views, standing
from training.models import Batch, Status, TrainingVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def plain_page(browser: Browser, live_server: LiveServer, quiet_end: None) -> Iterator[Page]:
    """A browser that runs no scripts."""
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_everything_but_live_updates_works_without_a_script(plain_page: Page, admin_user: User) -> None:
    page = plain_page
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


def test_the_studios_other_pages_work_without_a_script(
    plain_page: Page, live_server: LiveServer, admin_user: User, media: Path
) -> None:
    ensure_roles()
    page, version = plain_page, make_drawable()
    let_in(page.context, live_server.url, admin_user)
    page.goto("/actors/")
    page.get_by_label(f"Select {version.actor.number}").press("Space")  # a click may miss what still moves
    expect(page.get_by_label(f"Select {version.actor.number}")).to_be_checked()
    page.get_by_role("form", name="Selection").get_by_role("button", name="Plan a batch").click()
    assert list(Batch.objects.get().planning.chosen) == [version.actor_id]
    page.goto(f"/trainings/{version.pk}/previews")
    page.get_by_label("Prompts").select_option(label="A prompt of your own")
    page.get_by_label("Your own prompt").fill("portrait of {trigger}, laughing")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.locator(".preview-state")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^Cancel")).click()
    expect(page.locator(".preview-state")).to_contain_text("Cancelled")
    page.goto(f"/actors/{version.actor_id}/rights")
    page.get_by_label("Basis").select_option("consent")
    page.get_by_label("Reference").fill("Folder 7, page 3")
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_text("The rights are recorded.")).to_be_visible()
    page.goto("/budgets/")
    page.get_by_label("Dollars a month").fill("50")
    page.get_by_role("button", name="Set the ceiling").click()
    expect(page.get_by_text("Changed: the budget of everybody.")).to_be_visible()
    page.goto("/presets/quick")
    page.get_by_label("Steps ×").fill("0.4")
    page.get_by_role("button", name="Show before and after").click()
    page.get_by_role("button", name="Save as revision 2").click()
    expect(page.get_by_role("heading", name="Revision 2")).to_be_visible()
    page.goto("/analytics/?days=90")
    page.get_by_role("link", name="1", exact=True).first.click()
    expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    page.get_by_role("button", name="Switch between dark and light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


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


def test_a_selection_outlives_going_back(signed_in_page: Page) -> None:
    page = signed_in_page
    actor = make_actor(sex="male")
    make_actor(sex="female")
    page.goto("/actors/")
    page.get_by_label(f"Select {actor.number}").check()
    page.locator("input[name=sex][value=male]").check()
    expect(page.locator(".poster")).to_have_count(1)
    page.go_back()
    expect(page.locator(".poster")).to_have_count(2)
    expect(page.get_by_label(f"Select {actor.number}")).to_be_checked()
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("form", name="Selection")).to_be_hidden()


def test_a_library_that_was_loaded_in_part_has_no_broken_script(signed_in_page: Page) -> None:
    """As when somebody goes on before all of it is there; the page fixture listens for errors."""
    page = signed_in_page
    actor = make_actor()

    def cut(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().split('<form class="picked"')[0])

    page.route("**/actors/", cut)
    page.goto("/actors/")
    page.get_by_label(f"Select {actor.number}").check()
    page.unroute_all()
    page.reload()
    expect(page.get_by_text("1 selected")).to_be_visible()
