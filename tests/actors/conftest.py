"""What tests of datasets share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils.module_loading import import_string
from playwright.sync_api import Browser, Page
from pytest_django.fixtures import Settings as SettingsWrapper
from pytest_django.live_server_helper import LiveServer

from actors.models import Actor
from actors.permissions import ensure_roles
from tests.actors.uploading import Store
from tests.factories import make_actor
from tests.signing_in import let_in


@pytest.fixture
def tasks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry's tasks run in the call that queues them, as a worker would right after it."""

    def run(name: str, *arguments: Any, **_: Any) -> None:
        import_string(name)(*arguments)

    for module in ("actors.tasks", "actors.arrivals"):
        monkeypatch.setattr(f"{module}.async_task", run)


@pytest.fixture
def actor(db: None) -> Actor:
    return make_actor(images=0)


@pytest.fixture
def curator(admin_client: Client) -> Client:
    return admin_client


@pytest.fixture(params=["files", "s3"])
def store(request: pytest.FixtureRequest, live_server: LiveServer, settings: SettingsWrapper) -> Store:
    """The default storage, then a real S3."""
    settings.SITE_URL = live_server.url
    request.getfixturevalue("media" if request.param == "files" else "s3_storage")
    return Store(live_server.url)


@pytest.fixture
def sign_in(db: None) -> Callable[[str], Client]:
    """Makes a person of a role and signs them in."""
    ensure_roles()

    def client(role: str) -> Client:
        person = User.objects.create_user(role, f"{role.lower()}@studio.example", "x")
        person.groups.add(Group.objects.get(name=role))
        visitor = Client()
        visitor.force_login(person)
        return visitor

    return client


@pytest.fixture
def other_page(
    signed_in_page: Page, browser: Browser, live_server: LiveServer, admin_user: User
) -> Iterator[Page]:
    """A second browser on another desk, signed in as well; nobody listens to its console."""
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    let_in(context, live_server.url, admin_user)
    yield context.new_page()
    context.close()
