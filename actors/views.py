"""Pages of the registry: an actor's dataset, and what a visitor has chosen for their own screen."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Light or dark, kept in a cookie so that the first paint is right. Scripts do it without this view."""
    there = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(there, allowed_hosts={request.get_host()}):
        there = "/"
    response = redirect(there)
    if request.POST.get("theme") in ("light", "dark"):
        response.set_cookie("theme", request.POST["theme"], max_age=365 * 24 * 3600, samesite="Lax")
    return response
