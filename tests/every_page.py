"""Every page of a furnished studio, by name: one for each route of ``tests/access.py``, and further states.

A new route is walked by itself. Where it has a placeholder that ``values`` doesn't know, it says so.
"""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import reverse

from tests.access import ACCESS
from tests.painted_studio import Studio
from training.models import PromptSet

#: Routes that answer with something else than a page: a file, JSON, a fragment, or the way to another page.
NO_PAGES = {
    *("", "accounts/login/code/confirm/", "accounts/confirm-email/", "accounts/2fa/authenticate/"),
    *("accounts/password/set/", "accounts/2fa/recovery-codes/download/", "accounts/3rdparty/signup/"),
    *("accounts/social/login/cancelled/", "accounts/social/login/error/", "accounts/social/signup/"),
    *("accounts/social/connections/", "accounts/2fa/reauthenticate/", "accounts/2fa/totp/deactivate/"),
    *("accounts/2fa/recovery-codes/", "accounts/2fa/recovery-codes/generate/"),
    "accounts/oidc/^(?P<provider_id>[^/]+)/login/",
    "accounts/oidc/^(?P<provider_id>[^/]+)/login/callback/",
    *("actors/<int:actor_id>/payload", "actors/<int:actor_id>/dataset.zip"),
    "actors/<int:actor_id>/dataset/uploads/<uuid:upload_id>",
    *("actors/<int:actor_id>/rights/document", "batches/matching", "batches/selected"),
    *("analytics/<slug:table>.csv", "analytics/waiting"),
    *("trainings/<int:pk>/console.txt", "trainings/<int:pk>/lora", "files/<path:key>", "healthz"),
}
#: Django's regular expressions in the routes of the login library.
BY_HAND = {
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$": "/accounts/confirm-email/an-old-key/",
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": (
        "/accounts/password/reset/key/1-an-old-key/"
    ),
}
#: What some of them answer, because nothing else would be true.
STATUS = {"accounts/3rdparty/login/error/": 401, "dashboard_refused": 400, "not_found": 404}
MANY_FILTERS = "?from=2001-01-01&reason=memory&images=16-30&preset=quick.1&changed=no&good=yes&by=%3F"


def is_page(route: str) -> bool:
    """Whether it draws a page when it is opened; that of the API draws itself, and is looked at by itself."""
    other = route in NO_PAGES or route.startswith("api/") or route.endswith(".json")
    return "GET" in ACCESS[route] and not other


def values(studio: Studio) -> dict[str, Any]:
    """What stands for each placeholder; with the route's first word before it where they differ."""
    images = list(studio.cast["unfit"].dataset.images.all())
    return {
        "actor_id": studio.cast["main"].pk,
        "number": studio.versions["good"].number,
        "name": "quick",
        "trainings pk": studio.versions["good"].pk,
        "previews pk": studio.previews["standard"].pk,
        "batches pk": studio.batches["planned"].pk,
        "batches actor_id": studio.batches["planned"].items.all()[0].actor_id,
        "prompt-sets pk": PromptSet.objects.get(name="Night scenes").pk,
        "image_id": images[2].pk,
        "one": images[0].pk,
        "other": images[3].pk,
    }


def addresses(studio: Studio, *, public: bool) -> dict[str, str]:
    """Each page's address by its route; those that strangers may open, or the others."""
    known = values(studio)

    def value(route: str, name: str) -> str:
        found = known.get(f"{route.split('/', 1)[0]} {name}", known.get(name))
        assert found is not None, f"tests/every_page.py doesn't know what stands for {name} in {route}"
        return str(found)

    found = {}
    for route in filter(is_page, ACCESS):
        if (ACCESS[route]["GET"] == "public" and route != "accounts/logout/") is not public:
            continue
        # An image and a pair are of the dataset that has findings.
        of = studio.cast["unfit"].pk if "image" in route or "pair" in route else known["actor_id"]
        address = route if "batches" in route else route.replace("<int:actor_id>", str(of))
        filled = re.sub(r"<\w+:(\w+)>", lambda match: value(route, match[1]), address)  # noqa: B023  # called at once
        found[route] = BY_HAND.get(route, f"/{filled}")
    return found


