"""Every page in light and dark, on the desk and on the phone: axe, the console, the policy, and the width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings

from tests.browsing import Walk
from tests.every_page import STATUS, account_of, addresses, admin_addresses, states
from tests.furnished import furnish
from training import list_views
from training.models import EndpointState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def room(settings: Settings, media: Path) -> None:
    """Files of this test only, and trainings that cost something."""
    settings.GPU_PRICE_PER_SECOND = 0.001


@pytest.fixture
def walk(page: Page) -> Iterator[Walk]:
    """Goes from page to page; whatever it finds wrong fails the test at its end."""
    walk = Walk(page)
    yield walk
    wrong = [f"{name} {each}" for name, found in walk.found.items() for each in found]
    assert not wrong, "\n".join(wrong)


def sign_in(page: Page, name: str, password: str = "password") -> None:
    page.get_by_label(re.compile("^Username")).fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def enter(page: Page) -> None:
    page.goto("/")
    sign_in(page, "admin")
    page.wait_for_url("**/actors/")


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_every_page_for_people(walk: Walk, admin_user: User, half: int) -> None:
    """In two halves, for two cores."""
    studio = furnish(admin_user)
    enter(walk.page)
    for name, address in sorted((addresses(studio, public=False) | states(studio)).items())[half::2]:
        walk.to(address, STATUS.get(name, 200))
    walk.page.goto("/actors/")
    walk.page.get_by_label(re.compile("^Select ")).first.check()
    walk.look("the library with a selection")
    walk.page.goto(studio.batches["planned"].get_absolute_url())
    walk.page.get_by_role("button", name=re.compile("^Begin with")).click()
    walk.look("a question before a batch")


def test_every_page_for_strangers_refused_people_and_trouble(
    walk: Walk, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = walk.page
    for address in addresses(furnish(admin_user, crowd=6, trainings=0), public=True).values():
        walk.to(address)
    page.goto("/actors/")
    account_of("nobody")
    sign_in(page, "nobody", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    walk.look("a wrong password")
    for _ in range(8):
        sign_in(page, "mara", "wrong")
    expect(page.get_by_role("heading", name="Too many attempts")).to_be_visible()
    walk.look("locked out")
    page.goto("/actors/")
    sign_in(page, "nobody")
    expect(page.get_by_role("heading", name="You may not do this")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in as somebody else")).to_be_visible()
    walk.look("no permission")
    User.objects.filter(username="nobody").update(is_superuser=True)
    EndpointState.troubled("local", "Connection refused.")
    page.goto("/activity/")
    expect(page.get_by_text("Connection refused.")).to_be_visible()
    walk.look("the endpoint is down")
    page.context.set_offline(True)
    expect(page.get_by_text("No connection.")).to_be_visible()
    walk.look("offline")
    page.goto("about:blank")
    page.context.set_offline(False)
    walk.forget()
    with monkeypatch.context() as broken:
        broken.setattr(list_views, "places_of", lambda _: 1 / 0)
        page.goto("/activity/")
        expect(page.get_by_role("heading", name="Something broke on our side")).to_be_visible()
        walk.look("500")


def test_every_page_of_a_second_factor(walk: Walk) -> None:
    page, person = walk.page, account_of("tove")
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    page.goto("/accounts/login/")
    sign_in(page, "tove")
    expect(page.get_by_role("heading", name="You may not do this")).to_be_visible()
    page.goto("/accounts/2fa/totp/activate/")
    page.get_by_label("Password").fill("password")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Activate")).to_be_visible()
    walk.look("an app is set up")
    TOTP.activate(person, generate_totp_secret())
    for address in ("", "recovery-codes/generate/", "totp/deactivate/"):
        walk.to(f"/accounts/2fa/{address}")
    page.context.clear_cookies()
    page.goto("/accounts/login/")
    sign_in(page, "tove")
    page.wait_for_url("**/2fa/authenticate/")
    walk.look("the second factor is asked for")


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_the_admin(walk: Walk, admin_user: User, half: int) -> None:
    """Each model's list and form, and one page of each further kind."""
    studio = furnish(admin_user)
    enter(walk.page)
    for address in admin_addresses(studio, admin_user)[half::2]:
        walk.to(address)


def test_the_page_of_the_api(walk: Walk) -> None:
    walk.page.goto("/api/docs")
    operations = walk.page.locator(".opblock")
    expect(operations.first).to_be_visible()
    for method in ("get", "patch", "delete"):
        walk.page.locator(f".opblock-{method} .opblock-summary-control").first.click()
    expect(walk.page.locator(".responses-table")).to_have_count(3)
    walk.look("operations that are open")
