"""Batches in a real browser: selecting by mouse and keyboard, planning, watching."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings

from tests.browsing import Walk
from tests.factories import make_actor
from tests.training.batch_steps import end_all, look_at_all, plan
from training import batch_launches
from training.models import Batch, Status, TrainingVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def chosen() -> list[int]:
    return list(Batch.objects.get().planning.chosen)


def test_a_selection_outlives_filters_views_and_pages_and_plans_a_batch(signed_in_page: Page) -> None:
    page = signed_in_page
    first, second = make_actor(sex="male"), make_actor(sex="female")
    for _ in range(40):
        make_actor(images=0, sex="female")
    page.goto("/actors/?sort=number")
    page.get_by_label(f"Select {first.number}").check()
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_role("checkbox", name=re.compile("^Female")).check()
    expect(page.get_by_label(f"Select {first.number}")).to_have_count(0)
    page.get_by_label(f"Select {second.number}").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("link", name="Table").click()
    expect(page.get_by_label(f"Select {second.number}")).to_be_checked()
    page.goto("/actors/?sort=number")
    expect(page.get_by_label(f"Select {first.number}")).to_be_checked()
    page.get_by_role("form", name="Selection").get_by_role("button", name="Plan a batch").click()
    page.wait_for_url(re.compile(r"/batches/\d+/"))
    assert chosen() == [first.pk, second.pk]
    page.goto("/actors/")
    expect(page.get_by_role("form", name="Selection")).to_be_hidden()


def test_x_and_space_select_by_keyboard_and_shift_a_span(signed_in_page: Page) -> None:
    page = signed_in_page
    actors = [make_actor() for _ in range(5)]
    page.goto("/actors/?sort=number")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_label(f"Select {actors[2].number}").click()
    page.get_by_label(f"Select {actors[4].number}").click(modifiers=["Shift"])
    expect(page.get_by_text("4 selected")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("form", name="Selection")).to_be_hidden()


def test_everyone_whom_the_filters_leave_is_selected_at_once(signed_in_page: Page) -> None:
    page = signed_in_page
    make_actor(sex="male")
    for _ in range(40):
        make_actor(images=0, sex="female")
    page.goto("/actors/?sex=female")
    page.get_by_role("button", name="Select all 40").click()
    expect(page.get_by_text("40 selected")).to_be_visible()
    expect(page.get_by_text("Nobody can train now.")).to_be_visible()  # asked for once the choice rests
    page.get_by_role("form", name="Selection").get_by_role("button", name="Plan a batch").click()
    page.wait_for_url(re.compile(r"/batches/\d+/"))
    assert len(chosen()) == 40


def test_a_plan_is_set_begun_and_watched_without_a_reload(signed_in_page: Page, settings: Settings) -> None:
    page = signed_in_page
    settings.GPU_PRICE_PER_SECOND = 0.001
    batch = plan(3)
    page.goto(batch.get_absolute_url())
    page.get_by_label("At once").fill("2")
    page.get_by_label("Ceiling in US dollars").fill("9.50")
    page.get_by_role("button", name="Save and plan anew").click()
    expect(page.get_by_text("ceiling $9.50")).to_be_visible()
    page.get_by_role("button", name="Begin with 3 actors").click()
    expect(page.get_by_role("dialog")).to_contain_text("never more than $9.50")
    page.get_by_role("dialog").get_by_role("button", name="Begin").click()
    expect(page.get_by_text("of 3 actors looked at")).to_be_visible()
    look_at_all()
    expect(page.get_by_text("0 of 3 completed")).to_be_visible()
    batch_launches.advance()
    expect(page.locator(".batch-items .state.is-training")).to_have_count(2)
    end_all(batch)
    batch_launches.advance()
    expect(page.get_by_text("2 of 3 completed")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the batch").click()
    expect(page.locator(".state.lead")).to_have_text("Cancelled")
    batch_launches.advance()
    assert TrainingVersion.objects.filter(status=Status.CANCELLED).count() == 1


def test_a_plan_appears_by_itself_and_one_actor_is_changed_and_left_out(signed_in_page: Page) -> None:
    page, walk = signed_in_page, Walk(signed_in_page)
    first, second = make_actor(), make_actor()
    page.goto("/batches/new")
    page.get_by_role("button", name="Plan for these 2").click()
    expect(page.get_by_text("0 of 2 actors looked at")).to_be_visible()
    walk.look("while it is planned")
    look_at_all()
    expect(page.get_by_role("button", name="Begin with 2 actors")).to_be_visible()
    page.get_by_role("link", name=f"Change the values of {first.number}").click()
    page.get_by_label("Steps", exact=True).fill("60")
    walk.look("values of one actor")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Its own values: Steps 60")).to_be_visible()
    page.get_by_role("button", name=f"Leave {second.number} out").click()
    expect(page.get_by_role("button", name="Begin with 1 actor", exact=True)).to_be_visible()
    page.get_by_role("button", name="Look at all again").click()
    look_at_all()
    expect(page.get_by_role("button", name=f"Take {second.number} in again")).to_be_visible()
    expect(page.get_by_text("Its own values: Steps 60")).to_be_visible()
    assert [told for told in walk.found.values() if told] == []


def test_a_list_of_ids_names_the_unknown(signed_in_page: Page) -> None:
    page = signed_in_page
    actor = make_actor()
    page.goto("/batches/")
    page.get_by_role("link", name="Plan a batch").first.click()
    page.get_by_label("Ids or names").fill(f"{actor.number}, 99999")
    page.get_by_role("button", name="Plan for this list").click()
    expect(page.get_by_text("No actor has the id or name: 99999.").first).to_be_visible()
    assert chosen() == [actor.pk]
