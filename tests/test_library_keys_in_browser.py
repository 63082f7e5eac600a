"""The library's keys: from the search into the sheet, along its rows, and on past its end."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from actors.models import Actor


def focused(page: Page) -> str:
    """The number of the actor that has the focus."""
    return str(page.evaluate("document.activeElement.querySelector('.no')?.innerText"))


def test_arrows_lead_from_the_search_through_the_sheet_and_past_its_end(signed_in_page: Page) -> None:
    page = signed_in_page
    Actor.objects.bulk_create(Actor(id=number, name=f"a{number}", position=number) for number in range(1, 41))
    page.set_viewport_size({"width": 1440, "height": 500})  # so that more is not shown by itself
    page.goto("/actors/?sort=number")
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "0001"
    for key, number in (("ArrowRight", "0002"), ("ArrowUp", "0002"), ("ArrowDown", "0008")):
        page.keyboard.press(key)
        assert focused(page) == number
    page.evaluate("document.querySelector('#more a').focus({ preventScroll: true })")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet > li")).to_have_count(40)
    page.wait_for_function("document.activeElement.querySelector('.no')")
    assert focused(page) == "0037"
