"""The page where people make and revoke their access tokens."""

from __future__ import annotations

from typing import cast

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from actors.permissions import MEANING, SCOPES, signed_in_only
from actors.tokens import LIFETIMES, AccessToken, make_token


class TokenForm(forms.Form):
    """A name, what it may do, and for how long."""

    name = forms.CharField(max_length=100)
    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {MEANING[action]}") for scope, action in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
        initial=["read"],
        error_messages={"required": f"Choose at least one of: {', '.join(SCOPES)}."},
    )
    days = forms.TypedChoiceField(choices=list(LIFETIMES.items()), coerce=int, initial=90)


@never_cache
@signed_in_only
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """The visitor's tokens; a new one is shown in this answer and never again."""
    user = cast("User", request.user)
    form = TokenForm(request.POST or None)
    made, text = None, ""
    if request.method == "POST" and form.is_valid():
        made, text = make_token(user, **form.cleaned_data)
        form = TokenForm()
    context = {"form": form, "made": made, "text": text, "tokens": AccessToken.objects.filter(user=user)}
    return render(request, "account/tokens.html", context, status=400 if form.errors else 200)


@signed_in_only
@require_POST
def revoke(request: HttpRequest, pk: str) -> HttpResponse:
    """Ends one of the visitor's own tokens at once."""
    token = get_object_or_404(AccessToken, pk=pk, user=cast("User", request.user))
    token.delete()
    messages.success(request, f"“{token.name}” is revoked: it no longer opens anything.")
    return redirect("account-tokens")
