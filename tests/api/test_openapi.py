"""The API answers what its description says, whatever it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from playwright.sync_api import Page
from pytest_django.fixtures import Settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from actors.tokens import make_token
from tests.factories import make_actor, make_version
from tests.runpod_simulator import Simulator
from tests.training.batch_steps import plan
from tests.training.previewing import make_drawable, ordered
from training.models import PromptSet, Status

# drf-spectacular has no types here.
DESCRIPTION = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
schema = schemathesis.openapi.from_dict(DESCRIPTION)
schema.config.phases.coverage.unexpected_methods = set()
schema.app = get_wsgi_application()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Simulator]:
    with Simulator(seed=1).serve() as simulator:
        yield simulator


@pytest.fixture
def ids(db: None, settings: Settings, endpoint: Simulator, media: Path) -> Iterator[dict[str, int]]:
    """A registry with something of everything, an endpoint, and ids that exist."""
    # As Django's own test client does: a request must not close the connection of the test's transaction.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    settings.RUNPOD_BASE_URL, settings.RUNPOD_ENDPOINT_ID = endpoint.url, endpoint.endpoint_id
    settings.RUNPOD_API_KEY = endpoint.api_key
    actor = make_actor(images=12)
    make_version(actor, status=Status.FAILED)
    version = make_version(actor)
    version.mark_good()
    preview = ordered(version=make_drawable())
    image = actor.dataset.images.first()
    assert image is not None
    prompts = PromptSet.objects.values_list("pk", flat=True)[0]
    rows = {"previews": preview.pk, "prompt-sets": prompts}
    yield rows | {"actors": actor.pk, "versions": version.pk, "images": image.pk, "batches": plan(2).pk}
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def bearer(admin_user: User) -> dict[str, str]:
    _, text = make_token(admin_user, "tests", ["read", "train", "curate"])
    return {"Authorization": f"Bearer {text}", "Accept-Encoding": "identity"}


@schema.parametrize()
@hypothesis.settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
def test_every_answer_is_a_documented_one(
    case: schemathesis.Case[Any], ids: dict[str, int], bearer: dict[str, str]
) -> None:
    kind = case.path.split("/")[2] if case.path.startswith("/api/") else ""
    asked = case.path_parameters.get("id") if case.path_parameters else None
    if asked == 0 or (isinstance(asked, int) and asked % 3):  # most of the time somebody who exists
        case.path_parameters["id"] = ids.get(kind, asked)
    if case.method == "PATCH" and isinstance(asked, int) and asked % 5:
        case.headers["If-Match"] = "*"
    case.call_and_validate(headers=bearer, checks=CHECKS)


def test_every_operation_is_summed_up() -> None:
    operations = [each for methods in DESCRIPTION["paths"].values() for each in methods.values()]
    assert [each["operationId"] for each in operations if not each.get("summary")] == []


@pytest.mark.django_db
def test_the_description_is_served(admin_client: Client) -> None:
    answer = admin_client.get("/api/schema?format=json")
    assert answer.status_code == 200
    paths: dict[str, Any] = answer.json()["paths"]
    assert {"/actors.json", "/api/actors/{id}/training-versions", "/api/versions"} <= set(paths)


def test_nothing_in_the_description_had_to_be_guessed() -> None:
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=StringIO())


def test_the_page_about_the_api_works_offline_under_the_strict_policy(
    signed_in_page: Page, live_server: Any
) -> None:
    asked: list[str] = []
    signed_in_page.on("request", lambda request: asked.append(request.url))
    signed_in_page.goto("/api/docs")
    signed_in_page.get_by_text("Launch a training").click()
    signed_in_page.get_by_text("Recommended, but longer").first.wait_for(state="attached")
    assert [url for url in asked if not url.startswith((live_server.url, "data:"))] == []
