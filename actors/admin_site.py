"""The admin: the stock one, entered through the site's own login, in the studio's colours."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils.decorators import method_decorator

from actors.permissions import can, check


class StudioAdmin(admin.AdminSite):
    """Curators and admins come in; what each may touch is up to their permissions."""

    site_header = "ActorTrain"
    site_title = "ActorTrain admin"
    index_title = "Curation"
    site_url = "/"

    def has_permission(self, request: HttpRequest) -> bool:
        """Roles decide, not the flag ``is_staff``, so that there is one thing to set."""
        return can(request.user, "curate")

    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The site's own login, so that lock-out and second factor can't be walked around."""
        target = request.GET.get("next") or resolve_url("admin:index")
        if request.user.is_authenticated:
            check(request.user, "curate")
        return redirect_to_login(target, resolve_url("account_login"))
