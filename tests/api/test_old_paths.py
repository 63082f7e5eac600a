"""The three addresses that the old system's clients know."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from actors.models import Actor
from tests.factories import make_actor, make_version
from training.models import Status, TrainingVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(admin_user: User) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


def listed(client: Client, actor: Actor) -> list[dict[str, Any]]:
    versions: list[dict[str, Any]] = client.get(f"/api/actors/{actor.pk}/training-versions").json()[
        "versions"
    ]
    return versions


def save(client: Client, actor: Actor, versions: Any, tag: str = "") -> Any:
    return client.post(
        f"/api/actors/{actor.pk}/training-versions",
        json.dumps({"versions": versions}),
        content_type="application/json",
        headers={"If-Match": tag} if tag else {},
    )


def mark(client: Client, actor: Actor, body: Any) -> Any:
    address = f"/api/actors/{actor.pk}/mark-good"
    return client.post(address, json.dumps(body), content_type="application/json")


def arriving(public_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": public_id,
        "name": public_id,
        "status": "completed",
        "loraUrl": None,
        "parameters": {},
    } | fields


def test_mark_good_answers_all_versions_and_actors_json_follows(client: Client) -> None:
    actor = make_actor()
    one, two = make_version(actor), make_version(actor)
    mark(client, actor, {"versionId": one.public_id})
    answer = mark(client, actor, {"versionId": two.public_id}).json()
    assert answer["success"] is True
    assert [(v["name"], v["isGood"]) for v in answer["versions"]] == [("V2", True), ("V1", False)]
    assert (
        json.loads(client.get("/actors.json").getvalue())[0]["validated_lora_model"]["version_id"]
        == two.public_id
    )


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({}, 400, "Missing versionId"),
        ({"versionId": ""}, 400, "Missing versionId"),
        ([], 400, "Missing versionId"),
        ({"versionId": 7}, 400, "versionId: must be a text"),
        ({"versionId": "nobody"}, 404, "Version not found"),
        ({"versionId": "x\0"}, 400, "versionId: holds characters that are not text."),
    ],
)
def test_a_bad_mark_says_what_is_wrong(client: Client, body: Any, status: int, error: str) -> None:
    answer = mark(client, make_actor(), body)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_only_a_completed_version_can_be_marked(client: Client) -> None:
    version = make_version(status=Status.FAILED)
    answer = mark(client, version.actor, {"versionId": version.public_id})
    assert answer.status_code == 409
    assert "only a completed version" in answer.json()["error"]


def test_an_unknown_actor_is_a_404_and_an_actor_without_versions_an_empty_list(client: Client) -> None:
    assert client.get("/api/actors/99/training-versions").json() == {"error": "Actor not found"}
    assert client.get(f"/api/actors/{2**70}/training-versions").status_code == 404
    assert listed(client, make_actor()) == []


def test_the_list_has_an_etag_and_answers_304(client: Client) -> None:
    address = f"/api/actors/{make_version().actor_id}/training-versions"
    tag = client.get(address)["ETag"]
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 304


def test_a_new_version_is_added_and_nothing_that_is_missing_goes(client: Client) -> None:
    version = make_version()
    answer = save(client, version.actor, [arriving("from-a-client", note="kept")])
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert {v["id"] for v in listed(client, version.actor)} == {version.public_id, "from-a-client"}
    assert next(v for v in listed(client, version.actor) if v["id"] == "from-a-client")["note"] == "kept"


def test_people_change_names_and_descriptions_by_the_list(client: Client) -> None:
    version = make_version()
    save(client, version.actor, [listed(client, version.actor)[0] | {"name": "best", "description": "calm"}])
    version.refresh_from_db()
    assert (version.name, version.description) == ("best", "calm")


def test_a_stale_list_undoes_nothing_that_the_server_knows(client: Client) -> None:
    actor = make_actor()
    version = make_version(actor, status=Status.TRAINING)
    stale = listed(client, actor)
    version.complete("https://bucket.s3.amazonaws.com/lora.safetensors", lora_name="lora")
    make_version(actor).mark_good()
    save(client, actor, [stale[0] | {"error": "old", "loraUrl": "https://example.com/other"}])
    version.refresh_from_db()
    assert (version.status, version.error) == (Status.COMPLETED, "")
    assert version.lora_url == "https://bucket.s3.amazonaws.com/lora.safetensors"


def test_a_stale_list_does_not_take_the_mark_back(client: Client) -> None:
    actor = make_actor()
    one, two = make_version(actor), make_version(actor)
    one.mark_good()
    stale = listed(client, actor)
    two.mark_good()
    save(client, actor, stale)
    assert actor.versions.get(is_good=True) == two


def test_a_claim_that_was_never_told_before_moves_the_mark(client: Client) -> None:
    actor = make_actor()
    one, two = make_version(actor), make_version(actor)
    one.mark_good()
    newest, oldest = listed(client, actor)
    save(client, actor, [newest | {"isGood": True}, oldest | {"isGood": True}])
    assert actor.versions.get(is_good=True) == two


def test_a_client_that_trains_by_itself_reports_the_end_by_the_list(client: Client) -> None:
    actor = make_actor()
    save(client, actor, [arriving("job-1", status="training")])
    save(client, actor, [arriving("job-1", loraUrl="https://example.com/a.safetensors")])
    save(client, actor, [arriving("job-1", status="training")])
    version = actor.versions.get()
    assert (version.status, version.lora_name) == (Status.COMPLETED, "a.safetensors")


def test_with_if_match_the_list_becomes_exactly_this_one(client: Client) -> None:
    actor = make_actor()
    save(client, actor, [arriving("a", isGood=True), arriving("b"), arriving("c")])
    present = client.get(f"/api/actors/{actor.pk}/training-versions")
    wanted = [
        v | {"isGood": v["id"] == "b", "loraUrl": "https://example.com/n"} for v in present.json()["versions"]
    ]
    wanted = [v for v in wanted if v["id"] != "c"] + [arriving("d", timestamp="2026-01-01T00:00:00.000Z")]
    assert save(client, actor, wanted, present["ETag"]).status_code == 200
    assert sorted(listed(client, actor), key=str) == sorted(wanted, key=str)


def test_with_an_old_if_match_nothing_is_replaced(client: Client) -> None:
    actor = make_actor()
    tag = client.get(f"/api/actors/{actor.pk}/training-versions")["ETag"]
    make_version(actor)
    answer = save(client, actor, [], tag)
    assert (answer.status_code, actor.versions.count()) == (412, 1)
    assert "have changed since" in answer.json()["error"]


def test_a_replacement_cannot_rewrite_what_was_trained_here(client: Client) -> None:
    version = make_version(status=Status.FAILED, error="no")
    present = client.get(f"/api/actors/{version.actor_id}/training-versions")
    wanted = [present.json()["versions"][0] | {"status": "completed"}]
    answer = save(client, version.actor, wanted, present["ETag"])
    assert answer.status_code == 409
    assert "status: V1 was trained here" in answer.json()["error"]


def test_a_replacement_cannot_leave_out_a_running_training(client: Client) -> None:
    version = make_version(status=Status.QUEUED)
    answer = save(client, version.actor, [], "*")
    assert (answer.status_code, TrainingVersion.objects.count()) == (409, 1)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{", "This is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"versions": ' + '{"a":' * 60 + "1" + "}" * 61, "nested too deeply"),
        ('{"versions": NaN}', "NaN is not a JSON number"),
        ("{}", 'Training versions come as {"versions": [...]}'),
        ('{"versions": [1]}', "Version 0: not an object"),
        ('{"versions": [{"id": "a", "name": "a", "status": "done"}]}', "status: must be one of"),
        (
            '{"versions": [{"id": "a", "name": "\\ud800", "status": "failed"}]}',
            "versions.0.name: holds characters",
        ),
        (
            '{"versions": [{"id": "a", "name": "a", "status": "failed", "isGood": true}]}',
            "isGood: a is failed",
        ),
        (b"\xff", "not JSON"),
    ],
)
def test_a_bad_list_names_the_field_and_writes_nothing(client: Client, body: Any, says: str) -> None:
    actor = make_actor()
    address = f"/api/actors/{actor.pk}/training-versions"
    answer = client.post(address, body, content_type="application/json")
    assert answer.status_code in (400, 409)
    assert says in answer.json()["error"]
    assert not actor.versions.exists()


def test_strangers_get_a_401_in_the_old_words() -> None:
    answer = Client().get(f"/api/actors/{make_actor().pk}/training-versions")
    assert answer.status_code == 401
    assert set(answer.json()) == {"error"}


def test_without_the_csrf_token_a_browser_session_changes_nothing(admin_user: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)
    version = make_version()
    answer = mark(strict, version.actor, {"versionId": version.public_id})
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["error"]


def test_a_body_is_read_as_json_whatever_its_type(client: Client) -> None:
    version = make_version()
    address, body = f"/api/actors/{version.actor_id}/mark-good", json.dumps({"versionId": version.public_id})
    answer = client.post(address, body, content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()["success"]) == (200, True)
