"""Curating a dataset in a real browser, alone and with somebody else at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from actors import ingest, tasks
from actors.models import Actor, TrainingDataset
from tests.actors.browsing import fill, open_dataset
from tests.actors.pictures import as_file, portrait
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


def names(actor: Actor) -> list[str]:
    return [image.file_name for image in actor.dataset.images.all()]


def shown(page: Page) -> list[str]:
    return [each.get_attribute("data-image") or "" for each in page.locator("#thumbs .thumb").all()]


def test_the_kind_of_the_images_is_changed_by_a_form_and_undone(signed_in_page: Page, actor: Actor) -> None:
    fill(actor, 2)
    page = signed_in_page
    open_dataset(page, actor)
    expect(page.get_by_text("The images are drawn: faces are not checked")).to_be_visible()
    page.get_by_label("These images are").select_option("photographs")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("button", name="Undo: The images are photographs")).to_be_visible()
    expect(page.get_by_text("The images are drawn: faces are not checked")).to_have_count(0)
    assert TrainingDataset.objects.get(actor=actor).kind == "photographs"
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("The images are drawn: faces are not checked")).to_be_visible()
    assert TrainingDataset.objects.get(actor=actor).kind == "drawn"


def test_a_crop_hint_is_dragged_moved_resized_and_typed(signed_in_page: Page, actor: Actor) -> None:
    fill(actor, 1)
    image = actor.dataset.images.get()
    page = signed_in_page
    page.goto(f"/actors/{actor.pk}/images/{image.pk}")
    area = page.locator("#crop-hint").bounding_box()
    assert area

    def drag(one: tuple[float, float], other: tuple[float, float]) -> None:
        for (x, y), do in ((one, page.mouse.down), (other, page.mouse.up)):
            page.mouse.move(area["x"] + area["width"] * x, area["y"] + area["height"] * y, steps=4)
            do()

    def crop() -> list[float]:
        return [float(part) for part in page.get_by_label("Crop hint").input_value().split()]

    drag((0.2, 0.1), (0.7, 0.8))
    assert crop() == pytest.approx([20, 10, 50, 70], abs=0.5)
    drag((0.4, 0.4), (0.5, 0.35))
    assert crop() == pytest.approx([30, 5, 50, 70], abs=0.5), "moved by its inside"
    drag((0.8, 0.75), (0.9, 0.9))
    assert crop() == pytest.approx([30, 5, 60, 85], abs=0.5), "resized by its corner"
    drag((0.6, 0.5), (0.99, 0.99))
    assert crop() == pytest.approx([40, 15, 60, 85], abs=0.5), "it stays in the picture"
    page.get_by_label("Crop hint").fill("10 5 80 90")
    expect(page.locator("#crop-hint rect")).to_have_attribute("width", "0.8")
    page.get_by_label("Crop hint").press("Enter")
    page.wait_for_url("**/dataset**")
    image.refresh_from_db()
    assert image.crop == [0.1, 0.05, 0.8, 0.9]
    page.goto(f"/actors/{actor.pk}/images/{image.pk}")
    page.get_by_role("button", name="Take the crop hint away").click()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/dataset**")
    image.refresh_from_db()
    assert image.crop is None


def test_images_are_put_in_order_by_the_keyboard_and_by_dragging(signed_in_page: Page, actor: Actor) -> None:
    fill(actor, 4)
    ids = {image.file_name: str(image.pk) for image in actor.dataset.images.all()}
    page = signed_in_page
    open_dataset(page, actor)
    page.locator("#thumbs a[data-item]").nth(2).focus()
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#thumbs .thumb").nth(1)).to_have_attribute("data-image", ids["2.png"])
    expect(page.locator(f"#image-{ids['2.png']} a[data-item]")).to_be_focused()
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#thumbs .thumb").first).to_have_attribute("data-image", ids["2.png"])
    assert names(actor) == ["2.png", "0.png", "1.png", "3.png"]
    target = page.locator("#thumbs .thumb").nth(3)
    width = (target.bounding_box() or {"width": 0})["width"]
    page.locator("#thumbs .thumb").first.drag_to(target, target_position={"x": width - 8, "y": 40})
    expect(page.locator("#thumbs .thumb").last).to_have_attribute("data-image", ids["2.png"])
    assert names(actor) == ["0.png", "1.png", "3.png", "2.png"]
    expect(page.locator("#uploads")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#thumbs .thumb").first).to_have_attribute("data-image", ids["2.png"])


def test_the_poster_is_chosen_and_the_choice_undone(signed_in_page: Page, actor: Actor) -> None:
    fill(actor, 2)
    second = actor.dataset.images.all()[1]
    page = signed_in_page
    page.goto(f"/actors/{actor.pk}/images/{second.pk}")
    page.get_by_role("button", name="Make it the poster").click()
    expect(page.locator(f"#image-{second.pk}")).to_contain_text("POSTER")
    page.get_by_role("button", name="Undo: 1.png is the poster").click()
    expect(page.locator("#thumbs")).not_to_contain_text("POSTER")
    actor.refresh_from_db()
    assert actor.poster is None


def test_near_duplicates_are_compared_and_one_is_kept(signed_in_page: Page, actor: Actor) -> None:
    for number, picture in enumerate((portrait(), portrait().resize((480, 480)), portrait(2))):
        ingest.take_in(actor.dataset, as_file(picture), f"{number}.png")
    tasks.inspect(actor.dataset.pk)
    page = signed_in_page
    open_dataset(page, actor)
    expect(page.get_by_text("Twin of 02")).to_be_visible()
    page.get_by_role("link", name="Compare").first.click()
    expect(page.get_by_role("heading", name="Keep one of two")).to_be_visible()
    pictures = page.locator(".pairs img")
    expect(pictures).to_have_count(2)
    assert Axe().run(page).violations_count == 0
    page.get_by_role("button", name="Keep 01").click()
    expect(page.locator("#thumbs .thumb.out")).to_have_count(1)
    assert [image.included for image in actor.dataset.images.all()] == [True, False, True]
    expect(page.get_by_text("Twin of")).to_have_count(0)


def test_two_browsers_at_once_keep_each_others_captions_order_and_decisions(
    signed_in_page: Page, other_page: Page, actor: Actor
) -> None:
    """Both look at the same state, then each acts on what the other can't see yet."""
    fill(actor, 4)
    one, two, three, four = actor.dataset.images.all()
    for page in (signed_in_page, other_page):
        open_dataset(page, actor)

    # The one writes a caption while the other moves images around it: neither is in the way.
    signed_in_page.locator(f"#image-{one.pk} [data-caption]").click()
    signed_in_page.get_by_role("textbox", name="Caption of image 1").fill("portrait, by the one")
    other_page.locator(f"#image-{four.pk} a[data-item]").focus()
    other_page.keyboard.press("Shift+ArrowLeft")
    expect(other_page.locator("#thumbs .thumb").nth(2)).to_have_attribute("data-image", str(four.pk))
    signed_in_page.get_by_role("button", name="Save").click()
    expect(signed_in_page.locator(f"#image-{one.pk}")).to_contain_text("by the one")
    assert names(actor) == ["0.png", "1.png", "3.png", "2.png"]

    # The one still sees the old order; moving another image keeps what the other has done.
    signed_in_page.locator(f"#image-{two.pk} a[data-item]").focus()
    signed_in_page.keyboard.press("Shift+ArrowLeft")
    expect(signed_in_page.locator("#thumbs .thumb").first).to_have_attribute("data-image", str(two.pk))
    assert names(actor) == ["1.png", "0.png", "3.png", "2.png"]
    assert shown(signed_in_page) == [str(each.pk) for each in (two, one, four, three)]

    # The other leaves out an image; the one, who still sees it as used, presses the same button.
    use = "button.use"
    other_page.locator(f"#image-{three.pk}").locator(use).click()
    expect(other_page.locator(f"#image-{three.pk}")).to_contain_text("Left out")
    signed_in_page.locator(f"#image-{three.pk}").locator(use).click()
    expect(signed_in_page.get_by_role("alert")).to_contain_text("changed by somebody else")
    expect(signed_in_page.locator(f"#image-{three.pk}")).to_contain_text("Left out")
    three.refresh_from_db()
    assert not three.included

    # The one undoes: not what the other has done meanwhile.
    signed_in_page.goto(f"/actors/{actor.pk}/dataset")
    other_page.locator(f"#image-{one.pk}").locator(use).click()
    expect(other_page.locator(f"#image-{one.pk} .use")).to_have_attribute("aria-pressed", "true")
    other_page.goto(f"/actors/{actor.pk}/dataset")
    other_page.locator(f"#image-{one.pk}").locator(use).click()
    expect(other_page.locator(f"#image-{one.pk}")).to_contain_text("Left out")
    signed_in_page.get_by_role("button", name="Undo").click()
    expect(signed_in_page.get_by_text("There is a newer change: 0.png: left out")).to_be_visible()
    one.refresh_from_db()
    assert (one.included, one.caption) == (False, "portrait, by the one")


