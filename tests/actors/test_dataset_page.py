"""The dataset page in a real browser: thirty files over a connection that breaks, and the keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from actors import edits, storage
from actors.models import Actor, TrainingDataset
from tests.actors.browsing import fill, make_files, open_dataset
from tests.factories import make_actor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _room(media: Path, tasks_at_once: None) -> None:
    """Files of this test only; tasks run in the call that queues them."""


@pytest.fixture
def actor(transactional_db: None) -> Actor:
    actor = make_actor(images=0)
    TrainingDataset.objects.filter(actor=actor).update(kind=TrainingDataset.Kind.DRAWN)
    return actor


def test_thirty_files_survive_a_lost_connection_and_a_reload(
    signed_in_page: Page, actor: Actor, tmp_path: Path
) -> None:
    page = signed_in_page
    open_dataset(page, actor)
    broken = {"down": False, "sent": 0}

    def pass_on(route: Route) -> None:
        if route.request.method == "PUT":
            broken["sent"] += 1
            if broken["sent"] == 8:
                broken["down"] = True
        if broken["down"]:
            route.abort("connectionreset")
        else:
            route.fallback()

    page.route("**/dataset/start", pass_on)
    page.route("**/files/incoming/**", pass_on)
    page.route("**/finish", pass_on)
    page.get_by_role("button", name="Add images").click()
    page.get_by_label("Files").set_input_files(make_files(tmp_path, 30))
    expect(page.get_by_text("Trying again").first).to_be_visible(timeout=60_000)
    assert 0 < actor.dataset.images.count() < 30
    page.reload()
    expect(page.get_by_text("Trying again").first).to_be_visible()
    broken["down"] = False
    page.get_by_role("button", name="Try again now").click()
    expect(page.locator("#thumbs .thumb")).to_have_count(30, timeout=60_000)
    expect(page.locator("#thumbs img")).to_have_count(30, timeout=60_000)
    images = list(actor.dataset.images.all())
    assert len({image.sha256 for image in images}) == 30
    assert all(image.inspected_at and image.has_thumbnail for image in images)
    page.reload()
    expect(page.locator("#uploads")).to_be_hidden()


def test_refused_and_known_files_say_why(signed_in_page: Page, actor: Actor, tmp_path: Path) -> None:
    fill(actor, 1)
    page = signed_in_page
    (tmp_path / "page.png").write_bytes(b"<!doctype html><script>document.title = 'run'</script>")
    (tmp_path / "again.png").write_bytes(storage_bytes(actor))
    open_dataset(page, actor)
    page.get_by_role("button", name="Add images").click()
    page.get_by_label("Files").set_input_files([tmp_path / "page.png", tmp_path / "again.png"])
    expect(page.get_by_text("Refused: The file holds a web page")).to_be_visible()
    expect(
        page.get_by_text("Already here: The dataset holds this picture already, as 0.png.")
    ).to_be_visible()


def storage_bytes(actor: Actor) -> bytes:
    with storage.opened(actor.dataset.images.get().url, 10**7) as file:
        return file.read()


def test_the_keyboard_includes_excludes_and_writes_captions(signed_in_page: Page, actor: Actor) -> None:
    fill(actor, 3)
    page = signed_in_page
    open_dataset(page, actor)
    page.locator("#thumbs a[data-item]").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("#thumbs .thumb").first.get_by_text("Left out")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("c")
    caption = page.get_by_role("textbox", name="Caption of image 2")
    expect(caption).to_be_focused()
    caption.fill("portrait, in the rain")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("portrait, in the rain")).to_be_visible()
    assert [image.included for image in actor.dataset.images.all()] == [False, True, True]
    page.get_by_role("button", name="Undo").click()
    page.wait_for_load_state()
    assert "rain" not in actor.dataset.images.all()[1].caption


def test_two_people_do_not_overwrite_each_other(signed_in_page: Page, actor: Actor) -> None:
    fill(actor, 2)
    page = signed_in_page
    open_dataset(page, actor)
    page.locator("#thumbs [data-caption]").first.click()
    mine = page.get_by_role("textbox", name="Caption of image 1")
    mine.fill("my words")
    first = actor.dataset.images.all()[0]
    edits.change(actor.dataset, {first.pk: {"caption": "their words"}}, "caption")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("“their words”")
    expect(page.get_by_role("textbox", name="Caption of image 1")).to_have_value("my words")
    first.refresh_from_db()
    assert first.caption == "their words"
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    first.refresh_from_db()
    assert first.caption == "my words"


def test_the_page_loads_thumbnails_only(signed_in_page: Page, actor: Actor) -> None:
    fill(actor, 4)
    page = signed_in_page
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    open_dataset(page, actor)
    expect(page.locator("#thumbs img")).to_have_count(4)
    page.wait_for_load_state("networkidle")
    assert any("/files/thumbs/" in url for url in loaded)
    assert not any(f"/files/actors/{actor.pk}/images/" in url for url in loaded)


@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_has_no_accessibility_violations(signed_in_page: Page, actor: Actor, width: int) -> None:
    fill(actor, 4)
    actor.dataset.images.filter(file_name="1.png").update(
        findings=[{"code": "blurred", "level": "error", "message": "Sharpness 3."}]
    )
    page = signed_in_page
    page.set_viewport_size({"width": width, "height": 900})
    open_dataset(page, actor)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