def states(studio: Studio) -> dict[str, str]:
    """Further states of the pages, by the name of their picture."""
    cast, versions = studio.cast, studio.versions
    found = {
        "library_table": "/actors/?view=table",
        "library_nobody": "/actors/?q=nobody",
        "library_filtered": "/actors/?sex=female&state=good&state=choose&sort=number",
        "activity_queue": "/activity/?status=queue",
        "activity_failed": "/activity/?status=failed",
        "activity_nothing": f"/activity/{MANY_FILTERS}",
        "dashboard_quarter": "/analytics/?days=90",
        "dashboard_nothing": "/analytics/?from=2001-01-01&to=2001-01-02",
        "dashboard_refused": "/analytics/?from=x",
        "rights_future": "/rights/?show=future",
        "train_refused": f"/actors/{cast['failed alone'].pk}/?learning_rate=x",
        "compare_two": f"/actors/{cast['main'].pk}/compare?v=2&v=3",
        "compare_three": f"/actors/{cast['choose'].pk}/compare?v=1&v=2&v=3&scale=log",
        "dataset_unfit": f"/actors/{cast['unfit'].pk}/dataset",
        "dataset_findings": f"/actors/{cast['unfit'].pk}/dataset?show=findings",
        "dataset_none": f"/actors/{cast['none'].pk}/dataset",
        "use_none": f"/actors/{cast['none'].pk}/use",
        "use_flux": f"/actors/{cast['flux'].pk}/use",
        "history_none": f"/actors/{cast['none'].pk}/history",
        "versions_none": f"/actors/{cast['none'].pk}/versions",
        "versions_three": f"/actors/{cast['choose'].pk}/versions",
        "previews_none": f"/trainings/{versions['choose'].pk}/previews",
        "grid_none": f"/trainings/{versions['choose'].pk}/grid",
        "batch_blocked": f"{studio.batches['planned'].get_absolute_url()}?show=blocked",
        "preset_default": "/presets/balanced",
        "prompt_set_standard": f"/prompt-sets/{PromptSet.objects.exclude(name='Night scenes')[0].pk}",
        "not_found": "/nowhere",
    }
    found |= {f"train_{name}": f"/actors/{actor.pk}/" for name, actor in cast.items() if name != "main"}
    found |= {f"rights_{name}": f"/actors/{cast[name].pk}/rights" for name in ("choose", "fit", "none")}
    found |= {f"training_{name}": each.get_absolute_url() for name, each in versions.items()}
    found |= {f"batch_{name}": each.get_absolute_url() for name, each in studio.batches.items()}
    found |= {f"preview_{name}": each.get_absolute_url() for name, each in studio.previews.items()}
    return {name.replace(" ", "_"): address for name, address in found.items()}


def account_of(name: str) -> User:
    """A person who signs in with the password ``password``."""
    return User.objects.create_user(name, f"{name}@studio.test", "password")


def admin_addresses(studio: Studio, person: User) -> list[str]:
    """Each model's list and form in the admin, and one page of each further kind."""
    request = RequestFactory().get("/")
    request.user = person
    actor = reverse("admin:actors_actor_change", args=[studio.cast["main"].pk])
    found = [
        *(reverse(f"admin:{name}") for name in ("index", "password_change", "actors_actor_import")),
        *(reverse("admin:app_list", args=["actors"]), actor.replace("change", "history")),
        *(reverse("admin:auth_user_delete", args=[person.pk]), "/admin/actors/actor/?q=nobody"),
    ]
    for model, pages in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = pages.get_queryset(request).order_by("pk").first()
        found.append(reverse(f"{name}_changelist"))
        if row is not None:
            found.append(reverse(f"{name}_change", args=[row.pk]))
        if row is None and pages.has_add_permission(request):
            found.append(reverse(f"{name}_add"))
    return found
