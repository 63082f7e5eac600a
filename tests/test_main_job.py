"""From sign-in to ``actors.json`` and previews, by clicking only: real site, endpoint, training, pictures."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests import main_job
from tests.started_site import started

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(900)]


def test_an_actor_gets_a_good_version_and_its_previews_by_clicking_only(
    tmp_path: Path, prepared: Path, browser: Browser
) -> None:
    """One training serves both halves: it is the dearest thing in the suite."""
    shutil.copytree(prepared, tmp_path / "var")
    with started(tmp_path, "main_job", ACTORTRAIN_ADMIN_PASSWORD="click click click") as site:
        page = main_job.open_site(browser, site, "click click click")
        main_job.choose_actor(page, "0000")
        main_job.auto_adjust(page, "Quick: a first look")
        main_job.set_parameter(page, "Warm-up", "5")
        main_job.set_parameter(page, "Steps", "25")
        main_job.start_training(page)
        main_job.wait_until_training(page)
        main_job.wait_until_completed(page)
        training = page.url
        main_job.mark_good(page, "the mohawk holds")
        the_registry_tells_the_good_version(page)

        page.goto(training)
        page.get_by_role("link", name="All previews").click()
        previews = page.url
        the_standard_set_was_drawn_by_itself(page)
        page.goto(previews)
        a_grid_is_drawn_as_ordered(page)


def the_registry_tells_the_good_version(page: Page) -> None:
    actors = page.request.get("/actors.json").json()
    validated = actors[0]["validated_lora_model"]
    assert set(validated) == {"version_id", "version_name", "lora_url", "marked_at", "parameters"}
    assert validated["version_name"] == "V1"
    assert validated["parameters"]["max_train_steps"] == 25
    assert [actor.get("validated_lora_model") for actor in actors[1:]] == [None, None]

    lora = page.request.get(validated["lora_url"]).body()
    assert int.from_bytes(lora[:8], "little") < len(lora)  # the length of a safetensors header
    assert b"0000_european_34_female" in lora[:20_000]


def the_standard_set_was_drawn_by_itself(page: Page) -> None:
    """Ordered with the completion, nobody asked for it."""
    page.get_by_role("link", name="Standard: drawn portraits").click()
    expect(page.locator(".preview-state .state")).to_contain_text("Done", timeout=main_job.PATIENCE)
    expect(page.locator(".strip a.frame img")).to_have_count(16)


def a_grid_is_drawn_as_ordered(page: Page) -> None:
    """Strength × checkpoint at one seed."""
    page.get_by_label("Prompts").select_option(label="A prompt of your own")
    page.get_by_label("Your own prompt").fill("portrait of {trigger}, smiling, red shirt, looking ahead")
    page.get_by_label("Seed").fill("77")
    page.get_by_label("Strength", exact=True).fill("0, 0.5, 1")
    page.get_by_label("Drawing steps").fill("6")
    page.get_by_label("step 10").check()
    page.get_by_role("button", name="Draw").click()
    expect(page.locator(".preview-state .state")).to_contain_text("Done", timeout=main_job.PATIENCE)

    # Two rows of checkpoints, three columns of strengths; the base alone is one picture in both rows.
    expect(page.locator(".strip.film")).to_have_count(2)
    links = [link.get_attribute("href") or "" for link in page.locator(".strip a.frame").all()]
    assert len(links) == 6
    drawn = [picture(page, link) for link in links]
    notes = [image.info for image in drawn]
    assert [note["strength"] for note in notes] == ["0", "0.5", "1"] * 2
    assert [note["version"] for note in notes] == ["base alone", "V1", "V1"] * 2
    assert [note.get("training_step") for note in notes] == [None, "25", "25", None, "10", "10"]
    assert {(note["seed"], note["steps"]) for note in notes} == {("77", "6")}
    assert re.fullmatch(r"portrait of 0000_\w+, smiling, red shirt, looking ahead", notes[0]["prompt"])
    assert len({image.tobytes() for image in drawn}) == 5

    # Large in the viewer, and by the arrow keys.
    page.locator(".strip a.frame").first.click()
    expect(page.get_by_role("dialog", name="Sample")).to_contain_text("the base alone, seed 77")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="Sample")).to_contain_text("V1, strength 0.5, seed 77")


def picture(page: Page, link: str) -> Image.Image:
    """A picture with its notes."""
    image = Image.open(io.BytesIO(page.request.get(link).body()))
    image.load()
    return image
