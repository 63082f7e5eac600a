"""The admin's colours and its way to the site and back; tokens. The walk over every page opens the rest."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.factories import make_version

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_the_admin_has_our_colours_and_leads_to_the_site_and_back(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version()
    page.goto(f"/admin/actors/actor/{version.actor_id}/change/")
    assert page.locator("#header").evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(12, 12, 12)"
    page.locator(".viewsitelink").click()
    expect(page).to_have_url(f"{page.url.split('/actors')[0]}/actors/{version.actor_id}/")
    page.get_by_role("link", name="Admin").first.click()
    expect(page.locator("#site-name")).to_contain_text("ActorTrain")


def test_a_token_is_shown_once_and_revoked(signed_in_page: Page) -> None:
    page = signed_in_page
    page.goto("/account/tokens")
    page.get_by_label("Name").fill("nightly export")
    page.get_by_role("button", name="Make the token").click()
    expect(page.locator("#token")).to_have_value(re.compile("^at_[0-9a-f]{64}$"))
    page.get_by_role("button", name="Revoke nightly export").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("You have none yet.")).to_be_visible()
