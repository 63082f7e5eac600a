"""What tests of datasets share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AbstractUser
from django.utils.module_loading import import_string
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from tests.signing_in import let_in


@pytest.fixture
def tasks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry's tasks run in the call that queues them, as a worker would right after it."""

    def run(name: str, *arguments: Any, **_: Any) -> None:
        import_string(name)(*arguments)

    for module in ("actors.tasks", "actors.arrivals"):
        monkeypatch.setattr(f"{module}.async_task", run)


@pytest.fixture
def other_page(
    signed_in_page: Page, browser: Browser, live_server: LiveServer, admin_user: AbstractUser
) -> Iterator[Page]:
    """A second browser on another desk, signed in as well; nobody listens to its console."""
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    let_in(context, live_server.url, admin_user)
    yield context.new_page()
    context.close()
