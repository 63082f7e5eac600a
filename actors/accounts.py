"""What this site changes in django-allauth and django-axes: no open sign-up, and who a login is about."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.shortcuts import render


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is untyped
    """Accounts are made by admins, in the admin."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up by themselves."""
        return False


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth is untyped
    """People of the studio's identity provider get an account at their first visit."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Who may sign in is the provider's decision."""
        return True

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """An unproven address that another account has opens nothing and makes no second account."""
        email = sociallogin.user.email
        if not sociallogin.is_existing and email and User.objects.filter(email__iexact=email).exists():
            page = render(request, "socialaccount/address_taken.html", {"email": email}, status=409)
            raise ImmediateHttpResponse(page)

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """The configured role to begin with; an admin gives more."""
        user: User = super().save_user(request, sociallogin, form)
        if settings.OIDC_ROLE:
            user.groups.add(Group.objects.get(name=settings.OIDC_ROLE))
        return user


class LoginForm(AllauthLoginForm):  # type: ignore[misc]  # allauth is untyped
    """One field takes both, and says so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = "Username or e-mail"
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)  # the labels say it already
        self.fields["password"].help_text = ""


def name_typed(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """Whom an attempt to log in is counted against: the name or address typed, whatever the form."""
    typed = credentials or {}
    name = typed.get("username") or typed.get("email") or request.POST.get("login")
    return str(name).lower() if name else None
