"""Signing in, being locked out, and tokens."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.conf import settings as site_settings
from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from actors.tokens import AccessToken, make_token

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough phrase"
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _fresh_minute() -> None:
    """allauth counts the logins of a minute in the cache."""
    cache.clear()


@pytest.fixture
def mara() -> User:
    person = User.objects.create_user("mara", "mara@example.com", PASSWORD)
    person.groups.add(Group.objects.get(name="Viewer"))
    return person


def sign_in(client: Client, login: str, password: str = PASSWORD) -> int:
    return client.post("/accounts/login/", {"login": login, "password": password}).status_code


@pytest.mark.parametrize("login", ["mara", "mara@example.com"])
def test_people_sign_in_by_name_or_e_mail(client: Client, mara: User, login: str) -> None:
    assert sign_in(client, login) == 302
    assert client.get("/account/tokens").status_code == 200


def test_a_wrong_password_is_refused_in_words(client: Client, mara: User) -> None:
    answer = client.post("/accounts/login/", {"login": "mara", "password": "wrong"})
    assert "Name and password do not match." in answer.content.decode()


@pytest.mark.parametrize("login", ["mara", "mara@example.com", "nobody"])
def test_who_guesses_too_often_is_locked_out_even_with_the_right_password(
    client: Client, mara: User, login: str
) -> None:
    for _ in range(site_settings.AXES_FAILURE_LIMIT):
        sign_in(client, login, "wrong")
    answer = client.post("/accounts/login/", {"login": login, "password": PASSWORD})
    assert answer.status_code == 429
    assert "Too many attempts" in answer.content.decode()
    assert client.get("/account/tokens").status_code == 302


def test_a_lock_out_holds_for_one_address_only(client: Client, mara: User) -> None:
    for _ in range(site_settings.AXES_FAILURE_LIMIT):
        sign_in(client, "mara", "wrong")
    assert sign_in(Client(REMOTE_ADDR="192.0.2.7"), "mara") == 302


def test_nobody_signs_up_alone(client: Client) -> None:
    answer = client.post("/accounts/signup/", {"username": "x", "password1": PASSWORD, "password2": PASSWORD})
    assert "Accounts are made for you" in answer.content.decode()
    assert not User.objects.exists()


def test_a_forgotten_password_is_reset_by_a_link_in_a_letter(client: Client, mara: User) -> None:
    client.post("/accounts/password/reset/", {"email": "mara@example.com"})
    link = next(word for word in str(mail.outbox[0].body).split() if "/password/reset/key/" in word)
    form = client.get(link, follow=True)
    new = {"password1": "quite another phrase", "password2": "quite another phrase"}
    done = client.post(form.request["PATH_INFO"], new, follow=True).content.decode()
    assert "Your password is set" in done
    assert 'href="/accounts/login/">Sign in' in done
    assert sign_in(client, "mara", "quite another phrase") == 302


def test_an_account_that_is_switched_off_says_whom_to_ask(client: Client, mara: User) -> None:
    User.objects.filter(pk=mara.pk).update(is_active=False)
    assert sign_in(client, "mara") in (200, 302)
    told = client.get("/accounts/inactive/").content.decode()
    assert "Ask the admin of your studio" in told
    assert "Sign in as somebody else" in told


def test_a_reset_tells_nobody_who_has_an_account(client: Client, mara: User) -> None:
    known = client.post("/accounts/password/reset/", {"email": "mara@example.com"})
    unknown = client.post("/accounts/password/reset/", {"email": "nobody@example.com"})
    assert (known.status_code, known["location"]) == (unknown.status_code, unknown["location"])
    assert len(mail.outbox) == 1


def test_who_has_a_second_factor_is_asked_for_it(client: Client, mara: User) -> None:
    secret = generate_totp_secret()
    TOTP.activate(mara, secret)
    assert Authenticator.objects.get().type == "totp"
    answer = client.post("/accounts/login/", {"login": "mara", "password": PASSWORD})
    assert answer["location"].startswith("/accounts/2fa/authenticate/")
    assert client.get("/account/tokens").status_code == 302
    client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert client.get("/account/tokens").status_code == 302
    code = format_hotp_value(hotp_value(secret, int(timezone.now().timestamp()) // 30))
    client.post("/accounts/2fa/authenticate/", {"code": code})
    assert client.get("/account/tokens").status_code == 200


def test_the_admin_asks_for_the_second_factor_too(client: Client, mara: User) -> None:
    mara.is_superuser = True
    mara.save()
    TOTP.activate(mara, generate_totp_secret())
    client.post("/admin/login/", {"username": "mara", "password": PASSWORD})
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    "page",
    [
        "/accounts/2fa/totp/activate/",
        "/accounts/2fa/",
        "/accounts/email/",
        "/accounts/password/change/",
        "/accounts/logout/",
        "/account/tokens",
    ],
)
def test_pages_of_the_account_hold_no_inline_script_or_style(client: Client, mara: User, page: str) -> None:
    sign_in(client, "mara")
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})  # changing the factor asks again
    answer = client.get(page)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "<style" not in text
    assert " style=" not in text
    assert "<script>" not in text
    assert " onclick=" not in text


# Tokens


def test_a_token_is_shown_once_and_kept_as_a_hash(client: Client, mara: User) -> None:
    client.force_login(mara, backend="allauth.account.auth_backends.AuthenticationBackend")
    values = {"name": "nightly export", "scopes": ["read"], "days": "30"}
    text = client.post("/account/tokens", values).context["text"]
    assert text.startswith("at_")
    token = AccessToken.objects.get()
    assert text not in (token.pk, token.digest)
    assert token.expiry is not None
    assert timedelta(days=29) < token.expiry - timezone.now() <= timedelta(days=30)
    assert text not in client.get("/account/tokens").content.decode()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "", "scopes": ["read"], "days": "30"}, "This field is required."),
        ({"name": "x", "scopes": [], "days": "30"}, "Choose at least one of: read, train, curate."),
        ({"name": "x", "scopes": ["admin"], "days": "30"}, "admin is not one of the available choices"),
        ({"name": "x" * 101, "scopes": ["read"], "days": "30"}, "at most 100 characters"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    client: Client, mara: User, values: dict[str, object], message: str
) -> None:
    client.force_login(mara, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.post("/account/tokens", values)
    assert answer.status_code == 400
    assert message in answer.content.decode()
    assert not AccessToken.objects.exists()


def bearer(text: str) -> Client:
    return Client(headers={"authorization": f"Bearer {text}"})


def test_a_token_opens_the_api_and_remembers_when(mara: User) -> None:
    token, text = make_token(mara, "script", ["read"])
    assert bearer(text).get("/api/actors").status_code == 200
    assert Client(headers={"authorization": f"Token {text}"}).get("/api/actors").status_code == 200
    token.refresh_from_db()
    assert token.last_used is not None


@pytest.mark.parametrize("text", ["", "x", "at_" + "0" * 64, "\u00ff\u00fe", "two words", "a" * 5000])
def test_a_token_that_is_none_gets_a_401_and_never_an_error(text: str) -> None:
    answer = bearer(text).get("/api/actors")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_an_expired_token_says_that_it_has_expired(mara: User) -> None:
    token, text = make_token(mara, "script", ["read"])
    AccessToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    answer = bearer(text).get("/api/actors")
    assert answer.status_code == 401
    assert "expired" in answer.content.decode()
    assert AccessToken.objects.filter(pk=token.pk).exists()


def test_a_token_without_the_scope_is_told_which_one_it_lacks(mara: User) -> None:
    _, text = make_token(mara, "script", ["read"])
    answer = bearer(text).post("/api/versions", "{}", content_type="application/json")
    assert answer.status_code == 403
    assert "lacks the scope train" in answer.content.decode()


def test_a_token_dies_with_its_persons_account(mara: User) -> None:
    _, text = make_token(mara, "script", ["read"])
    mara.is_active = False
    mara.save()
    assert bearer(text).get("/api/actors").status_code == 401


def test_people_revoke_their_own_tokens_and_no_one_elses(client: Client, mara: User) -> None:
    mine, text = make_token(mara, "mine", ["read"])
    other, _ = make_token(User.objects.create_user("other"), "other", ["read"])
    client.force_login(mara, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post(f"/account/tokens/{other.pk}/revoke").status_code == 404
    assert client.post(f"/account/tokens/{mine.pk}/revoke").status_code == 302
    assert bearer(text).get("/api/actors").status_code == 401
    assert list(AccessToken.objects.all()) == [other]


# Settings


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"OIDC_SERVER_URL": "https://id.example.com"}, "OIDC_CLIENT_ID is not set, but OIDC_SERVER_URL is"),
        (
            {
                "OIDC_SERVER_URL": "https://id.example.com",
                "OIDC_CLIENT_ID": "a",
                "OIDC_CLIENT_SECRET": "b",
                "OIDC_ROLE": "King",
            },
            "OIDC_ROLE must be Viewer, Trainer or Curator, not 'King'",
        ),
        ({"EMAIL_URL": "nonsense"}, "EMAIL_URL"),
    ],
)
def test_half_set_logins_stop_the_site_with_one_clear_line(
    environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    base = {"PATH": "/usr/bin", "ENV_FILE": "/dev/null", "VAR_DIR": str(tmp_path), "SECRET_KEY": "x"}
    code = (
        "import django.conf, os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'actortrain_site.settings'\n"
        "django.conf.settings.DEBUG"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=ROOT,
        env=base | environment,
        capture_output=True,
        text=True,
    )
    assert "ImproperlyConfigured" in ran.stderr.splitlines()[-1]
    assert message in ran.stderr.splitlines()[-1]


def test_the_identity_provider_gets_a_button_and_a_place_in_the_policy(tmp_path: Path) -> None:
    environment = {
        "PATH": "/usr/bin",
        "ENV_FILE": "/dev/null",
        "VAR_DIR": str(tmp_path),
        "SECRET_KEY": "long enough for a test of the settings",
        "OIDC_SERVER_URL": "https://id.example.com/realms/studio",
        "OIDC_CLIENT_ID": "actortrain",
        "OIDC_CLIENT_SECRET": "secret",
        "OIDC_NAME": "Studio account",
    }
    code = (
        "import os, sys\n"
        "sys.modules['pytest'] = sys\n"  # static files need no manifest
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'actortrain_site.settings'\n"
        "import django; django.setup()\n"
        "from django.core.management import call_command; call_command('migrate', verbosity=0)\n"
        "from django.test import Client\n"
        "answer = Client(SERVER_NAME='localhost').get('/accounts/login/')\n"
        "print(answer.content.decode(), answer['Content-Security-Policy'])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "Sign in with Studio account" in ran.stdout
    assert "form-action 'self' https://id.example.com" in ran.stdout
