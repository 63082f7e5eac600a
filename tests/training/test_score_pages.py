"""Scores where people and systems read them: versions, compare, API; and which version is suggested."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_q.models import OrmQ
from playwright.sync_api import Page

from actors.models import Actor
from actors.permissions import ensure_roles
from tests.factories import make_actor, make_version
from training.models import Status, TrainingVersion, VersionScore
from training.suggesting import suggest

pytestmark = pytest.mark.django_db


def score(version: TrainingVersion, value: float | None, spread: float = 3, **fields: Any) -> VersionScore:
    """A row as measuring writes it."""
    numbers: dict[str, Any] = {"reason": "No samples."}
    if value is not None:
        numbers = {"value": value, "low": value - spread, "high": value + spread, "pictures": 4}
    defaults: dict[str, Any] = {"scorer": "a scorer 1", "measured_on": "4 samples", "yardstick": "one"}
    return VersionScore.objects.create(version=version, **defaults | numbers | fields)


def two(first: float, second: float, **fields: Any) -> list[VersionScore]:
    actor = make_actor()
    return [score(make_version(actor), first, **fields), score(make_version(actor), second)]


def text_of(client: Client, name: str, actor: Actor, query: str = "") -> str:
    answer = client.get(reverse(name, args=[actor.pk]) + query)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


# The suggestion


def test_the_nearest_version_is_suggested_with_its_reason() -> None:
    found = suggest(two(91, 60))
    assert found
    assert found.version
    assert found.version.name == "V1"
    assert found.why == "V1 comes nearest to the training images: 91 % ± 3, against 60 % ± 3 of V2."


def test_bleed_decides_between_versions_that_look_alike() -> None:
    actor = make_actor()
    bleeding = score(make_version(actor), 92, bleed=45.0)
    clean = score(make_version(actor), 91, bleed=2.0, bleed_low=0.0, bleed_high=4.0)
    found = suggest([bleeding, clean])
    assert found
    assert found.version == clean.version
    assert "can't be told apart by likeness" in found.why
    assert "bleeds least into other prompts (2 % ± 2, against 45 %)" in found.why


def test_the_newest_is_taken_when_nothing_tells_them_apart() -> None:
    found = suggest(two(92, 91))
    assert found
    assert found.version
    assert found.version.name == "V2"
    assert "V1 and V2 can't be told apart by likeness; V2 is the newest of them" in found.why
    assert not found.is_clear


def test_a_best_version_that_bleeds_comes_with_a_warning() -> None:
    found = suggest(two(91, 60, bleed=30.0, bleed_low=25.0, bleed_high=35.0))
    assert found
    assert found.why.endswith("but it bleeds into prompts without the trigger (30 % ± 5).")


def test_two_pictures_each_tell_nothing_apart() -> None:
    actor = make_actor()
    rows = [score(make_version(actor), value, low=None, high=None) for value in (95, 40)]
    found = suggest(rows)
    assert found
    assert "can't be told apart" in found.why


def test_scores_of_other_images_are_not_compared() -> None:
    found = suggest(two(91, 60, yardstick="another"))
    assert found
    assert found.version is None
    assert "Measure again" in found.why


def test_one_measured_version_is_no_choice() -> None:
    actor = make_actor()
    assert suggest([score(make_version(actor), 91), score(make_version(actor), None)]) is None
    assert suggest([]) is None


# Pages


def test_versions_show_score_spread_and_what_it_was_measured_on(admin_client: Client) -> None:
    actor = make_actor()
    score(
        make_version(actor),
        91,
        bleed=3.0,
        bleed_low=1.0,
        bleed_high=5.0,
        bleed_pictures=5,
        dataset_revision=actor.dataset.revision(),
    )
    score(make_version(actor), None, reason="There are no samples <yet>.")
    make_version(actor)
    text = text_of(admin_client, "versions", actor)
    assert "91 % ± 3" in text
    assert "Bleed 3 % ± 2, from 5 pictures." in text
    assert "Measured on 4 samples, r1, by a scorer 1." in text
    assert "Likeness can’t be measured There are no samples &lt;yet&gt;." in text
    assert "not measured yet" in text


def test_versions_say_which_looks_best_and_who_decides(admin_client: Client) -> None:
    scores = two(91, 60)
    text = text_of(admin_client, "versions", scores[0].version.actor)
    assert "V1 looks best by the numbers. V1 comes nearest" in text
    assert "You decide." in text


def test_a_viewer_sees_scores_but_no_button(client: Client) -> None:
    scores = two(91, 60)
    ensure_roles()
    viewer = User.objects.create_user("viewer")
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(viewer)
    text = text_of(client, "versions", scores[0].version.actor)
    assert "91 % ± 3" in text
    assert "Measure again" not in text


def test_compare_shows_only_what_differs_after_the_pictures(admin_client: Client, settings: Any) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.001
    actor = make_actor()
    for number, value in ((1, 91), (2, 60)):
        actor.dataset.images.filter(position=0).update(caption=f"caption {number}")
        version = make_version(actor, dataset_revision=actor.dataset.revision(), execution_ms=number * 60_000)
        score(version, value, bleed=2.0, bleed_low=2.0, bleed_high=2.0)
    html = admin_client.get(reverse("compare", args=[actor.pk]) + "?v=1&v=2").text
    table = re.search(r"<tbody>.*?</tbody>", html, flags=re.DOTALL)
    assert table
    assert re.findall(r'<th scope="row">([^<]+)', table[0]) == ["Dataset", "Cost", "Likeness"]
    for text in ("r1", "r2", "$0.0", "91 % ± 3", "60 % ± 3"):
        assert text in table[0]
    assert html.index("None of these versions has samples") < html.index("What differs")
    assert "V1 looks best by the numbers" in re.sub(r"<[^>]+>", "", html)


@pytest.mark.parametrize("name", ["versions", "compare"])
def test_scores_take_one_query_for_few_and_many(admin_client: Client, name: str) -> None:
    actor = make_actor()
    revision = actor.dataset.revision()

    def queries(query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(reverse(name, args=[actor.pk]) + query).status_code == 200
        return len(captured)

    for _ in range(2):
        score(make_version(actor), 90, dataset_revision=revision)
    queries("?v=1&v=2")
    few = queries("?v=1&v=2")
    for _ in range(6):
        score(make_version(actor), 90, dataset_revision=revision)
    assert queries("?v=1&v=2&v=3&v=4") == few


# Measuring again


def test_measuring_again_queues_every_completed_version(
    admin_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    actor = make_actor()
    wanted = [make_version(actor).pk, make_version(actor).pk]
    make_version(actor, status=Status.FAILED)
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_client.post(reverse("measure", args=[actor.pk]), follow=True)
    assert "2 versions are being measured" in answer.text
    assert sorted(task.task["args"][0] for task in OrmQ.objects.all()) == wanted


def test_nothing_to_measure_is_said(admin_client: Client) -> None:
    answer = admin_client.post(reverse("measure", args=[make_actor().pk]), follow=True)
    assert "nothing to measure yet" in answer.text


def test_measuring_needs_the_role_and_a_post(client: Client) -> None:
    ensure_roles()
    address = reverse("measure", args=[make_actor().pk])
    for role, status in (("Trainer", 403), ("Curator", 302)):
        person = User.objects.create_user(role)
        person.groups.add(Group.objects.get(name=role))
        client.force_login(person)
        assert client.post(address).status_code == status
    assert client.get(address).status_code == 405
    assert client.post(reverse("measure", args=[987654])).status_code == 404


# API


def test_the_api_tells_the_score_in_one_query_with_its_version(admin_client: Client) -> None:
    actor = make_actor()
    score(make_version(actor), 91, dataset_revision=actor.dataset.revision())
    score(make_version(actor), None)
    make_version(actor)
    with CaptureQueriesContext(connection) as captured:
        rows = admin_client.get("/api/versions?ordering=id").json()["results"]
    assert len(captured) == 3
    first, second, third = (row["score"] for row in rows)
    assert (first["value"], first["low"], first["high"], first["dataset_revision"]) == (91, 88, 94, "r1")
    assert (second["value"], second["reason"], second["dataset_revision"]) == (None, "No samples.", None)
    assert third is None


def test_the_api_measures_completed_versions_only(
    admin_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    version, running = make_version(), make_version(status=Status.TRAINING)
    with django_capture_on_commit_callbacks(execute=True):
        assert admin_client.post(f"/api/versions/{version.pk}/measure").status_code == 202
        refused = admin_client.post(f"/api/versions/{running.pk}/measure")
    assert refused.status_code == 409
    assert "only a completed version" in refused.json()["detail"]
    assert OrmQ.objects.count() == 1


# In the browser


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_keyboard_measures_again(signed_in_page: Page) -> None:
    page = signed_in_page
    actor = two(91, 60)[0].version.actor
    page.goto(f"/actors/{actor.pk}/versions")
    page.get_by_role("button", name="Measure again").focus()
    page.keyboard.press("Enter")
    page.get_by_text("2 versions are being measured").wait_for()
