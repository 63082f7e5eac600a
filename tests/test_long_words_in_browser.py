"""What machines and people write may be one endless word: no page gets wider than the screen for it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browsing import too_wide
from tests.factories import make_actor, make_version
from tests.training.batch_steps import plan
from training.models import Status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

WORD = "x" * 190


def test_an_endless_word_breaks_on_the_phone(signed_in_page: Page) -> None:
    page, actor = signed_in_page, make_actor()
    failed = make_version(actor, status=Status.FAILED, error=f"https://bucket.example/{WORD} is not readable")
    good = make_version(actor)
    good.mark_good(None, WORD)
    batch = plan([actor], name=WORD)
    page.set_viewport_size({"width": 390, "height": 844})
    addresses = [each.get_absolute_url() for each in (failed, good, batch)]
    for address in (*addresses, f"/actors/{actor.pk}/versions", "/activity/", "/batches/"):
        page.goto(address)
        assert too_wide(page) == [], address
