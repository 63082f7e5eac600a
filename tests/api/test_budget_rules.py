"""Ceilings over the API: admins make, change and delete them, nobody else sees them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from actors.permissions import ensure_roles
from actors.tokens import make_token
from training import budgets
from training.budget_models import BudgetRule

pytestmark = pytest.mark.django_db
RULES = "/api/budget-rules"


@pytest.fixture(autouse=True)
def roles(db: None) -> None:
    ensure_roles()


@pytest.fixture
def ines() -> User:
    return User.objects.create_user("ines")


def send(client: Client, method: str, where: str, body: Any = None, **headers: str) -> Any:
    return getattr(client, method)(where, body or {}, content_type="application/json", headers=headers)


def test_a_rule_is_made_read_changed_and_deleted(admin_client: Client, ines: User) -> None:
    made = send(admin_client, "post", RULES, {"person": "ines", "dollars": "50.00", "trainings": 20})
    assert made.status_code == 201, made.text
    assert made.json() | {"id": 0, "updated_at": ""} == {
        "id": 0,
        "person": "ines",
        "role": None,
        "whose": "ines",
        "dollars": "50.00",
        "trainings": 20,
        "updated_at": "",
    }
    assert budgets.ceiling_of(ines).dollars == Decimal(50)
    where = f"{RULES}/{made.json()['id']}"
    tag = admin_client.get(where)["ETag"]
    changed = send(admin_client, "patch", where, {"dollars": None}, if_match=tag)
    assert (changed.status_code, changed.json()["dollars"], changed.json()["trainings"]) == (200, None, 20)
    assert budgets.ceiling_of(ines).dollars is None
    assert admin_client.delete(where).status_code == 204
    assert not budgets.ceiling_of(ines).is_set
    assert admin_client.get(where).status_code == 404


def test_everybody_and_roles_have_rules_too(admin_client: Client, ines: User) -> None:
    assert send(admin_client, "post", RULES, {"trainings": 3}).json()["whose"] == "everybody"
    made = send(admin_client, "post", RULES, {"role": "Trainer", "trainings": 5})
    assert made.json()["whose"] == "the role Trainer"
    assert [rule["whose"] for rule in admin_client.get(RULES).json()["results"]] == [
        "everybody",
        "the role Trainer",
    ]
    assert budgets.ceiling_of(ines).trainings == 3


def test_who_changed_it_stands_in_the_history(admin_client: Client) -> None:
    where = f"{RULES}/{send(admin_client, 'post', RULES, {'trainings': 3}).json()['id']}"
    send(admin_client, "patch", where, {"trainings": 4}, if_match="*")
    admin_client.delete(where)
    lines = BudgetRule.history.order_by("history_id").values_list(
        "history_type", "trainings", "history_user__username"
    )
    assert list(lines) == [("+", 3, "admin"), ("~", 4, "admin"), ("-", 4, "admin")]


def test_a_change_needs_the_etag_of_what_was_read(admin_client: Client) -> None:
    where = f"{RULES}/{send(admin_client, 'post', RULES, {'trainings': 3}).json()['id']}"
    tag = admin_client.get(where)["ETag"]
    assert send(admin_client, "patch", where, {"trainings": 4}).status_code == 428
    assert send(admin_client, "patch", where, {"trainings": 4}, if_match=tag).status_code == 200
    assert send(admin_client, "patch", where, {"trainings": 5}, if_match=tag).status_code == 412
    assert BudgetRule.objects.get().trainings == 4


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"person": "nobody"}, "person", "Nobody who is active signs in as nobody."),
        ({"person": "gone"}, "person", "Nobody who is active signs in as gone."),
        ({"person": 7}, "person", "Nobody who is active signs in as 7."),
        ({"person": ["ines"]}, "person", "Nobody who is active signs in as"),
        ({"role": "Boss"}, "role", "There is no role Boss."),
        ({"person": "ines", "role": "Trainer"}, "role", "Name a person or a role, not both."),
        ({"dollars": "-1"}, "dollars", "greater than or equal to 0"),
        ({"dollars": "NaN"}, "dollars", "A valid number is required."),
        ({"dollars": "1.234"}, "dollars", "no more than 2 decimal places"),
        ({"trainings": -1}, "trainings", "greater than or equal to 0"),
        ({"trainings": 2**63}, "trainings", "less than or equal to"),
        ({"trainings": 1.5}, "trainings", "A valid integer is required."),
    ],
)
def test_wrong_rules_are_refused_with_the_field(
    admin_client: Client, ines: User, body: dict[str, Any], field: str, says: str
) -> None:
    User.objects.create_user("gone", is_active=False)
    answer = send(admin_client, "post", RULES, body)
    assert answer.status_code == 400
    assert says in answer.json()[field][0]
    assert not BudgetRule.objects.exists()


@pytest.mark.parametrize("whose", [{}, {"person": "ines"}, {"role": "Trainer"}])
def test_there_is_one_rule_for_each(admin_client: Client, ines: User, whose: dict[str, str]) -> None:
    assert send(admin_client, "post", RULES, whose | {"trainings": 3}).status_code == 201
    again = send(admin_client, "post", RULES, whose | {"trainings": 4})
    assert again.status_code == 400
    assert "already: change that one." in again.json()["whose"][0]
    assert BudgetRule.objects.get().trainings == 3


def test_a_rule_stays_with_whom_it_is_for(admin_client: Client, ines: User) -> None:
    rule = BudgetRule.objects.create(user=ines, trainings=3)
    where = f"{RULES}/{rule.pk}"
    moved = send(admin_client, "patch", where, {"role": "Trainer", "person": None}, if_match="*")
    assert moved.status_code == 400
    assert "delete it and make another" in moved.json()["whose"][0]
    same = send(admin_client, "patch", where, {"person": "ines", "trainings": 4}, if_match="*")
    assert (same.status_code, same.json()["trainings"]) == (200, 4)


@pytest.mark.parametrize("role", ["Viewer", "Trainer", "Curator"])
def test_only_admins_see_and_change_them(role: str, ines: User) -> None:
    ines.groups.add(Group.objects.get(name=role))
    rule = BudgetRule.objects.create(trainings=3)
    client = Client()
    client.force_login(ines, backend="allauth.account.auth_backends.AuthenticationBackend")
    for method, where in (
        ("get", RULES),
        ("post", RULES),
        ("get", f"{RULES}/{rule.pk}"),
        ("patch", f"{RULES}/{rule.pk}"),
        ("delete", f"{RULES}/{rule.pk}"),
    ):
        assert send(client, method, where).status_code == 403
    assert Client().get(RULES).status_code == 401
    assert BudgetRule.objects.get() == rule


def test_no_token_administers(admin_user: User) -> None:
    _, text = make_token(admin_user, "test", ["read", "train", "curate"])
    answer = Client(headers={"authorization": f"Bearer {text}"}).get(RULES)
    assert (answer.status_code, answer.json()["detail"]) == (403, "Tokens can't do this. Sign in instead.")


def test_a_rule_is_not_replaced_whole(admin_client: Client) -> None:
    rule = BudgetRule.objects.create(trainings=3)
    assert send(admin_client, "put", f"{RULES}/{rule.pk}", {"trainings": 4}).status_code == 405


def test_a_list_takes_as_many_queries_for_many_rules_as_for_one(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(RULES).status_code == 200
        return len(captured)

    BudgetRule.objects.create(trainings=3)
    few = queries()
    for number in range(5):
        BudgetRule.objects.create(user=User.objects.create_user(f"person{number}"), trainings=number)
    assert queries() == few
