"""Signing in with the studio's identity provider: every step against a real OpenID Connect server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from oidc_provider_mock import User as ProviderUser
from oidc_provider_mock import run_server_in_thread

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider(settings: Any) -> Iterator[str]:
    proven = ProviderUser(sub="proven", claims={"email": "ilse@example.com", "email_verified": True})
    with run_server_in_thread(user_claims=[proven]) as server:
        url = f"http://localhost:{server.server_port}"
        settings.OIDC_ROLE = "Viewer"
        settings.SOCIALACCOUNT_PROVIDERS = {
            "openid_connect": {
                "OAUTH_PKCE_ENABLED": True,
                "APPS": [
                    {
                        "provider_id": "studio",
                        "name": "the studio",
                        "client_id": "actortrain",
                        "secret": "not a secret here",
                        "settings": {"server_url": url},
                    }
                ],
            }
        }
        yield url


def come_back(client: Client, provider: str, **said: str) -> Any:
    """Goes to the provider by the login page's button, says something there, and follows the way back."""
    there = client.post("/accounts/oidc/studio/login/")
    assert there.status_code == 302
    assert there["Location"].startswith(f"{provider}/oauth2/authorize")
    back = httpx.post(there["Location"], data=said, follow_redirects=False)
    assert back.is_redirect, back.text
    return client.get(back.headers["location"].removeprefix("http://testserver"), follow=True)


def test_a_first_visit_makes_an_account_with_the_configured_role(client: Client, provider: str) -> None:
    answer = come_back(client, provider, sub="ilse@example.com")
    person = User.objects.get(email="ilse@example.com")
    assert [group.name for group in person.groups.all()] == ["Viewer"]
    assert not person.has_usable_password()
    assert answer.status_code == 200
    assert answer.context["user"] == person


def test_a_second_visit_finds_the_same_account(provider: str) -> None:
    come_back(Client(), provider, sub="ilse@example.com")
    come_back(Client(), provider, sub="ilse@example.com")
    assert User.objects.filter(email="ilse@example.com").count() == 1


@pytest.mark.parametrize("trusted", [True, None])
def test_who_has_an_account_by_that_address_signs_in_to_it_when_the_address_is_proven(
    client: Client, provider: str, settings: Any, trusted: bool | None
) -> None:
    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]["settings"]["verified_email"] = trusted
    known = User.objects.create_user("ilse", "ilse@example.com", "a long enough phrase")
    sub = "ilse@example.com" if trusted else "proven"
    assert come_back(client, provider, sub=sub).context["user"] == known
    assert User.objects.count() == 1


def test_an_address_nobody_has_proven_opens_no_account_and_makes_no_second_one(
    client: Client, provider: str
) -> None:
    User.objects.create_user("ilse", "ilse@example.com", "a long enough phrase")
    answer = come_back(client, provider, sub="ilse@example.com")
    assert answer.status_code == 409
    assert "ilse@example.com belongs to an account here" in answer.content.decode()
    assert "_auth_user_id" not in client.session
    assert User.objects.count() == 1


def test_who_says_no_at_the_provider_is_shown_the_way_to_try_again(client: Client, provider: str) -> None:
    answer = come_back(client, provider, action="deny")
    assert "_auth_user_id" not in client.session
    assert 'href="/accounts/login/">Sign in again' in answer.content.decode()


def test_an_answer_that_nobody_asked_for_signs_nobody_in(client: Client, provider: str) -> None:
    answer = client.get("/accounts/oidc/studio/login/callback/?code=forged&state=forged")
    assert answer.status_code == 401
    assert User.objects.count() == 0
