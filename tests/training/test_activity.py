"""All trainings of all people: filters, the queue, failures with their way out, and the poll."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from tests.factories import make_actor, make_version
from tests.training.pages import HTMX, seen_in
from training.models import EndpointState, Status

pytestmark = pytest.mark.django_db


def test_activity_filters_by_state(admin_client: Client) -> None:
    make_version(status=Status.FAILED, error="Broke.")
    make_version(status=Status.TRAINING)
    address = reverse("activity")
    assert admin_client.get(address).text.count("<tr>") == 3
    failed = admin_client.get(address, {"status": "failed"}).text
    assert "Broke." in failed
    assert failed.count("<tr>") == 2
    assert admin_client.get(address, {"status": "'"}).status_code == 200


def trainings(text: str) -> list[str]:
    return re.findall(r'<th scope="row">.*?<a href="([^"]+)"', text)


def test_activity_filters_by_person_and_actor_at_once(admin_client: Client, admin_user: User) -> None:
    somebody = User.objects.create_user("some&body")
    mine = make_version(make_actor(description="purple mohawk"), created_by=admin_user)
    theirs = make_version(mine.actor, created_by=somebody)
    make_version(created_by=somebody)
    address = reverse("activity")
    by_them = {"by": "some&body"}
    assert len(trainings(admin_client.get(address, by_them).text)) == 2
    both = admin_client.get(address, by_them | {"actor": "mohawk"})
    assert trainings(both.text) == [theirs.get_absolute_url()]
    assert "by=some%26body" in both.text  # the tabs keep the filters
    nobody = admin_client.get(address, {"by": "\x00nobody", "actor": "%", "page": "x"})
    assert "No training matches" in nobody.text


def test_activity_tells_the_whole_error_and_tries_again(admin_client: Client) -> None:
    failed = make_version(status=Status.FAILED, error="The worker ran out of memory. " * 20 + "THE END")
    text = admin_client.get(reverse("activity")).text
    assert "THE END" in text
    assert f'action="{reverse("retry", args=[failed.pk])}"' in text


def test_activity_tells_the_queue_and_what_is_wrong_with_the_endpoint(admin_client: Client) -> None:
    now = timezone.now()
    for minutes in (2, 1):
        make_version(status=Status.QUEUED, submitted_at=now - timedelta(minutes=minutes))
    text = admin_client.get(reverse("activity"), {"status": "queue"}).text
    assert text.index("Next in the queue") < text.index("Number 2 in the queue")
    EndpointState.troubled("local", "Connection refused.")
    assert "Connection refused." in admin_client.get(reverse("activity")).text


def test_the_activitys_poll_answers_nothing_until_something_changes(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING)
    address = reverse("activity")
    asked = {"seen": seen_in(admin_client.get(address).text)}
    assert admin_client.get(address, asked, headers=HTMX).status_code == 204
    version.cancel()
    assert "Cancelled" in admin_client.get(address, asked, headers=HTMX).text


def test_a_failure_of_the_list_has_its_way_out_once(admin_client: Client) -> None:
    failed = make_version(status=Status.FAILED, error="Out of memory")
    row = admin_client.get("/activity/?status=failed").text
    assert row.count(f'id="again-{failed.pk}"') == 1
    again = make_version(failed.actor, status=Status.QUEUED, repeats=failed)
    row = admin_client.get("/activity/?status=failed").text
    assert f'id="again-{failed.pk}"' not in row
    assert f'Tried again as <a href="{again.get_absolute_url()}">' in row


def test_trainings_stand_beside_the_faces_of_their_actors_at_constant_queries(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            admin_client.get(reverse("activity"))
        return len(seen)

    version = make_version(make_actor())
    link = version.actor.dataset.images.all()[0].link()
    assert f'src="{escape(link)}"' in admin_client.get(reverse("activity")).text
    one = queries()
    for _ in range(3):
        make_version(make_actor())
    assert queries() == one
