"""Every address, as everybody, against the one table in ``tests/access.py``."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from pytest_django.fixtures import Settings

from actors.models import Actor
from actors.permissions import ROLES, SCOPES
from actors.tokens import make_token
from tests.access import ACCESS, ADMIN_MODELS, ADMIN_PAGES, DOCUMENT, document
from tests.factories import make_actor, make_version
from training.models import TrainingVersion

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PEOPLE = ["nobody", "without a role", *ROLES]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Route:
    """One address of the site."""

    pattern: str
    name: str
    view: Any

    @property
    def methods(self) -> set[str] | None:
        """The methods an API view has; None where a view decides by itself."""
        actions = getattr(self.view, "actions", None)
        if actions:
            return {method.upper() for method in actions}
        kind = getattr(self.view, "cls", None)
        return {method for method in METHODS if hasattr(kind, method.lower())} if kind else None


def routes(resolver: Any = None, prefix: str = "", names: tuple[str, ...] = ()) -> Iterator[Route]:
    for entry in (resolver or get_resolver()).url_patterns:
        pattern = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, pattern, (*names, *([entry.namespace] if entry.namespace else [])))
        else:
            assert isinstance(entry, URLPattern)
            yield Route(pattern, ":".join((*names, entry.name or "-")), entry.callback)


SITE = [route for route in routes() if not route.name.startswith("admin:")]
# Nameless ones lead on to pages that have names.
ADMIN = [route for route in routes() if route.name.startswith("admin:") and route.name != "admin:-"]


@pytest.fixture
def version(settings: Settings) -> TrainingVersion:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"  # nobody answers there
    return make_version(make_actor(images=2))


def address(route: str, version: TrainingVersion) -> str:
    """The route with the keys of rows that exist."""
    image = version.actor.dataset.images.first()
    assert image is not None
    own = {
        "upload_id": uuid.uuid4(),
        "one": image.pk,
        "other": image.pk,
        "number": 0,
        "actor_id": version.actor_id,
        "image_id": image.pk,
        "pk": image.pk if "images" in route else version.actor_id if "api/actors" in route else version.pk,
    }
    filled = re.sub(
        r"<(?:\w+:)?(\w+)>", lambda match: str(own.get(match[1], "x")), route.replace("(?P<", "<(")
    )
    filled = re.sub(r"<\((\w+)>[^)]*\)", "x", filled)
    return "/" + filled.replace("^", "").replace("$", "")


def visitor(who: str) -> Client:
    client = Client(raise_request_exception=False)
    if who == "nobody":
        return client
    person = User.objects.create_user(f"visitor {who}", password="only for tests")
    if who in ROLES:
        person.groups.add(Group.objects.get(name=who))
    client.force_login(person, backend=BACKEND)
    return client


def call(client: Client, method: str, where: str) -> Any:
    """The answer; whatever it changed is undone."""
    cookies = SimpleCookie(client.cookies.output(header="", sep=";"))
    with transaction.atomic():
        content = {} if method == "GET" else {"data": "{}", "content_type": "application/json"}
        if where.startswith("/acc") and method == "POST":
            content = {}
        answer = getattr(client, method.lower())(where, **content)
        transaction.set_rollback(True)
    client.cookies = cookies  # signing out is undone too
    return answer


def refused(answer: HttpResponse) -> bool:
    """Whether somebody was turned away, with or without a way to the login."""
    asked_to_sign_in = "/login/?next=" in answer.get("Location", "") or "WWW-Authenticate" in answer
    return answer.status_code == 403 or asked_to_sign_in


def may(who: str, needs: str) -> bool:
    """What the table says about a person."""
    if needs == "public":
        return True
    return who != "nobody" and (needs == "person" or needs in ROLES.get(who, ()))


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert sorted({route.pattern for route in SITE} - set(ACCESS)) == [], "add these to tests/access.py"
    assert sorted(set(ACCESS) - {route.pattern for route in SITE}) == [], "these are no routes any more"


def test_every_method_of_an_api_view_has_a_row() -> None:
    for route in SITE:
        if route.methods:
            # Django REST Framework adds HEAD when a view is first called.
            assert route.methods - {"HEAD"} == set(ACCESS[route.pattern]), route.pattern


@pytest.mark.parametrize("who", PEOPLE)
def test_people_reach_exactly_what_the_table_gives_them(who: str, version: TrainingVersion) -> None:
    client, wrong = visitor(who), []
    for route, methods in ACCESS.items():
        for method, needs in methods.items():
            if needs == "signed":
                continue
            answer = call(client, method, address(route, version))
            if refused(answer) is may(who, needs) or answer.status_code == 500:
                wrong.append(f"{method} /{route}: {answer.status_code}, should need {needs}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_reaches_exactly_what_its_scope_gives_it(scope: str, version: TrainingVersion) -> None:
    person = User.objects.create_superuser("owner")
    _, text = make_token(person, "one scope", [scope])
    client, wrong = Client(raise_request_exception=False, headers={"authorization": f"Bearer {text}"}), []
    for route, methods in ACCESS.items():
        takes_tokens = route.startswith("api/") or route == "actors.json"
        for method, needs in methods.items():
            if needs == "signed":
                continue
            answer = call(client, method, address(route, version))
            allowed = needs == "public" or (takes_tokens and needs == SCOPES[scope])
            if refused(answer) is allowed or answer.status_code == 500:
                wrong.append(f"{method} /{route}: {answer.status_code}, should need {needs}")
    assert not wrong, "\n".join(wrong)


def test_a_token_can_do_no_more_than_its_owner(version: TrainingVersion) -> None:
    person = User.objects.create_user("viewer")
    person.groups.add(Group.objects.get(name="Viewer"))
    _, text = make_token(person, "too much", ["read", "train", "curate"])
    client = Client(headers={"authorization": f"Bearer {text}"})
    assert client.get("/api/actors").status_code == 200
    assert client.post(f"/api/versions/{version.pk}/mark-good").status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_method_without_a_row_does_nothing_for_anybody(method: str, version: TrainingVersion) -> None:
    client = visitor("Curator")
    for route, methods in ACCESS.items():
        if method not in methods and "signed" not in methods.values() and not route.startswith("accounts/"):
            answer = call(client, method, address(route, version))
            assert answer.status_code in (403, 404, 405), f"{method} /{route}: {answer.status_code}"


def test_addresses_for_holders_of_a_signed_link_refuse_everybody_else(version: TrainingVersion) -> None:
    client = visitor("without a role")
    for route, methods in ACCESS.items():
        for method in (method for method, needs in methods.items() if needs == "signed"):
            assert refused(call(client, method, address(route, version))), f"{method} /{route}"


def admin_needs(route: Route) -> str:
    """What a page of the admin needs, by its model."""
    for model in admin.site._registry:
        if route.name.startswith(f"admin:{model._meta.app_label}_{model._meta.model_name}_"):
            return ADMIN_MODELS[model._meta.label_lower]
    return ADMIN_PAGES[route.name]


def test_every_model_of_the_admin_has_a_row() -> None:
    assert {model._meta.label_lower for model in admin.site._registry} == set(ADMIN_MODELS)


@pytest.mark.parametrize("who", PEOPLE)
def test_people_reach_exactly_their_pages_of_the_admin(who: str, version: TrainingVersion) -> None:
    client, wrong = visitor(who), []
    for route in ADMIN:
        needs = admin_needs(route)
        try:
            where = reverse(route.name, args=[version.pk] if "<" in route.pattern else [])
        except NoReverseMatch:
            # simple_history's own routes name no arguments.
            pattern = route.pattern.replace("([^/]+)", "<int:pk>")
            where = address(re.sub(r"<\w+:", "<int:", pattern), version)
        answer = call(client, "GET", where)
        turned_away = refused(answer)
        # Django leads back to the index where a row does not exist.
        if not may(who, needs) and not turned_away and answer.get("Location") != "/admin/":
            wrong.append(f"{where}: {answer.status_code}, should need {needs}")
        # A page may refuse more, where a model's rows are not written by hand; its list opens.
        if may(who, needs) and turned_away and route.name.endswith(("_changelist", ":index")):
            wrong.append(f"{where}: {answer.status_code}, although {needs} is enough")
    assert not wrong, "\n".join(wrong)


def test_the_registry_can_be_opened_for_everybody_by_one_setting(client: Client, settings: Settings) -> None:
    Actor.objects.create(pk=1, name="0001_a")
    assert client.get("/actors.json").status_code in (302, 401, 403)
    settings.ACTORS_JSON_PUBLIC = True
    assert client.get("/actors.json").status_code == 200
    assert client.get("/api/actors").status_code == 401


def test_the_documented_table_is_this_table() -> None:
    assert DOCUMENT.read_text() == document(), "write it again: python -m tests.access"
