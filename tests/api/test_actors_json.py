"""``/actors.json`` over HTTP."""

from __future__ import annotations

import gzip
import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from actors.tokens import make_token
from tests.factories import make_actor, make_version

pytestmark = pytest.mark.django_db


def test_strangers_are_refused_unless_it_is_public(client: Client, settings: Settings) -> None:
    make_actor(name="anna")
    refused = client.get("/actors.json")
    assert (refused.status_code, set(refused.json())) == (401, {"error"})
    settings.ACTORS_JSON_PUBLIC = True
    assert json.loads(client.get("/actors.json").getvalue())[0]["name"] == "anna"


def test_a_token_with_the_scope_reads_it_and_another_does_not(client: Client, admin_user: User) -> None:
    _, reader = make_token(admin_user, "nightly export", ["read"])
    _, trainer = make_token(admin_user, "launcher", ["train"])
    answers = [
        client.get("/actors.json", headers={"Authorization": f"Bearer {text}"})
        for text in (reader, trainer, "at_wrong")
    ]
    assert [answer.status_code for answer in answers] == [200, 403, 401]
    assert "lacks the scope read" in answers[1].json()["error"]


def test_a_reader_who_knows_it_gets_a_304_until_it_changes(admin_client: Client) -> None:
    version = make_version()
    tag = admin_client.get("/actors.json")["ETag"]
    assert admin_client.get("/actors.json", headers={"If-None-Match": tag}).status_code == 304
    version.mark_good()
    changed = admin_client.get("/actors.json", headers={"If-None-Match": tag})
    assert (changed.status_code, changed["ETag"] != tag) == (200, True)


def test_gzip_is_the_same_text_under_a_tag_of_its_own(admin_client: Client) -> None:
    make_actor()
    plain = admin_client.get("/actors.json")
    packed = admin_client.get("/actors.json", headers={"Accept-Encoding": "br, gzip"})
    assert packed["Content-Encoding"] == "gzip"
    body = packed.getvalue()
    assert (gzip.decompress(body), str(len(body))) == (plain.getvalue(), packed["Content-Length"])
    assert packed["ETag"] != plain["ETag"]
    assert "Accept-Encoding" in packed["Vary"]


def test_only_listed_origins_read_it_from_a_page(admin_client: Client, settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://studio.example.com"]
    allowed = admin_client.get("/actors.json", headers={"Origin": "https://studio.example.com"})
    other = admin_client.get("/actors.json", headers={"Origin": "https://elsewhere.example.com"})
    assert allowed["Access-Control-Allow-Origin"] == "https://studio.example.com"
    assert "Access-Control-Allow-Origin" not in other
    assert "Access-Control-Allow-Credentials" not in allowed


def test_it_can_only_be_read(admin_client: Client) -> None:
    assert admin_client.post("/actors.json").status_code == 405
    assert admin_client.head("/actors.json").status_code == 200
