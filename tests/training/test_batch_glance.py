"""What the library's selection bar says of the chosen actors, before there is a plan."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from tests.factories import make_actor
from training.batch_glance import MOST, glance
from training.models import BatchItem

pytestmark = pytest.mark.django_db
QUERIES = 12


def test_it_says_who_can_train_how_long_it_takes_and_what_it_costs(settings: Settings) -> None:
    actors = [make_actor(), make_actor()]
    assert glance([actor.pk for actor in actors]).startswith("2 can train now, about ")
    assert "$" not in glance([actors[0].pk])
    settings.GPU_PRICE_PER_SECOND = Decimal("0.01")
    assert " and $" in glance([actors[0].pk])


def test_it_names_who_cannot_and_why() -> None:
    few, *rest = [make_actor(images=3), make_actor(images=0), make_actor(images=0), make_actor(images=0)]
    assert glance([few.pk]) == f"Nobody can train now. {few.number} cannot: Only 3 images: 10 is the floor."
    told = glance([make_actor().pk, few.pk, *(actor.pk for actor in rest)])
    assert told.startswith("1 can train now")
    assert f"{rest[0].number} cannot: " in told
    assert told.endswith("2 more cannot.")


def test_of_very_many_the_plan_tells(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert glance(range(MOST + 1)).startswith("The plan says")


def test_asking_takes_the_same_queries_for_one_and_many_and_writes_nothing(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    actors = [make_actor().pk for _ in range(6)]
    for ids in (actors[:1], actors):
        with django_assert_max_num_queries(QUERIES):
            glance(ids)
    assert not BatchItem.objects.exists()


def test_the_bar_asks_for_it_and_only_trainers_may(admin_client: Client, client: Client) -> None:
    actor = make_actor()
    assert 'data-glance="/batches/selected"' in admin_client.get("/actors/").text
    answer = admin_client.get(f"/batches/selected?ids={actor.pk},x,,99999999999")
    assert answer.text.startswith("1 can train now")
    assert answer["Content-Type"] == "text/plain"
    assert admin_client.post("/batches/selected").status_code == 405
    client.force_login(User.objects.create_user("nobody"))
    assert client.get("/batches/selected?ids=1").status_code == 403
