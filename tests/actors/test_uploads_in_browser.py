"""Every way for files to come in, in a real browser: drop, paste, folder, ZIP, and straight to S3."""

from __future__ import annotations

import base64
import re
import zipfile
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from playwright.sync_api import Page, Request, Route, expect
from pytest_django.fixtures import Settings as SettingsWrapper
from pytest_django.live_server_helper import LiveServer

from actors import storage
from actors.models import Actor, TrainingDataset
from tests.actors.browsing import make_files, open_dataset
from tests.actors.pictures import as_bytes, portrait
from tests.conftest import use_s3
from tests.factories import make_actor
from tests.s3_server import serve_s3

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _room(media: Path, tasks_at_once: None) -> None:
    """Files of this test only; tasks run in the call that queues them."""


@pytest.fixture
def actor(transactional_db: None) -> Actor:
    actor = make_actor(images=0)
    TrainingDataset.objects.filter(actor=actor).update(kind=TrainingDataset.Kind.DRAWN)
    return actor


def drop(page: Page, *paths: Path) -> None:
    """As a person drags files from a file manager onto the page."""
    mouse = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        mouse.send("Input.dispatchDragEvent", {"type": kind, "x": 500, "y": 500, "data": data})


def expect_images(page: Page, actor: Actor, *names: str) -> None:
    expect(page.locator("#thumbs img")).to_have_count(len(names), timeout=60_000)
    images = actor.dataset.images.all()
    assert sorted(image.file_name for image in images) == sorted(names)
    assert all(image.inspected_at and image.has_thumbnail for image in images)


def test_files_are_dropped(signed_in_page: Page, actor: Actor, tmp_path: Path) -> None:
    open_dataset(signed_in_page, actor)
    drop(signed_in_page, *make_files(tmp_path / "files", 3))
    expect(signed_in_page.locator("#uploads-sum")).to_have_text("3 of 3 finished")
    expect_images(signed_in_page, actor, "00.png", "01.png", "02.png")


def test_a_folder_with_folders_in_it_is_dropped(signed_in_page: Page, actor: Actor, tmp_path: Path) -> None:
    make_files(tmp_path / "anna", 2)
    (tmp_path / "anna" / "notes.doc").write_text("no picture")
    (tmp_path / "anna" / "more").mkdir()
    (tmp_path / "anna" / "more" / "deep.png").write_bytes(as_bytes(portrait(5)))
    open_dataset(signed_in_page, actor)
    drop(signed_in_page, tmp_path / "anna")
    expect_images(signed_in_page, actor, "00.png", "01.png", "deep.png")


def test_a_folder_is_chosen(signed_in_page: Page, actor: Actor, tmp_path: Path) -> None:
    make_files(tmp_path / "anna", 2)
    (tmp_path / "anna" / "notes.doc").write_text("no picture")
    open_dataset(signed_in_page, actor)
    signed_in_page.get_by_role("button", name="Add images").click()
    signed_in_page.get_by_label("Folder", exact=True).set_input_files(tmp_path / "anna")
    expect_images(signed_in_page, actor, "00.png", "01.png")


def test_a_zip_is_dropped_with_captions(signed_in_page: Page, actor: Actor, tmp_path: Path) -> None:
    one, two = make_files(tmp_path / "files", 2)
    with zipfile.ZipFile(tmp_path / "anna.zip", "w") as archive:
        archive.write(one, "anna/00.png")
        archive.writestr("anna/00.txt", "portrait, in the rain")
        archive.write(two, "anna/01.png")
        archive.writestr("anna/page.svg", "<svg/>")
    open_dataset(signed_in_page, actor)
    drop(signed_in_page, tmp_path / "anna.zip")
    expect(signed_in_page.locator("#uploads-list")).to_contain_text(
        "2 images added, 1 refused: page.svg: neither a picture nor a caption."
    )
    expect_images(signed_in_page, actor, "00.png", "01.png")
    assert actor.dataset.images.get(file_name="00.png").caption == "portrait, in the rain"


