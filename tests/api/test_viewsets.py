"""The API beside the old paths."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_q.models import OrmQ

from actors.models import Actor
from actors.tokens import make_token
from tests.factories import make_actor, make_version
from training.models import Status, TrainingVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(admin_user: User) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


def send(client: Client, method: str, address: str, body: Any = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.generic(method, address, json.dumps(body), content_type="application/json", headers=named)


def names(client: Client, query: str) -> list[str]:
    return [each["name"] for each in client.get(f"/api/actors?{query}").json()["results"]]


def test_actors_are_searched_filtered_and_ordered(client: Client) -> None:
    one = make_actor(name="anna", age=30, sex="female", ethnicity="nordic", images=3)
    two = make_actor(name="boris", age=50, sex="male", ethnicity="slavic", images=1)
    make_actor(name="gone").retire()
    make_version(two).mark_good()
    assert names(client, "ordering=-name") == ["boris", "anna"]
    assert names(client, "search=ann") == ["anna"]
    assert names(client, "sex=MALE&age_min=40") == ["boris"]
    assert names(client, "has_good_version=false") == ["anna"]
    assert names(client, "retired=true") == ["gone"]
    shown = client.get(f"/api/actors/{one.pk}").json()
    assert (shown["images"], shown["synced_images"], shown["good_version"]) == (3, 3, None)


def test_pages_follow_each_other_to_the_end(client: Client) -> None:
    everyone = [make_actor(images=0).name for _ in range(7)]
    seen, address = [], "/api/actors?page_size=3"
    while address:
        page = client.get(address).json()
        seen += [each["name"] for each in page["results"]]
        address = page["next"]
    assert seen == everyone


def test_a_list_takes_the_same_queries_for_few_and_many(
    client: Client, django_assert_num_queries: Any
) -> None:
    for _ in range(3):
        make_version(make_actor(images=2)).mark_good()
    with django_assert_num_queries(4):  # session, person, page, good versions
        client.get("/api/actors")
    with django_assert_num_queries(3):
        client.get("/api/versions")


@pytest.mark.parametrize(
    ("query", "names_field"),
    [
        ("cursor=cD0lMDA=", "cursor"),
        ("ordering=-created_at&cursor=cD15ZXN0ZXJkYXk=", "cursor"),
        ("age_min=abc", "age_min"),
        ("sex=%00", "sex"),
    ],
)
def test_a_bad_question_names_the_field(client: Client, query: str, names_field: str) -> None:
    make_actor()
    answer = client.get(f"/api/actors?{query}")
    assert (answer.status_code, list(answer.json())) == (400, [names_field])


@pytest.mark.parametrize("number", [10**18, 2**63, 10**40, -1])
def test_ids_beyond_every_database_are_simply_not_there(client: Client, number: int) -> None:
    assert client.get(f"/api/actors/{number}").status_code == 404
    assert client.get(f"/api/versions?actor={number}").status_code in (200, 400)
    assert client.get(f"/api/images?actor={number}").status_code in (200, 400)


def test_a_new_actor_stands_last_with_an_empty_dataset(client: Client) -> None:
    make_actor()
    answer = send(client, "POST", "/api/actors", {"name": "Zoë “O'Hara” / 🎬", "age": 41})
    assert answer.status_code == 201
    assert json.loads(client.get("/actors.json").getvalue())[-1]["name"] == "Zoë “O'Hara” / 🎬"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "taken"}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 301}, "name"),
        ({"name": {"a": 1}}, "name"),
        ({"name": "x", "age": "old"}, "age"),
        ({"name": "x", "age": 2**70}, "age"),
        ({"name": "x", "description": 7, "sex": []}, "sex"),
        ([], "non_field_errors"),
    ],
)
def test_a_bad_actor_is_refused_by_field(client: Client, body: Any, field: str) -> None:
    make_actor(name="taken")
    answer = send(client, "POST", "/api/actors", body)
    assert (answer.status_code, field in answer.json()) == (400, True)
    assert Actor.objects.count() == 1


def test_two_people_editing_one_actor_do_not_overwrite_each_other(client: Client) -> None:
    address = f"/api/actors/{make_actor().pk}"
    tag = client.get(address)["ETag"]
    first = send(client, "PATCH", address, {"age": 52}, If_Match=tag)
    assert (first.status_code, first.json()["age"]) == (200, 52)
    assert send(client, "PATCH", address, {"age": 53}, If_Match=tag).status_code == 412
    assert send(client, "PATCH", address, {"age": 53}).status_code == 428
    assert send(client, "PATCH", address, {"age": 53}, If_Match=first["ETag"]).status_code == 200


def test_a_retired_actor_leaves_actors_json_and_comes_back(client: Client) -> None:
    actor = make_actor()
    assert send(client, "POST", f"/api/actors/{actor.pk}/retire").json()["retired_at"]
    assert json.loads(client.get("/actors.json").getvalue()) == []
    send(client, "POST", f"/api/actors/{actor.pk}/restore")
    assert len(json.loads(client.get("/actors.json").getvalue())) == 1


def test_an_image_left_out_is_left_out_of_the_registry_and_can_be_undone(client: Client) -> None:
    actor = make_actor(images=2)
    image = actor.dataset.images.all()[0]
    tag = client.get(f"/api/images/{image.pk}")["ETag"]
    answer = send(client, "PATCH", f"/api/images/{image.pk}", {"included": False}, If_Match=tag)
    assert answer.json()["included"] is False
    assert json.loads(client.get("/actors.json").getvalue())[0]["training_data"]["count"] == 1
    assert actor.dataset.changes.count() == 1


def test_a_launch_uses_the_recommended_values_where_none_are_named(client: Client) -> None:
    actor = make_actor()
    answer = send(
        client, "POST", "/api/versions", {"actor": actor.pk, "parameters": {"max_train_steps": 600}}
    )
    version = TrainingVersion.objects.get()
    assert (answer.status_code, answer.json()["id"]) == (201, version.pk)
    assert (version.max_train_steps, version.learning_rate) == (600, 0.002)
    again = send(client, "POST", "/api/versions", {"actor": actor.pk})
    assert again.status_code == 409
    assert "V1 is training already" in again.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "actor"),
        ({"actor": 10**30}, "actor"),
        ({"actor": 999}, "actor"),
        ({"parameters": {"max_train_steps": 1}}, "max_train_steps"),
        ({"parameters": {"speed": 1}}, "speed"),
        ({"parameters": []}, "parameters"),
        ({"preset": "wild"}, "preset"),
    ],
)
def test_a_bad_launch_names_the_field_and_starts_nothing(client: Client, body: Any, field: str) -> None:
    actor = make_actor()
    answer = send(client, "POST", "/api/versions", {"actor": actor.pk} | body if body else body)
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert not TrainingVersion.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_launch_repeated_with_its_key_starts_one_training(client: Client) -> None:
    body = {"actor": make_actor().pk}
    first = send(client, "POST", "/api/versions", body, Idempotency_Key="k1")
    again = send(client, "POST", "/api/versions", body, Idempotency_Key="k1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again["Idempotency-Replayed"] == "true"
    assert (TrainingVersion.objects.count(), OrmQ.objects.count()) == (1, 1)
    other = send(client, "POST", "/api/versions", body | {"preset": "quick"}, Idempotency_Key="k1")
    assert other.status_code == 422


def test_a_refused_launch_leaves_its_key_free(client: Client) -> None:
    actor = make_actor()
    active = make_version(actor, status=Status.QUEUED)
    body = {"actor": actor.pk}
    assert send(client, "POST", "/api/versions", body, Idempotency_Key="k2").status_code == 409
    active.cancel()
    assert send(client, "POST", "/api/versions", body, Idempotency_Key="k2").status_code == 201


def test_a_version_is_cancelled_once_and_trained_again(client: Client) -> None:
    version = make_version(status=Status.PENDING)
    address = f"/api/versions/{version.pk}"
    assert send(client, "POST", f"{address}/retry").status_code == 409
    assert send(client, "POST", f"{address}/cancel").json()["status"] == "cancelled"
    assert send(client, "POST", f"{address}/cancel").status_code == 409
    again = send(client, "POST", f"{address}/retry")
    assert (again.status_code, again.json()["repeats"]) == (201, version.pk)
    assert "Cancelled" in [event["message"] for event in client.get(f"{address}/events").json()]


def test_a_version_is_marked_with_a_reason_and_unmarked(client: Client) -> None:
    version = make_version()
    address = f"/api/versions/{version.pk}"
    marked = send(client, "POST", f"{address}/mark-good", {"reason": "calm light"}).json()
    assert (marked["is_good"], marked["good_by"], marked["good_reason"]) == (True, "admin", "calm light")
    assert send(client, "POST", f"{address}/unmark-good").json()["is_good"] is False


def test_the_lora_of_the_good_version_has_one_stable_address(client: Client) -> None:
    actor = make_actor()
    address = f"/api/actors/{actor.pk}/lora"
    assert "no good version yet" in client.get(address).json()["detail"]
    make_version(actor).mark_good()
    first = client.get(address)
    assert (first.status_code, first["Location"]) == (302, actor.versions.get().lora_address)
    assert client.get(address, headers={"If-None-Match": first["ETag"]}).status_code == 304
    make_version(actor).mark_good()
    assert client.get(address, headers={"If-None-Match": first["ETag"]}).status_code == 302


def test_recommendations_and_estimates_change_nothing(client: Client) -> None:
    adjusted = send(client, "POST", "/api/auto-adjust", {"image_count": 12}).json()
    assert adjusted["parameters"]["max_train_steps"] == 300
    body = {"actor": make_actor().pk, "parameters": {"max_train_steps": 800}}
    short = send(client, "POST", "/api/estimate", body | {"parameters": {"max_train_steps": 100}}).json()
    assert send(client, "POST", "/api/estimate", body).json()["seconds"] > short["seconds"] > 0
    assert list(send(client, "POST", "/api/auto-adjust", {"image_count": 0}).json()) == ["image_count"]
    assert len(client.get("/api/presets").json()["parameters"]) == 11
    assert not TrainingVersion.objects.exists()


def test_an_import_is_tried_dry_and_then_done(client: Client) -> None:
    records = [{"id": 7, "name": "seven", "odd": "\ud800"}]
    dry = send(client, "POST", "/api/registry/import?dry_run=true", records).json()
    assert (dry["created"], dry["lines"], Actor.objects.count()) == (1, ["+ 7 seven"], 0)
    assert send(client, "POST", "/api/registry/import", records).json()["created"] == 1
    assert json.loads(client.get("/api/registry/export").getvalue()) == records
    bad = send(client, "POST", "/api/registry/import", [{"id": 8}])
    assert "Record 0 (id 8)" in bad.json()["registry"][0]


def test_a_dead_endpoint_is_a_502_with_the_reason(client: Client, settings: Any) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    answer = client.get("/api/endpoint/health")
    assert (answer.status_code, "127.0.0.1:9" in answer.json()["detail"]) == (502, True)


def test_me_says_who_asks_and_what_is_allowed(client: Client) -> None:
    me = client.get("/api/me").json()
    assert (me["username"], me["may"], me["scopes"]) == ("admin", ["view", "train", "curate", "admin"], None)


def test_the_registry_schema_is_the_importers(client: Client) -> None:
    answer = client.get("/api/schemas/actors.json")
    assert json.loads(answer.getvalue())["title"] == "actors.json"


def test_an_unknown_address_answers_json(client: Client) -> None:
    answer = client.get("/api/nowhere")
    assert (answer.status_code, set(answer.json())) == (404, {"detail", "error"})


def test_a_method_that_does_not_exist_is_405_also_for_a_narrow_token(admin_user: User) -> None:
    _, text = make_token(admin_user, "reader", ["read"])
    reader = Client(headers={"Authorization": f"Bearer {text}"})
    address = f"/api/actors/{make_actor().pk}"
    assert send(reader, "PUT", address, {}).status_code == 405
    assert send(reader, "DELETE", "/api/actors").status_code == 405
    assert send(reader, "PATCH", address, {}).status_code == 403
    assert send(Client(), "PUT", address, {}).status_code == 401