def test_notes_and_crop_typed_while_somebody_else_saved_are_not_lost(
    signed_in_page: Page, other_page: Page, actor: Actor
) -> None:
    fill(actor, 1)
    image = actor.dataset.images.get()
    for page in (signed_in_page, other_page):
        page.goto(f"/actors/{actor.pk}/images/{image.pk}")
    other_page.get_by_label("Caption", exact=True).fill("their caption")
    other_page.get_by_role("button", name="Save").click()
    other_page.wait_for_url("**/dataset**")
    signed_in_page.get_by_label("Notes").fill("my notes")
    signed_in_page.get_by_label("Crop hint").fill("10 5 80 90")
    signed_in_page.get_by_role("button", name="Save").click()
    expect(signed_in_page.get_by_role("alert")).to_contain_text("their caption")
    expect(signed_in_page.get_by_label("Notes")).to_have_value("my notes")
    expect(signed_in_page.get_by_label("Crop hint")).to_have_value("10 5 80 90")
    image.refresh_from_db()
    assert (image.caption, image.notes) == ("their caption", "")
    signed_in_page.get_by_label("Caption", exact=True).fill("their caption, and mine")
    signed_in_page.get_by_role("button", name="Save").click()
    signed_in_page.wait_for_url("**/dataset**")
    image.refresh_from_db()
    assert (image.caption, image.notes) == ("their caption, and mine", "my notes")