def test_a_picture_is_pasted(signed_in_page: Page, actor: Actor) -> None:
    page = signed_in_page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_dataset(page, actor)
    picture = base64.b64encode(as_bytes(portrait(6))).decode()
    page.evaluate(
        """async (content) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const picture = new Blob([bytes], { type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
        }""",
        picture,
    )
    page.keyboard.press("Control+V")
    expect(page.locator("#thumbs img")).to_have_count(1)
    image = actor.dataset.images.get()
    assert re.fullmatch(r"pasted \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.png", image.file_name)
    assert (image.width, image.height) == (512, 512)


def test_the_browser_sends_straight_to_s3_by_a_signed_link(
    signed_in_page: Page,
    actor: Actor,
    tmp_path: Path,
    live_server: LiveServer,
    settings: SettingsWrapper,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real store with real CORS: the page's origin is allowed, and its Content Security Policy names it."""
    page = signed_in_page
    uploads: list[str] = []

    def note(request: Request) -> None:
        if request.method == "PUT":
            uploads.append(request.url)

    page.on("request", note)
    with serve_s3(tmp_path / "s3", origin=live_server.url) as server:
        use_s3(server, settings, monkeypatch)
        directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
        allowed = {name: [*directives[name], server.url] for name in ("img-src", "connect-src")}
        settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives | allowed}
        open_dataset(page, actor)
        drop(page, *make_files(tmp_path / "files", 4))
        expect_images(page, actor, "00.png", "01.png", "02.png", "03.png")
        assert len(uploads) == 4
        assert all(url.startswith(f"{server.url}/{server.bucket}/incoming/") for url in uploads)
        image = actor.dataset.images.all()[0]
        assert storage.size(image.url) == image.size_bytes
        loaded = page.locator("#thumbs img").first.evaluate("image => image.complete && image.naturalWidth")
        assert loaded == 480, "thumbnails come from the store as well"
        assert not list(server.folder.glob("incoming/*"))


def test_a_store_that_lacks_the_rule_is_no_silent_failure(
    other_page: Page,
    actor: Actor,
    tmp_path: Path,
    settings: SettingsWrapper,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = other_page  # the browser's own complaint is what this is about
    with serve_s3(tmp_path / "s3") as server:
        use_s3(server, settings, monkeypatch)
        directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
        allowed = {"connect-src": [*directives["connect-src"], server.url]}
        settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives | allowed}
        open_dataset(page, actor)
        drop(page, *make_files(tmp_path / "files", 1))
        expect(page.locator("#uploads-list")).to_contain_text("Trying again")
        expect(page.locator("#uploads-list")).to_contain_text("allow PUT from this site")
        page.goto("about:blank")  # it would go on trying while the settings change back


def test_several_files_go_at_once_and_each_shows_its_progress(
    signed_in_page: Page, actor: Actor, tmp_path: Path
) -> None:
    page = signed_in_page
    held: list[Route] = []

    def hold(route: Route) -> None:
        if len(held) < 4:
            held.append(route)
        else:
            route.continue_()

    page.route("**/files/incoming/**", hold)
    open_dataset(page, actor)
    drop(page, *make_files(tmp_path / "files", 5))
    for _ in range(100):
        page.wait_for_timeout(100)
        if len(held) == 3:
            break
    page.wait_for_timeout(300)
    assert len(held) == 3, "three at once, the others wait"
    for number in range(5):
        expect(page.get_by_role("progressbar", name=f"Upload of 0{number}.png")).to_be_visible()
    expect(page.locator("#uploads-sum")).to_have_text("0 of 5 finished")
    for route in held:
        route.continue_()
    held += held  # nothing more is held
    expect(page.locator("#uploads-sum")).to_have_text("5 of 5 finished")
    expect_images(page, actor, *(f"0{number}.png" for number in range(5)))


def test_a_folder_of_the_bucket_is_imported_by_its_name(signed_in_page: Page, actor: Actor) -> None:
    for number in range(2):
        storage.save(f"scans/anna/{number}.png", ContentFile(as_bytes(portrait(number))))
    page = signed_in_page
    open_dataset(page, actor)
    page.get_by_role("button", name="Add images").click()
    page.get_by_label("By URL, or a folder of the bucket; one a line").fill("scans/anna/")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("2 new images in scans/anna/.")).to_be_visible()
    expect_images(page, actor, "0.png", "1.png")
