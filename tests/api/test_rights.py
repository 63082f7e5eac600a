"""Likeness rights and budgets over the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from pytest_django.fixtures import Settings

from actors import studio_time
from actors.models import LikenessRights, RightsPolicy
from actors.permissions import ensure_roles
from actors.tokens import make_token
from tests.factories import make_actor
from training.budget_models import BudgetMonth, BudgetRule
from training.models import TrainingVersion

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\nstartxref\n9\n%%EOF\n"
As = Callable[..., Client]


@pytest.fixture
def with_token(db: None) -> As:
    """A program with a token of somebody."""
    ensure_roles()

    def client(role: str = "Curator", *scopes: str) -> Client:
        person = User.objects.create_user(f"{role.lower()}s", password="x")
        person.groups.add(Group.objects.get(name=role))
        _, text = make_token(person, "test", list(scopes) or ["read", "train", "curate"])
        return Client(headers={"authorization": f"Bearer {text}"})

    return client


def put(client: Client, actor_id: int, facts: dict[str, Any], **headers: str) -> Any:
    address = f"/api/actors/{actor_id}/rights"
    return client.put(address, facts, content_type="application/json", headers=headers)


def test_rights_are_recorded_and_read(with_token: As) -> None:
    actor, curator = make_actor(), with_token()
    address = f"/api/actors/{actor.pk}/rights"
    assert curator.get(address).json()["state"] == "missing"
    ends = (studio_time.today() + timedelta(days=3)).isoformat()
    answer = put(curator, actor.pk, {"basis": "consent", "reference": "folder 7", "expires_on": ends})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["state"], told["expires_on"], told["reference"]) == ("expiring", ends, "folder 7")
    assert told["updated_by"] == "curators"
    assert LikenessRights.history.get().history_user.username == "curators"


def test_a_change_needs_the_etag_of_what_was_read(with_token: As) -> None:
    actor, curator = make_actor(), with_token()
    facts = {"basis": "synthetic"}
    tag = put(curator, actor.pk, facts)["ETag"]
    assert put(curator, actor.pk, facts).status_code == 428
    assert put(curator, actor.pk, facts | {"note": "a"}, if_match=tag).status_code == 200
    assert put(curator, actor.pk, facts, if_match=tag).status_code == 412


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"basis": "rumour"}, "basis"),
        ({"basis": "consent"}, "reference"),
        ({"basis": "synthetic", "valid_from": "2030-01-02", "expires_on": "2030-01-01"}, "detail"),
        ({"basis": "synthetic", "expires_on": "soon"}, "expires_on"),
    ],
)
def test_wrong_facts_are_named(with_token: As, facts: dict[str, str], field: str) -> None:
    answer = put(with_token(), make_actor().pk, facts)
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert not LikenessRights.objects.exists()


def test_the_paper_is_for_curators_and_tokens_made_for_it(with_token: As, media: Path) -> None:
    actor, curator = make_actor(), with_token()
    put(curator, actor.pk, {"basis": "licence", "reference": "L-1", "note": "secret"})
    address = f"/api/actors/{actor.pk}/rights/document"
    answer = curator.put(address + "?name=release.pdf", PDF, content_type="application/pdf")
    assert answer.json()["document_name"] == "release.pdf"
    assert curator.get(address).status_code == 302
    person = User.objects.get(username="curators")
    _, reading = make_token(person, "only reading", ["read"])
    reader = Client(headers={"authorization": f"Bearer {reading}"})
    for client in (with_token("Viewer"), reader):
        told = client.get(f"/api/actors/{actor.pk}/rights").json()
        assert told["has_document"]
        assert (told["reference"], told["note"], told["document_name"]) == (None, None, None)
        assert client.get(address).status_code == 403


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"<html>", "application/pdf", 400),
        (PDF, "text/html", 415),
        (b"%PDF-" + bytes(21 << 20), "image/png", 413),
    ],
)
def test_what_is_no_document_is_refused(
    with_token: As, media: Path, content: bytes, kind: str, status: int
) -> None:
    actor, curator = make_actor(), with_token()
    put(curator, actor.pk, {"basis": "synthetic"})
    address = f"/api/actors/{actor.pk}/rights/document"
    assert curator.put(address, content, content_type=kind).status_code == status
    assert not LikenessRights.objects.get().document


def test_a_document_needs_rights_that_it_proves(with_token: As, media: Path) -> None:
    address = f"/api/actors/{make_actor().pk}/rights/document"
    answer = with_token().put(address, PDF, content_type="application/pdf")
    assert answer.status_code == 409
    assert "Record the rights first" in answer.json()["detail"]


def test_removed_rights_stay_in_the_history(with_token: As) -> None:
    actor, curator = make_actor(), with_token()
    put(curator, actor.pk, {"basis": "synthetic"})
    for _ in range(2):
        assert curator.delete(f"/api/actors/{actor.pk}/rights").status_code == 204
    kinds = LikenessRights.history.values_list("history_type", "history_user__username")
    assert list(kinds) == [("-", "curators"), ("+", "curators")]


def test_the_list_filters_by_state(with_token: As) -> None:
    held, bare, curator = make_actor(), make_actor(), with_token()
    put(curator, held.pk, {"basis": "synthetic", "expires_on": "2020-01-01"})
    for state, found in (("expired", held), ("missing", bare)):
        results = curator.get("/api/rights", {"state": state}).json()["results"]
        assert [each["actor"] for each in results] == [found.pk]
    assert curator.get("/api/rights", {"state": "lost"}).status_code == 400


def test_the_rule_is_switched_by_admins_who_have_signed_in(with_token: As, admin_client: Client) -> None:
    body: dict[str, Any] = {"data": {"required": True}, "content_type": "application/json"}
    assert with_token("Admin").put("/api/rights/policy", **body).status_code == 403
    assert admin_client.put("/api/rights/policy", **body).json() == {"required": True}
    assert RightsPolicy.requires_rights()


def test_a_launch_without_rights_is_a_409_that_says_why(with_token: As) -> None:
    RightsPolicy.switch(required=True, by=None)
    answer = with_token("Trainer", "train").post(
        "/api/versions", {"actor": make_actor().pk}, content_type="application/json"
    )
    assert answer.status_code == 409
    assert "No rights to this likeness are on record." in answer.json()["detail"]


def test_a_launch_over_the_budget_is_a_409_and_counts_for_the_tokens_owner(
    with_token: As, settings: Settings
) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.01
    trainer = with_token("Trainer")
    actor = make_actor()
    assert trainer.get("/api/budget").json()["dollars"] is None
    BudgetRule.objects.create(dollars=Decimal("0.01"))
    answer = trainer.post("/api/versions", {"actor": actor.pk}, content_type="application/json")
    assert answer.status_code == 409
    assert "$0.00 of $0.01 are used" in answer.json()["detail"]
    assert not TrainingVersion.objects.exists()
    BudgetRule.objects.update(dollars=Decimal(50))
    assert (
        trainer.post("/api/versions", {"actor": actor.pk}, content_type="application/json").status_code == 201
    )
    told = trainer.get("/api/budget").json()
    assert told["reserved"] == str(BudgetMonth.objects.get(user__username="trainers").reserved) != "0.0000"
    assert (told["dollars"], told["trainings"], told["rule_of"]) == ("50.0000", 1, "everybody")
