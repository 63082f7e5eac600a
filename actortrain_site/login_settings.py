"""How people and programs sign in: django-allauth, django-axes, django-rest-knox. Part of ``settings.py``.

Accounts are made by an admin, or by the studio's identity provider when ``OIDC_SERVER_URL`` is set.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import Env

env = Env()  # settings.py has read .env into the environment by now

LOGIN_APPS = [
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "axes",
    "knox",
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it refuses who is locked out
    "allauth.account.auth_backends.AuthenticationBackend",
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "account_login"

ACCOUNT_ADAPTER = "actors.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_FORMS = {"login": "actors.accounts.LoginForm"}
# axes counts failed logins in the database, for all web processes; this one would count per process.
ACCOUNT_RATE_LIMITS = {"login_failed": False}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "ActorTrain"

AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = timedelta(minutes=15)
# Both together: a stranger's guesses must not lock the person out everywhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "actors.accounts.name_typed"
AXES_LOCKOUT_TEMPLATE = "account/locked_out.html"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False

KNOX_TOKEN_MODEL = "actors.AccessToken"  # noqa: S105  # a model, no password
REST_KNOX = {"TOKEN_MODEL": KNOX_TOKEN_MODEL, "TOKEN_PREFIX": "at_"}

# Letters: to the console until EMAIL_URL names a server, for example smtp+tls://user:password@host:587.
_email = env.dj_email_url("EMAIL_URL", "console://")
if "EMAIL_BACKEND" not in _email:
    raise ImproperlyConfigured("EMAIL_URL must look like smtp+tls://user:password@host:587.")
EMAIL_BACKEND: str = _email["EMAIL_BACKEND"]
EMAIL_HOST: str = _email["EMAIL_HOST"] or ""
EMAIL_PORT: int = _email["EMAIL_PORT"] or 25
EMAIL_HOST_USER: str = _email["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD: str = _email["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS: bool = _email["EMAIL_USE_TLS"]
EMAIL_USE_SSL: bool = _email["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", "ActorTrain <actortrain@localhost>")

#: Where the identity provider is, or empty; its first-time visitors get this role, or none.
OIDC_SERVER_URL: str = env.str("OIDC_SERVER_URL", "")
OIDC_ROLE: str = env.str("OIDC_ROLE", "Viewer")
SOCIALACCOUNT_ADAPTER = "actors.accounts.SocialAccountAdapter"
SOCIALACCOUNT_LOGIN_ON_GET = False
# The studio runs or chose the provider, so its word for a proven e-mail address counts.
SOCIALACCOUNT_EMAIL_AUTHENTICATION = True
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
#: The login form leads there, so the Content-Security-Policy has to let it.
OIDC_ORIGINS: list[str] = []
if OIDC_SERVER_URL:
    _missing = [name for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET") if not env.str(name, "")]
    if _missing:
        raise ImproperlyConfigured(
            f"{_missing[0]} is not set, but OIDC_SERVER_URL is. Set it in the environment or in .env."
        )
    if OIDC_ROLE and OIDC_ROLE not in ("Viewer", "Trainer", "Curator"):
        raise ImproperlyConfigured(f"OIDC_ROLE must be Viewer, Trainer or Curator, not {OIDC_ROLE!r}.")
    _server = urlsplit(OIDC_SERVER_URL)
    OIDC_ORIGINS = [f"{_server.scheme}://{_server.netloc}"]
    SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "studio",
                    "name": env.str("OIDC_NAME", "your studio account"),
                    "client_id": env.str("OIDC_CLIENT_ID"),
                    "secret": env.str("OIDC_CLIENT_SECRET"),
                    "settings": {
                        "server_url": OIDC_SERVER_URL,
                        # None: an address is proven when the provider says ``email_verified``.
                        "verified_email": env.bool("OIDC_TRUST_EMAIL", False) or None,
                    },
                }
            ],
        }
    }
