"""All previews of all actors; and a lost answer shows wherever people look."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.training.previewing import make_drawable, of_role, ordered, page
from training import health
from training.models import Preview, Status, TrainingVersion
from training.preview_models import PreviewStatus

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


def unanswered(version: TrainingVersion | None = None) -> Preview:
    """Sent by itself when its version completed; nobody ever heard of it again."""
    preview = ordered(version, automatic=True)
    long_ago = timezone.now() - settings.DECIDE_AFTER - timedelta(seconds=1)
    Preview.objects.filter(pk=preview.pk).update(status=PreviewStatus.CLAIMED, submitted_at=long_ago)
    preview.refresh_from_db()
    return preview


def shown(client: Client, **query: str) -> list[int]:
    return [preview.pk for preview, _, _ in client.get(reverse("drawn"), query).context["rows"]]


def test_the_newest_stands_first_and_states_narrow(admin_client: Client) -> None:
    waiting, done, failed, lost = ordered(), ordered(), ordered(), unanswered()
    done.complete(cost_usd=Decimal("0.0312"))
    failed.fail("The worker ran out of memory.")
    assert shown(admin_client) == [lost.pk, failed.pk, done.pk, waiting.pk]
    assert shown(admin_client, state="active") == [lost.pk, waiting.pk]
    assert shown(admin_client, state="undecided") == [lost.pk]
    assert shown(admin_client, state="done") == [done.pk]
    assert shown(admin_client, state="no such state") == shown(admin_client)
    text = page(admin_client, "drawn")
    assert "The worker ran out of memory." in text
    assert "$0.03" in text
    assert "0 of 2" in text


def test_the_versions_are_narrowed_as_on_the_activity_page(admin_client: Client) -> None:
    good, other = make_drawable(), make_drawable()
    mine, _other = ordered(good), ordered(other)
    good.mark_good()
    assert shown(admin_client, good="yes") == [mine.pk]
    assert shown(admin_client, actor=good.actor.name) == [mine.pk]
    assert shown(admin_client, good="yes", state="done") == []
    assert "No preview matches" in page(admin_client, "drawn", good="yes", state="done")


def test_without_previews_the_page_says_so(admin_client: Client) -> None:
    assert "No previews yet" in page(admin_client, "drawn")


def test_many_previews_take_as_many_queries_as_few(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(admin_client, "drawn")
        return len(captured)

    ordered()
    queries()
    few = queries()
    for _ in range(5):
        ordered()
    assert queries() == few


def test_the_list_asks_again_only_for_news(admin_client: Client) -> None:
    preview = ordered()
    query = admin_client.get(reverse("drawn")).context["poll_query"]
    again = {"HX-Request": "true"}
    assert admin_client.get(reverse("drawn") + query, headers=again).status_code == 204
    preview.fail("broken")
    answer = admin_client.get(reverse("drawn") + query, headers=again)
    assert answer.status_code == 200
    assert "<html" not in answer.text


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_list_is_only_read(admin_client: Client, method: str) -> None:
    assert getattr(admin_client, method)(reverse("drawn")).status_code == 405


# A lost answer


def test_a_lost_answer_shows_wherever_people_look() -> None:
    client, preview = of_role("Trainer"), unanswered()
    version, here = preview.version, preview.get_absolute_url()
    assert "<b>1 preview needs a decision.</b>" in page(client, "activity")
    assert "?state=undecided" in page(client, "activity")
    assert f'href="{here}">Send it again or give it up</a>' in page(client, "drawn", state="undecided")
    assert f'href="{here}"' in page(client, "versions", version.actor_id)
    panel = client.get(
        reverse("previews", args=[version.pk]), headers={"HX-Request": "true", "HX-Target": "previews"}
    )
    assert f'href="{here}">Send it again or give it up</a>' in panel.text
    assert "Decide about 1 preview" in page(client, "health")


def test_a_newer_preview_does_not_hide_the_lost_one() -> None:
    client, lost = of_role("Trainer"), unanswered()
    ordered(lost.version)
    panel = client.get(
        reverse("previews", args=[lost.version_id]), headers={"HX-Request": "true", "HX-Target": "previews"}
    )
    assert f'href="{lost.get_absolute_url()}">Send it again' in panel.text


def test_who_may_not_decide_is_told_who_can() -> None:
    client, preview = of_role("Viewer"), unanswered()
    text = page(client, "drawn", state="undecided")
    assert "Somebody with the role Trainer has to decide." in text
    assert "Send it again" not in text
    assert preview.get_absolute_url() in text


def test_health_counts_both_kinds_and_is_well_once_they_are_decided() -> None:
    assert health.answers().state == "ok"
    version = make_drawable()
    preview = unanswered(version)
    long_ago = timezone.now() - settings.DECIDE_AFTER - timedelta(seconds=1)
    TrainingVersion.objects.create(
        actor=version.actor, number=9, status=Status.SUBMITTING, submitted_at=long_ago
    )
    found = health.answers()
    assert found.state == "warning"
    assert found.says.startswith("1 training and 1 preview got no answer")
    assert [words for words, _ in found.links] == ["Decide about 1 training", "Decide about 1 preview"]
    preview.fail("Given up")
    TrainingVersion.objects.filter(number=9).update(status=Status.FAILED)
    assert health.answers().state == "ok"


def test_an_answer_that_may_still_come_is_no_trouble(admin_client: Client) -> None:
    preview = unanswered()
    Preview.objects.filter(pk=preview.pk).update(submitted_at=timezone.now())
    assert health.answers().state == "ok"
    assert "needs a decision" not in page(admin_client, "activity")
