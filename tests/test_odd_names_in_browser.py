"""Names of any length and script fit on every page of an actor."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browsing import too_wide
from tests.factories import make_actor, make_version

LONG = "0017_" + "verylongname_" * 14
ODD = 'ممثلة "زوي" 👩 <b>x</b> O\'Neill'


@pytest.mark.parametrize("name", [LONG, ODD])
def test_a_name_never_makes_a_page_wider_than_the_screen(signed_in_page: Page, name: str) -> None:
    page = signed_in_page
    actor = make_actor(name=name, age=None, sex="", ethnicity="")
    make_version(actor, class_tokens=name[:100]).mark_good()
    for address in ("", "use", "dataset", "versions", "history"):
        page.goto(f"/actors/{actor.pk}/{address}")
        assert page.locator("h1").inner_text() == f"{actor.number} · {name}"
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert too_wide(page) == [], (address, width)
    page.goto("/actors/")
    assert too_wide(page) == []
    # Cut off, a name would lose what tells people apart.
    caption = page.locator(".who-is").first
    assert caption.inner_text() == name
    assert caption.evaluate("element => element.scrollWidth <= element.clientWidth")
