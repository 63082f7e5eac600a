"""Batches over the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from tests.factories import make_actor
from tests.training.batch_steps import begun, end_all, look_at_all, plan, states
from training import batch_api, batch_launches
from training.models import Batch, Status, TrainingVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(admin_user: User) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


def send(client: Client, method: str, address: str, body: Any = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.generic(method, address, json.dumps(body), content_type="application/json", headers=named)


def test_a_batch_is_planned_begun_followed_and_done(client: Client, admin_user: User) -> None:
    actors = [make_actor(), make_actor(images=0)]
    body = {"actors": [actor.pk for actor in actors], "parameters": {"max_train_steps": 40}, "name": "Night"}
    made = send(client, "POST", "/api/batches", body)
    assert made.status_code == 201
    asked = {"asked": "plan", "total": 2, "looked": 0, "ready": 0, "trouble": ""}
    assert (made.json()["state"], made.json()["planning"]) == ("planning", asked)
    address = f"/api/batches/{made.json()['id']}"
    look_at_all()
    found = client.get(address).json()
    assert (found["state"], found["counts"]) == ("planned", {"planned": 1, "blocked": 1})
    assert found["planning"]["asked"] == ""
    assert send(client, "POST", f"{address}/begin").json()["state"] == "planning"
    look_at_all()
    assert client.get(address).json()["state"] == "running"
    batch_launches.advance()
    version = TrainingVersion.objects.get()
    assert (version.created_by, version.max_train_steps) == (admin_user, 40)
    items = client.get(f"{address}/items").json()["results"]
    assert [(item["state"], item["version"]) for item in items] == [
        ("launched", version.pk),
        ("blocked", None),
    ]
    assert [item["actor"] for item in client.get(f"{address}/items?state=blocked").json()["results"]] == [
        actors[1].pk
    ]
    end_all(Batch.objects.get())
    batch_launches.advance()
    assert client.get(address).json()["state"] == "done"
    assert [event["message"] for event in client.get(f"{address}/events").json()][-1].startswith("Done")


def test_a_plan_that_is_not_kept_says_what_it_would_be(client: Client, settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.001
    body = {"actors": [make_actor().pk, make_actor(images=3).pk], "preset": "quick"}
    found = send(client, "POST", "/api/batches/plan", body).json()
    assert (found["ready"], found["blocked"]) == (1, 1)
    assert found["items"][0]["parameters"]["max_train_steps"] == 150
    assert found["items"][1]["reason"].startswith("Only 3 images")
    assert float(found["cost"]) == pytest.approx(float(found["items"][0]["cost"]))
    assert not Batch.objects.exists()


def test_more_than_five_hundred_are_not_planned_while_somebody_waits(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_api, "MOST_AT_ONCE", 1)
    answer = send(client, "POST", "/api/batches/plan", {"actors": [make_actor().pk, make_actor().pk]})
    assert answer.status_code == 400
    assert "choose at most 1, or POST /api/batches, which plans in the background" in answer.json()["detail"]


def test_one_actor_of_a_plan_gets_values_of_its_own_or_is_left_out(client: Client) -> None:
    batch = plan(2)
    actor = batch.items.all()[0].actor_id
    address = f"/api/batches/{batch.pk}/items/{actor}"
    changed = send(client, "PATCH", address, {"own_values": {"max_train_steps": 60}})
    assert (changed.status_code, changed.json()["parameters"]["max_train_steps"]) == (200, 60)
    assert client.get(address).json() == changed.json()
    refused = send(client, "PATCH", address, {"own_values": {"max_train_steps": 1}})
    assert (refused.status_code, "max_train_steps" in refused.json()) == (400, True)
    assert send(client, "PATCH", address, {"left_out": True}).json()["state"] == "left_out"
    assert send(client, "PATCH", address, {"own_values": {}}).json()["own_values"] == {}
    for nobody in (999, 10**30):
        assert client.get(f"/api/batches/{batch.pk}/items/{nobody}").status_code == 404
        assert send(client, "PATCH", f"/api/batches/{batch.pk}/items/{nobody}", {}).status_code == 404
    assert send(client, "POST", f"/api/batches/{batch.pk}/look-again").json()["state"] == "planning"
    assert send(client, "PATCH", address, {"left_out": False}).status_code == 409
    look_at_all()
    assert states(batch) == ["left_out", "planned"]


def test_a_batch_with_a_key_is_made_once(client: Client) -> None:
    body = {"actors": [make_actor().pk], "begin": True}
    first = send(client, "POST", "/api/batches", body, Idempotency_Key="night")
    second = send(client, "POST", "/api/batches", body, Idempotency_Key="night")
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert Batch.objects.count() == 1
    assert (
        send(client, "POST", "/api/batches", body | {"name": "x"}, Idempotency_Key="night").status_code == 422
    )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "Send one of actors"),
        ({"actors": [1], "fit_without_good": True}, "Send one of actors"),
        ({"actors": [99999]}, "No actor has the id or name: 99999"),
        ({"query": "state=none"}, "No actor is chosen"),
        ({"fit_without_good": True, "preset": "best"}, "The preset must be one of"),
        ({"fit_without_good": True, "parameters": {"max_train_steps": 1}}, "Steps must be"),
        ({"fit_without_good": True, "concurrency": 0}, "greater than or equal to 1"),
        ({"fit_without_good": True, "ceiling": "5"}, "A ceiling needs a price"),
        ({"fit_without_good": True, "ceiling": "-1"}, "above 0"),
        ({"fit_without_good": True, "time_zone": "Mars/Base"}, "no time zone"),
        ({"fit_without_good": True, "daily_from": "22:00"}, "both ends"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_by_name(
    client: Client, body: dict[str, Any], says: str
) -> None:
    make_actor()
    answer = send(client, "POST", "/api/batches", body)
    assert answer.status_code == 400
    assert says in answer.text
    assert not Batch.objects.exists()


def test_settings_change_with_the_etag_and_a_plan_is_made_anew(client: Client) -> None:
    batch = plan(1)
    address = f"/api/batches/{batch.pk}"
    assert send(client, "PATCH", address, {"preset": "quick"}).status_code == 428
    tag = client.get(address).headers["ETag"]
    changed = send(client, "PATCH", address, {"preset": "quick", "concurrency": 3}, If_Match=tag)
    assert (changed.status_code, changed.json()["concurrency"]) == (200, 3)
    look_at_all()
    assert batch.items.get().parameters["max_train_steps"] == 150
    assert send(client, "PATCH", address, {"concurrency": 4}, If_Match=tag).status_code == 412
    send(client, "POST", f"{address}/begin")
    look_at_all()
    refused = send(client, "PATCH", address, {"preset": "balanced"}, If_Match="*")
    assert (refused.status_code, "can't change any more" in refused.text) == (409, True)


def test_verbs_say_409_with_the_way_out_where_the_state_does_not_allow_them(client: Client) -> None:
    batch = begun(2)
    address = f"/api/batches/{batch.pk}"
    assert send(client, "DELETE", address).status_code == 409
    assert (
        send(client, "POST", f"{address}/resume").json()["detail"].endswith("only a paused batch can go on.")
    )
    assert send(client, "POST", f"{address}/pause").json()["state"] == "paused"
    assert send(client, "POST", f"{address}/resume").json()["state"] == "running"
    batch_launches.advance()
    end_all(batch, Status.FAILED)
    batch_launches.advance()
    assert send(client, "POST", f"{address}/retry").json()["planning"]["asked"] == "retry"
    look_at_all()
    assert client.get(address).json()["counts"]["waiting"] >= 1
    assert send(client, "POST", f"{address}/cancel").json()["state"] == "cancelled"
    batch_launches.advance()
    assert "launched" not in states(batch)
    planned = plan(1)
    assert send(client, "DELETE", f"/api/batches/{planned.pk}").status_code == 204


def test_the_list_takes_as_many_queries_for_six_batches_as_for_two(client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/api/batches?state=planned").status_code == 200
        return len(captured)

    for _ in range(2):
        plan(2)
    queries()
    two = queries()
    for _ in range(4):
        plan(2)
    assert queries() == two
