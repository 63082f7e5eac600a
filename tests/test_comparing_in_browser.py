"""The slider of the compare page: the edge between two pictures follows pointer and keys."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browsing import press, tab_to
from tests.factories import make_actor, make_version
from training.models import SampleImage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

CUT = "frame => getComputedStyle(frame).clipPath"


def test_the_slider_moves_the_edge_between_two_versions(signed_in_page: Page) -> None:
    page, actor = signed_in_page, make_actor()
    for _ in range(3):
        version = make_version(actor)
        SampleImage.objects.create(
            version=version, step=80, prompt_index=0, prompt="calm", url="s3://local/x.png"
        )
    page.goto(f"/actors/{actor.pk}/compare?v=1&v=2&v=3")
    expect(page.get_by_label("From V1 to V3")).to_be_hidden()
    press(page, page.get_by_role("button", name="Slider"))
    slider = page.get_by_label("From V1 to V3")
    tab_to(page, slider)
    page.keyboard.press("Home")
    frames = page.locator(".pair .frame")
    assert [frame.evaluate(CUT) for frame in frames.all()] == [
        "inset(0px 0px 0px 0%)",
        "inset(0px 0px 0px 100%)",
        "inset(0px 0px 0px 100%)",
    ]
    page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "0 % V2, 100 % V3")
    box = page.locator(".pair .frames").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
    expect(slider).to_have_attribute("aria-valuetext", "25 % V2, 75 % V3")
    expect(page.locator(".pair .nums span:visible")).to_have_text(["V2", "V3"])
    press(page, page.get_by_role("button", name="Side by side"))
    expect(page.locator(".pair .nums span:visible")).to_have_text(["V1", "V2", "V3"])
    expect(slider).to_be_hidden()


def test_the_loss_of_all_versions_is_read_at_one_step(signed_in_page: Page) -> None:
    page, actor = signed_in_page, make_actor()
    for worse in (0.2, 0.1, 0.0):
        make_version(actor, loss_history=[[1, 0.9 + worse], [80, 0.4 + worse]])
    page.goto(f"/actors/{actor.pk}/compare?v=1&v=2&v=3")
    tab_to(page, page.locator("#loss-chart"))
    page.keyboard.press("End")
    page.keyboard.press("Home")
    expect(page.locator(".probe text")).to_have_text(["1", "V3 0.900", "V2 1.00", "V1 1.10"])
