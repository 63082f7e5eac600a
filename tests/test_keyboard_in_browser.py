"""The main use of each page by the keyboard alone, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browsing import press, tab_to
from tests.factories import make_actor, make_version
from tests.training.batch_steps import look_at_all
from training.models import PromptSet, SampleImage, Status, TrainingVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def test_signing_in_and_skipping_to_the_content(page: Page, admin_user: object) -> None:
    page.goto("/")
    tab_to(page, page.get_by_label(re.compile("^Username")))
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type("password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    press(page, page.get_by_role("link", name="Skip to content"))
    page.wait_for_url(re.compile("#main$"))


def test_filters_sort_and_view_of_the_library(signed_in_page: Page) -> None:
    page = signed_in_page
    make_actor(sex="male", age=61)
    make_actor(sex="female")
    page.goto("/actors/")
    press(page, page.locator("input[name=sex][value=male]"), "Space")
    expect(page.locator(".poster")).to_have_count(1)
    press(page, page.get_by_role("link", name=re.compile("Sex Male")))
    expect(page.locator(".poster")).to_have_count(2)
    press(page, page.get_by_role("link", name="Table"))
    expect(page.locator("#sheet tr")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/actors/\d+/$"))


def test_a_training_is_set_up_and_started(signed_in_page: Page) -> None:
    page = signed_in_page
    page.goto(f"/actors/{make_actor().pk}/")
    tab_to(page, page.get_by_label(re.compile("^Steps max_train")))
    page.keyboard.press("Control+a")
    page.keyboard.type("220")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Draft saved")).to_be_visible()
    press(page, page.get_by_role("button", name="Guidelines"))
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    press(page, page.get_by_role("button", name="Start V1"))
    page.wait_for_url(re.compile(r"/trainings/\d+/"))
    assert TrainingVersion.objects.get().max_train_steps == 220


def test_a_training_is_watched_and_cancelled_while_it_moves(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version(status=Status.QUEUED)
    page.goto(version.get_absolute_url())
    press(page, page.get_by_role("button", name="Cancel training"))
    dialog = page.get_by_role("dialog", name=re.compile("^Cancel"))
    expect(page.get_by_role("button", name="Go on training")).to_be_focused()
    # An update of the page meanwhile closes nothing and takes no focus away.
    version.mark_training(stage="training", step=30)
    expect(page.locator(".stepno")).to_contain_text("30")
    expect(page.get_by_role("button", name="Go on training")).to_be_focused()
    expect(page.get_by_role("button", name="Tell me at the end")).to_be_visible()
    press(page, dialog.get_by_role("button", name="Cancel training"))
    expect(page.locator(".live-head")).to_contain_text("Cancelled")


def test_the_console_is_filtered_and_scrolled(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version(status=Status.TRAINING, step=20, stage="training")
    for line in range(60):
        version.note(f"Line {line}")
    page.goto(version.get_absolute_url())
    tab_to(page, page.get_by_label("Lines that hold"))
    page.keyboard.type("line 59")
    expect(page.locator("#console li:visible")).to_have_count(1)
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    press(page, page.get_by_label("Follow"), "Space")
    tab_to(page, page.locator("#console"))
    page.keyboard.press("Home")
    expect(page.get_by_text("Line 0", exact=True)).to_be_in_viewport()
    version.note("The newest line")
    expect(page.locator("#console")).to_contain_text("The newest line")
    expect(page.get_by_text("Line 0", exact=True)).to_be_in_viewport()
    expect(page.locator("#console")).to_be_focused()


def test_samples_open_large_and_a_version_is_marked_good(signed_in_page: Page, media: Path) -> None:
    page = signed_in_page
    version = make_version()
    for index in (0, 1):
        SampleImage.objects.create(
            version=version, step=80, prompt_index=index, prompt=f"prompt {index}", url="s3://local/x.png"
        )
    page.goto(version.get_absolute_url())
    press(page, page.locator("a[data-sample]").first)
    expect(page.get_by_role("dialog", name="Sample")).to_contain_text("prompt 0")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="Sample")).to_contain_text("prompt 1")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    press(page, page.get_by_role("button", name="Mark good", exact=True))
    tab_to(page, page.get_by_label(re.compile("^Why")))
    page.keyboard.type("likeness holds")
    press(page, page.get_by_role("button", name=f"Mark {version.name} good"))
    expect(page.get_by_text("is the good version now")).to_be_visible()
    press(page, page.get_by_role("button", name="Undo"))
    expect(page.get_by_text("is no longer the good version")).to_be_visible()


def test_versions_are_compared_and_one_is_chosen(signed_in_page: Page) -> None:
    page = signed_in_page
    first = make_version()
    second = make_version(first.actor)
    for version in (first, second):
        for step in (0, 80):
            SampleImage.objects.create(
                version=version, step=step, prompt_index=0, prompt="calm", url="s3://local/x.png"
            )
    page.goto(f"/actors/{first.actor_id}/versions")
    button = page.get_by_role("button", name="Compare", exact=True)
    for version in (second, first):
        press(page, page.get_by_label(f"Compare {version.name}"), "Space")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    press(page, button)
    tab_to(page, page.get_by_label(re.compile("^Which one is good")))
    page.keyboard.type("calmer light")
    press(page, page.get_by_role("button", name="Mark V2 good"))
    expect(page.get_by_text("V2 is the good version now")).to_be_visible()
    press(page, page.get_by_label("Step of the samples"), "Home")
    expect(page.locator("#parts [aria-current]")).to_have_text("Base")
    press(page, page.get_by_role("link", name="Log"))
    page.wait_for_url(re.compile("scale=log"))
    assert "part=0" in page.url
    second.refresh_from_db()
    assert second.good_reason == "calmer light"


def test_a_batch_is_planned_and_begun(signed_in_page: Page) -> None:
    page = signed_in_page
    make_actor()
    page.goto("/batches/new")
    press(page, page.get_by_role("button", name="Plan for this one").first)
    page.wait_for_url(re.compile(r"/batches/\d+/"))
    look_at_all()
    press(page, page.get_by_role("button", name="Begin with 1 actor"))
    expect(page.get_by_role("dialog").locator(":focus")).to_be_visible()
    press(page, page.get_by_role("dialog").get_by_role("button", name="Begin"))
    expect(page.get_by_text("0 of 1 actor looked at")).to_be_visible()
    look_at_all()
    expect(page.get_by_text("0 of 1 completed")).to_be_visible()
    press(page, page.get_by_role("button", name="Pause"))
    expect(page.get_by_role("button", name="Go on")).to_be_visible()


def test_activity_is_filtered_and_a_failure_tried_again(signed_in_page: Page) -> None:
    page = signed_in_page
    failed = make_version(status=Status.FAILED, error="Out of memory.")
    make_version(status=Status.COMPLETED)
    page.goto("/activity/")
    press(page, page.get_by_role("link", name="Failed"))
    page.wait_for_url(re.compile("status=failed"))
    press(page, page.get_by_role("button", name=re.compile("again$")))
    page.wait_for_url(re.compile(r"/trainings/\d+/"))
    assert TrainingVersion.objects.filter(repeats=failed).exists()


def test_the_snippets_are_copied(signed_in_page: Page) -> None:
    page = signed_in_page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    good = make_version(base_model="black-forest-labs/FLUX.1-dev")
    good.mark_good()
    page.goto(f"/actors/{good.actor_id}/use")
    press(page, page.get_by_role("button", name="Copy the ComfyUI snippet"))
    expect(page.get_by_text("Copied")).to_be_visible()
    assert '"LoraLoaderModelOnly"' in page.evaluate("navigator.clipboard.readText()")


def test_a_token_is_made_and_revoked_after_a_question(signed_in_page: Page) -> None:
    page = signed_in_page
    page.goto("/account/tokens")
    tab_to(page, page.get_by_label("Name"))
    page.keyboard.type("nightly export")
    press(page, page.get_by_role("button", name="Make the token"))
    press(page, page.get_by_role("button", name="Revoke nightly export"))
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    press(page, page.get_by_role("dialog").get_by_role("button", name="Revoke"))
    expect(page.get_by_text("You have none yet.")).to_be_visible()


def test_rights_a_budget_a_preset_and_a_prompt_set_are_written(signed_in_page: Page) -> None:
    page = signed_in_page
    actor = make_actor()
    page.goto(f"/actors/{actor.pk}/rights")
    tab_to(page, page.get_by_label("Basis"))
    page.keyboard.press("ArrowDown")
    tab_to(page, page.get_by_label("Reference"))
    page.keyboard.type("Folder 7, page 3")
    press(page, page.get_by_role("button", name="Record"))
    expect(page.get_by_text("The rights are recorded.")).to_be_visible()
    page.goto("/budgets/")
    tab_to(page, page.get_by_label("Dollars a month"))
    page.keyboard.type("50")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Changed: the budget of everybody.")).to_be_visible()
    page.goto("/presets/quick")
    tab_to(page, page.get_by_label("Steps ×"))
    page.keyboard.press("Control+a")
    page.keyboard.type("0.4")
    press(page, page.get_by_role("button", name="Save as revision 2"))
    expect(page.get_by_role("heading", name="Revision 2")).to_be_visible()
    page.goto("/prompt-sets/new")
    tab_to(page, page.get_by_label("Name"))
    page.keyboard.type("Night scenes")
    tab_to(page, page.get_by_label("Prompts"))
    page.keyboard.type("portrait of {trigger}, at night")
    press(page, page.get_by_role("button", name="Make the set"))
    page.wait_for_url(re.compile(r"/prompt-sets/(\d+)?$"))
    assert PromptSet.objects.filter(name="Night scenes").exists()


def test_the_loss_is_read_in_both_scales_and_the_console_is_kept(signed_in_page: Page) -> None:
    page = signed_in_page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    version = make_version(loss_history=[[1, 0.9], [40, 0.5], [80, 0.4]])
    version.note("A line to keep")
    page.goto(version.get_absolute_url())
    press(page, page.get_by_role("button", name="Copy", exact=True))
    expect(page.get_by_text("Copied")).to_be_visible()
    assert "A line to keep" in page.evaluate("navigator.clipboard.readText()")
    tab_to(page, page.get_by_role("link", name="Download", exact=True))
    with page.expect_download() as kept:
        page.keyboard.press("Enter")
    assert "A line to keep" in kept.value.path().read_text()
    press(page, page.get_by_role("link", name="Log", exact=True))
    page.wait_for_url(re.compile("scale=log"))
    expect(page.locator("#scale-log")).to_have_attribute("aria-current", "true")
    expect(page.locator("#loss .raw")).to_have_count(2)  # one of them in the key
    expect(page.locator("#loss .line")).to_have_count(2)
    chart, value = page.locator("#loss-chart"), page.locator("#loss .probe text")
    tab_to(page, chart)
    for key, step in (("ArrowLeft", 80), ("ArrowLeft", 40), ("Home", 1), ("ArrowLeft", 1), ("End", 80)):
        page.keyboard.press(key)
        expect(value).to_have_text(re.compile(rf"^{step}: 0\.\d+$"))
    page.keyboard.press("Tab")
    expect(value).to_have_count(0)
    chart.hover()
    expect(value).to_have_text(re.compile(r"^\d+: 0\.\d+$"))
