"""The main use of each page on a phone: 390 pixels wide, by touch alone, with nothing beside the screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from actors import arrivals
from actors.permissions import ensure_roles
from tests.actors.browsing import make_files
from tests.factories import make_actor, make_drawn_actor, make_version
from tests.signing_in import let_in
from tests.training.batch_steps import look_at_all
from tests.training.previewing import make_drawable
from training.models import Batch, Preset, Preview, PromptSet, SampleImage, Status, TrainingVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
#: Within the page: a question from outside may meet one that is already leaving.
TELL_WIDTH = """addEventListener("load", () => {
  const wider = document.documentElement.scrollWidth - innerWidth;
  if (wider > 0) throw Error(`${location} is ${wider} px too wide`);
});"""


@pytest.fixture
def phone(
    browser: Browser, live_server: LiveServer, quiet_end: None, admin_user: User, media: Path
) -> Iterator[Page]:
    """A signed-in phone. Its console must stay silent, and no page it has seen may be wider than it."""
    ensure_roles()
    complaints: list[str] = []
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    context.add_init_script(TELL_WIDTH)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    let_in(context, live_server.url, admin_user)
    page.goto("/actors/")
    yield page
    context.close()
    assert complaints == []


def dock(page: Page, name: str) -> None:
    """One of the places at the thumb."""
    page.get_by_role("navigation", name="Main, phone").get_by_text(name, exact=True).tap()


def test_from_the_library_to_a_training_that_is_cancelled_and_tried_again(phone: Page) -> None:
    actor = make_actor(sex="male")
    make_actor(sex="female")
    phone.reload()
    phone.get_by_role("button", name="Filters").tap()
    phone.get_by_role("checkbox", name=re.compile("^Male")).tap()
    phone.get_by_role("button", name="Show 1 actor", exact=True).tap()
    expect(phone.locator(".poster")).to_have_count(1)
    phone.locator(".poster a").tap()
    phone.get_by_label(re.compile("^Steps max_train")).fill("220")
    phone.get_by_role("button", name="Start V1").tap()
    phone.wait_for_url(re.compile(r"/trainings/\d+/"))
    phone.get_by_role("button", name="Cancel training").tap()
    phone.get_by_role("dialog").get_by_role("button", name="Cancel training").tap()
    expect(phone.locator(".live-head")).to_contain_text("Cancelled")
    dock(phone, "Activity")
    phone.get_by_role("link", name=re.compile(f"^{actor.number}")).tap()
    phone.get_by_role("button", name="Try again").tap()
    expect(phone.locator(".live-head")).to_contain_text("V2")
    assert TrainingVersion.objects.filter(actor=actor, max_train_steps=220).count() == 2


def test_a_training_is_watched_judged_and_used(phone: Page) -> None:
    version = make_version(status=Status.TRAINING, stage="training", step=40, max_train_steps=400)
    other = make_version(version.actor)
    for each in (version, other):
        for step in (0, 80):
            SampleImage.objects.create(
                version=each, step=step, prompt_index=0, prompt="calm", url="s3://local/x.png"
            )
    phone.goto(version.get_absolute_url())
    phone.locator("a[data-sample]").first.tap()
    expect(phone.get_by_role("dialog", name="Sample")).to_contain_text("step 80")
    phone.get_by_role("button", name="Strip below").tap()
    expect(phone.get_by_role("dialog", name="Sample")).to_contain_text("step 0")
    phone.get_by_role("button", name="Close").last.tap()
    version.complete("https://b.s3.us-east-1.amazonaws.com/x.safetensors")
    expect(phone.get_by_role("button", name="Mark good", exact=True)).to_be_visible()
    phone.goto(f"/actors/{version.actor_id}/versions")
    for each in (version, other):
        phone.get_by_label(f"Compare {each.name}").tap()
    phone.get_by_role("button", name="Compare", exact=True).tap()
    phone.get_by_label(re.compile("^Which one is good")).fill("calmer light")
    phone.get_by_role("button", name="Mark V2 good").tap()
    expect(phone.get_by_text("V2 is the good version now")).to_be_visible()
    phone.get_by_role("link", name="Use it").tap()
    expect(phone.get_by_role("heading", name="Stable address")).to_be_visible()
    phone.get_by_role("link", name="History").tap()
    expect(phone.get_by_text("calmer light").first).to_be_visible()


def test_a_batch_is_planned_for_a_selection_and_begun(phone: Page) -> None:
    actor = make_actor()
    phone.reload()
    phone.get_by_label(f"Select {actor.number}").tap()
    phone.get_by_role("form", name="Selection").get_by_role("button", name="Plan a batch").tap()
    phone.wait_for_url(re.compile(r"/batches/\d+/"))
    assert list(Batch.objects.get().planning.chosen) == [actor.pk]
    look_at_all()
    phone.get_by_role("button", name="Begin with 1 actor").tap()
    phone.get_by_role("dialog").get_by_role("button", name="Begin").tap()
    expect(phone.get_by_text("0 of 1 actor looked at")).to_be_visible()
    look_at_all()
    expect(phone.get_by_text("0 of 1 completed")).to_be_visible()


def test_an_image_is_left_out_and_another_gets_a_caption(phone: Page) -> None:
    dataset = make_drawn_actor(images=2).dataset
    first, second = dataset.images.order_by("position")
    phone.goto(f"/actors/{dataset.actor_id}/dataset")
    phone.get_by_role("button", name="Use image 1").tap()
    expect(phone.get_by_role("button", name="Use image 1")).to_have_text("Left out")
    phone.locator(f"#image-{second.pk} a.film").tap()
    phone.get_by_label("Caption").fill("portrait, looking left")
    phone.get_by_role("button", name="Save").tap()
    expect(phone.locator(f"#image-{second.pk}")).to_contain_text("portrait, looking left")
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.included, second.included, second.caption) == (False, True, "portrait, looking left")


def test_images_are_taken_from_the_phone(
    phone: Page, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "async_task", lambda *_, **__: None)  # nobody looks at them here
    actor = make_actor(images=0)
    phone.goto(f"/actors/{actor.pk}/")
    phone.locator("#next").get_by_role("link", name="Add images").tap()
    phone.wait_for_url(
        "**/dataset#add-images"
    )  # loaded with its scripts; before that, the button "Upload" sends
    phone.get_by_label("Files").set_input_files(make_files(tmp_path, 2))
    expect(phone.locator("#thumbs .thumb")).to_have_count(2)
    assert actor.dataset.images.count() == 2


def test_figures_lead_to_their_rows_and_a_failure_to_its_training(phone: Page) -> None:
    failed = make_version(status=Status.FAILED, error="Out of memory", finished_at=timezone.now())
    dock(phone, "Dashboard")
    failures = phone.get_by_role("region", name="Failures")
    failures.get_by_role("link", name="1", exact=True).tap()
    phone.wait_for_url(re.compile(r"/activity/\?"))
    phone.get_by_role("link", name=re.compile(f"^{failed.actor.number}")).tap()
    expect(phone.locator(".live-head")).to_contain_text("Failed")


def test_a_preview_is_ordered_and_a_prompt_set_made(phone: Page) -> None:
    version = make_drawable()
    phone.goto(f"/trainings/{version.pk}/previews")
    phone.get_by_label("Your own prompt").fill("portrait of {trigger}, laughing")
    phone.get_by_label("Prompts").select_option(label="A prompt of your own")
    phone.get_by_role("button", name="Draw", exact=True).tap()
    phone.wait_for_url("**/previews/*/")
    assert Preview.objects.get().title == "portrait of {trigger}, laughing"
    phone.goto("/prompt-sets/")
    phone.get_by_role("link", name="New set").tap()
    phone.get_by_label("Name").fill("Night scenes")
    phone.get_by_label("Prompts").fill("portrait of {trigger}, at night")
    phone.get_by_role("button", name="Make the set").tap()
    expect(phone.get_by_role("alert")).to_have_count(0)
    assert PromptSet.objects.filter(name="Night scenes").exists()


def test_rights_budgets_presets_and_the_account(phone: Page) -> None:
    actor = make_actor()
    phone.goto(f"/actors/{actor.pk}/rights")
    phone.get_by_label("Basis").select_option("consent")
    phone.get_by_label("Reference").fill("Folder 7, page 3")
    phone.get_by_role("button", name="Record").tap()
    expect(phone.get_by_text("The rights are recorded.")).to_be_visible()
    dock(phone, "You")
    phone.get_by_role("link", name="Budgets").tap()
    phone.get_by_label("Dollars a month").fill("50")
    phone.get_by_role("button", name="Set the ceiling").tap()
    expect(phone.get_by_text("Changed: the budget of everybody.")).to_be_visible()
    phone.goto("/presets/quick")
    phone.get_by_label("Steps ×").fill("0.4")
    phone.get_by_role("button", name="Save as revision 2").tap()
    expect(phone.get_by_role("heading", name="Revision 2")).to_be_visible()
    assert Preset.objects.get(name="quick").current().steps == 0.4
    dock(phone, "Dashboard")
    expect(phone.get_by_role("heading", level=1)).to_contain_text("1 actor")
    dock(phone, "You")
    phone.get_by_role("link", name="Access tokens").tap()
    phone.get_by_label("Name").fill("nightly export")
    phone.get_by_role("button", name="Make the token").tap()
    expect(phone.locator("#token")).to_have_value(re.compile("^at_"))
    dock(phone, "You")
    phone.get_by_role("button", name="Sign out").tap()
    phone.get_by_label(re.compile("^Username")).fill("admin")
    phone.get_by_label("Password", exact=True).fill("password")
    phone.get_by_role("button", name="Sign in").tap()
    expect(phone.get_by_role("heading", name="Library")).to_be_visible()
