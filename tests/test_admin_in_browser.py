"""The admin in a real browser: colours, no breach of the policy, and a way there and back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.factories import make_version

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_the_admin_works_under_the_policy_and_leads_to_the_site_and_back(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version()
    for address in (
        "/admin/",
        "/admin/actors/actor/",
        "/admin/actors/actor/import/",
        f"/admin/actors/actor/{version.actor_id}/change/",
        f"/admin/actors/actor/{version.actor_id}/history/",
        f"/admin/actors/trainingdataset/{version.actor.dataset.pk}/change/",
        f"/admin/training/trainingversion/{version.pk}/change/",
        "/admin/training/webhook/add/",
        "/admin/django_q/schedule/",
    ):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
    assert page.locator("#header").evaluate("it => getComputedStyle(it).backgroundColor") == "rgb(12, 12, 12)"
    page.goto(f"/admin/actors/actor/{version.actor_id}/change/")
    page.locator(".viewsitelink").click()
    expect(page).to_have_url(f"{page.url.split('/actors')[0]}/actors/{version.actor_id}/")
    page.get_by_role("link", name="Admin").first.click()
    expect(page.locator("#site-name")).to_contain_text("ActorTrain")


def test_the_pages_of_the_account_work_under_the_policy(signed_in_page: Page) -> None:
    page = signed_in_page
    for address in ("/account/tokens", "/accounts/email/", "/accounts/password/change/", "/accounts/2fa/"):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
    page.goto("/account/tokens")
    page.get_by_label("Name").fill("nightly export")
    page.get_by_role("button", name="Make the token").click()
    expect(page.locator("#token")).to_have_value(re.compile("^at_[0-9a-f]{64}$"))
    page.get_by_role("button", name="Revoke nightly export").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("You have none yet.")).to_be_visible()
