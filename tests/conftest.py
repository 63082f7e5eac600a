"""What several tests share: the marks for the database runs, an S3 server, a browser."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.core.signals import request_finished, request_started
from django.db import connection
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django.fixtures import Settings as SettingsWrapper
from pytest_django.live_server_helper import LiveServer
from pytest_django.plugin import DjangoDbBlocker

from actors import storage
from tests.chromium import ARGUMENTS, find_chromium
from tests.first_start import migrated, prepared  # noqa: F401  # fixtures
from tests.s3_server import S3Server, serve_s3
from tests.signing_in import let_in

#: Two cores and other work: what is seen late is seen.
expect.set_options(timeout=20_000)
DATABASE_FIXTURES = {"db", "transactional_db", "live_server"}
#: What the console says of an answer with an error status, or of none: tests ask for those on purpose.
ANSWERS = re.compile(
    "Failed to load resource|Response Status Error|htmx:(send|response)Error|htmx:afterRequest|net::ERR_"
    "|blocked by CORS policy"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what touches the database, so that ``-m database`` can run it again on PostgreSQL."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES:
            item.add_marker(pytest.mark.database)
        if fixtures & {"s3", "s3_storage"}:
            item.add_marker(pytest.mark.s3)
        if fixtures & {"browser", "page"}:
            item.add_marker(pytest.mark.browser)
    items[:] = in_order(items)


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Slow tests begin first, so that no process waits at the end for another's longest test.

    Browser tests come last: Playwright leaves an event loop running, and asyncio allows one a thread.
    A process is given three tests ahead, so among those two quick ones follow each slow one.
    """
    plain: dict[bool, list[pytest.Item]] = {True: [], False: []}
    browser: dict[bool, list[pytest.Item]] = {True: [], False: []}
    for item in items:
        kinds = browser if item.get_closest_marker("browser") else plain
        kinds[item.get_closest_marker("slow") is not None].append(item)
    quick = iter(browser[False])
    mixed = [each for slow in browser[True] for each in (slow, *itertools.islice(quick, 2))]
    return [*plain[True], *plain[False], *mixed, *quick]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("postgres") and connection.vendor != "postgresql":
        pytest.skip("holds on PostgreSQL only: python -m tests.postgres pytest -m postgres")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """knox makes its own table although ours replaces it; no model knows it, so no flush could empty it."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS knox_authtoken")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on a free port; it checks every signature."""
    with serve_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_storage(s3: S3Server, settings: SettingsWrapper, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The site's default storage lies on the S3 server, as with ``S3_BUCKET`` set."""
    use_s3(s3, settings, monkeypatch)
    return s3


def use_s3(s3: S3Server, settings: SettingsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the site keep its files there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    settings.S3_BUCKET, settings.S3_ENDPOINT_URL, settings.S3_REGION = s3.bucket, s3.url, "us-east-1"
    settings.S3_ADDRESSING = "path"
    options = {
        "bucket_name": s3.bucket,
        "endpoint_url": s3.url,
        "region_name": "us-east-1",
        "signature_version": "s3v4",
        "file_overwrite": True,
        "default_acl": None,
        "querystring_auth": True,
    }
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    }
    assert type(storages["default"]).__name__ == "S3Storage"
    storage.s3_client.cache_clear()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def quiet_end(live_server: LiveServer) -> Iterator[None]:
    """No request is being answered any more while the database is emptied."""
    answering: set[Thread] = set()

    def begin(**_: Any) -> None:
        if current_thread() is not main_thread():  # a test's own client
            answering.add(current_thread())

    def end(**_: Any) -> None:
        answering.discard(current_thread())

    request_started.connect(begin)
    request_finished.connect(end)
    yield
    deadline = time.monotonic() + 10
    time.sleep(0.05)  # for one that has only just been sent
    while any(thread.is_alive() for thread in answering.copy()) and time.monotonic() < deadline:
        time.sleep(0.05)
    request_started.disconnect(begin)
    request_finished.disconnect(end)


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, quiet_end: None) -> Iterator[Page]:
    """A fresh page on the live server; an error in the console or a breach of the CSP fails the test."""
    complaints: list[str] = []
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type == "error" and not ANSWERS.search(message.text)
            else None
        ),
    )
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def signed_in_page(page: Page, live_server: LiveServer, admin_user: User) -> Page:
    """An empty page whose visitor is the superuser."""
    let_in(page.context, live_server.url, admin_user)
    return page


@pytest.fixture
def media(settings: SettingsWrapper, tmp_path: Path) -> Path:
    """Files of this test only: the default storage lies in its own folder."""
    settings.MEDIA_ROOT = tmp_path / "media"
    storage = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": settings.MEDIA_ROOT, "allow_overwrite": True},
    }
    settings.STORAGES = settings.STORAGES | {"default": storage}
    return tmp_path / "media"
