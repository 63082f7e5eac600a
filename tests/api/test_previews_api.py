"""Previews and prompt sets over the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from actors.tokens import make_token
from tests.factories import make_version
from tests.training.previewing import PROMPT, make_drawable, ordered, store_pictures
from training import preview_reports
from training.models import Checkpoint, Preview, PromptSet

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


@pytest.fixture
def client(admin_user: User) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


def send(client: Client, method: str, address: str, body: Any = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.generic(method, address, json.dumps(body), content_type="application/json", headers=named)


def test_a_preview_is_ordered_read_and_cancelled(client: Client) -> None:
    version = make_drawable()
    order = {"version": version.pk, "prompt": PROMPT, "seed": 5, "strengths": [0, 1], "count": 2}
    made = send(client, "POST", "/api/previews", order)
    assert made.status_code == 201
    body = made.json()
    assert (body["status"], body["actor"], body["created_by"]) == ("pending", version.actor_id, "admin")
    assert [(image["seed"], image["strength"]) for image in body["images"]] == [
        (5, 0),
        (5, 1),
        (6, 0),
        (6, 1),
    ]
    assert {image["link"] for image in body["images"]} == {""}
    preview = Preview.objects.get()
    store_pictures(preview)
    preview_reports.recover(preview)
    read = client.get(f"/api/previews/{preview.pk}").json()
    assert read["status"] == "done"
    assert client.get(read["images"][0]["link"]).status_code == 200
    assert send(client, "POST", f"/api/previews/{preview.pk}/cancel").status_code == 409
    other = ordered(version)
    assert send(client, "POST", f"/api/previews/{other.pk}/cancel").json()["status"] == "cancelled"


def test_without_prompt_and_set_the_standard_set_is_drawn(client: Client) -> None:
    body = send(client, "POST", "/api/previews", {"version": make_drawable().pk}).json()
    assert body["title"] == "Standard: drawn portraits"
    assert len(body["images"]) == 8


def test_the_same_key_draws_once_and_with_another_body_is_refused(client: Client) -> None:
    order = {"version": make_drawable().pk, "prompt": PROMPT}
    first, second = (send(client, "POST", "/api/previews", order, Idempotency_Key="k") for _ in range(2))
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert Preview.objects.count() == 1
    other = send(client, "POST", "/api/previews", order | {"seed": 9}, Idempotency_Key="k")
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("order", "status", "says"),
    [
        ({"version": 999_999}, 400, "There is no version 999999."),
        ({}, 400, "required"),
        ({"prompt": PROMPT, "prompt_set": 1}, 400, "not both"),
        ({"prompt_set": 999_999}, 400, "There is no prompt set 999999."),
        ({"prompt": " "}, 400, "blank"),
        ({"strengths": []}, 400, "strengths"),
        ({"strengths": [3]}, 400, "less than or equal to 2"),
        ({"checkpoints": [77]}, 409, "No checkpoint of step 77"),
        ({"count": 8, "strengths": [1, 2]}, 409, "at most 96"),
    ],
)
def test_a_wrong_order_says_why_and_draws_nothing(
    client: Client, order: dict[str, Any], status: int, says: str
) -> None:
    named = order if not order or "version" in order else {"version": make_drawable().pk} | order
    answer = send(client, "POST", "/api/previews", named)
    assert answer.status_code == status
    assert says in answer.content.decode()
    assert not Preview.objects.exists()


def test_a_version_that_cannot_draw_is_a_conflict(client: Client) -> None:
    version = make_version(status="failed")
    answer = send(client, "POST", "/api/previews", {"version": version.pk})
    assert answer.status_code == 409
    assert "only a finished LoRA can draw" in answer.json()["detail"]


def test_checkpoints_are_drawn_beside_the_finished_lora(client: Client) -> None:
    version = make_drawable()
    Checkpoint.objects.create(version=version, step=60, url="s3://local/loras/60.safetensors")
    order = {"version": version.pk, "prompt": PROMPT, "checkpoints": [60, None], "strengths": [0, 1]}
    images = send(client, "POST", "/api/previews", order).json()["images"]
    assert [(image["strength"], image["checkpoint_step"]) for image in images] == [
        (0, None),
        (1, 60),
        (1, None),
    ]


def test_previews_are_listed_and_filtered(client: Client) -> None:
    one, other = ordered(), ordered()
    other.cancel()

    def found(query: str) -> list[int]:
        return [each["id"] for each in client.get(f"/api/previews?{query}").json()["results"]]

    assert found("") == [other.pk, one.pk]
    assert found("status=cancelled") == [other.pk]
    assert found(f"version={one.version_id}") == found(f"actor={one.version.actor_id}") == [one.pk]
    assert found("automatic=true") == []


def test_a_deleted_preview_is_gone(client: Client) -> None:
    preview = ordered()
    assert client.delete(f"/api/previews/{preview.pk}").status_code == 204
    assert client.get(f"/api/previews/{preview.pk}").status_code == 404


def test_a_prompt_set_is_made_changed_passed_on_and_deleted(client: Client) -> None:
    lines = [{"prompt": PROMPT, "seed": 1}]
    made = send(client, "POST", "/api/prompt-sets", {"name": "Ours", "subject": "drawn", "lines": lines})
    assert made.status_code == 201
    where = f"/api/prompt-sets/{made.json()['id']}"
    assert send(client, "PATCH", where, {"description": "x"}).status_code == 428
    tag = client.get(where).headers["ETag"]
    changed = send(client, "PATCH", where, {"lines": [*lines, {"prompt": "b", "seed": 2}]}, If_Match=tag)
    assert len(changed.json()["lines"]) == 2
    assert send(client, "POST", f"{where}/make-standard").json()["is_standard"]
    assert client.delete(where).status_code == 409
    refused = send(client, "PATCH", where, {"subject": "photographs"}, If_Match="*")
    assert "make another one the standard first" in refused.content.decode()
    before = PromptSet.objects.get(name="Standard: drawn portraits")
    assert client.delete(f"/api/prompt-sets/{before.pk}").status_code == 204


@pytest.mark.parametrize(
    "lines",
    [
        [],
        "x",
        [{"prompt": "a"}],
        [{"prompt": "a", "seed": -1}],
        [{"prompt": "a", "seed": 1}] * 2,
        [{"seed": 1}],
    ],
)
def test_wrong_lines_are_refused(client: Client, lines: Any) -> None:
    answer = send(client, "POST", "/api/prompt-sets", {"name": "Ours", "subject": "drawn", "lines": lines})
    assert answer.status_code == 400
    assert "lines" in answer.json()


def test_a_token_for_reading_orders_nothing(admin_user: User, client: Client) -> None:
    _, text = make_token(admin_user, "tests", ["read"])
    client.logout()
    answer = send(
        client, "POST", "/api/previews", {"version": make_drawable().pk}, Authorization=f"Bearer {text}"
    )
    assert answer.status_code == 403
    assert "scope train" in answer.json()["detail"]
