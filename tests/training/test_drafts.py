"""A draft of parameters, kept per person and actor, whatever a tab shows and however it is left."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.factories import make_actor, make_version
from tests.training.pages import undo
from training.models import ParameterDraft

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def addresses(actor_id: int) -> tuple[str, str]:
    """Of the train page, and where it keeps its draft."""
    return reverse("actor", args=[actor_id]), reverse("keep-draft", args=[actor_id])


def known_in(text: str) -> str:
    """What a page sends along about what it has seen."""
    found = re.search(r'id="known" form="params" value="([^"]*)"', text)
    assert found
    return html.unescape(found[1])


def saved(user: User) -> dict[str, str]:
    texts: dict[str, str] = ParameterDraft.objects.get(user=user).texts
    return texts


def test_two_tabs_keep_both_changes_and_the_older_one_is_told(admin_client: Client, admin_user: User) -> None:
    page, keep = addresses(make_actor().pk)
    known = known_in(admin_client.get(page).text)
    shown = json.loads(known)
    admin_client.post(keep, shown | {"max_train_steps": "611", "known": known}, headers=HTMX)
    answer = admin_client.post(keep, shown | {"network_dim": "24", "known": known}, headers=HTMX)
    assert (saved(admin_user)["max_train_steps"], saved(admin_user)["network_dim"]) == ("611", "24")
    assert "Taken over from another tab of yours: Steps 611." in answer.text
    # The fields of this tab show it too.
    assert answer["HX-Retarget"] == "#train"
    assert 'name="max_train_steps" value="611"' in answer.text


def test_a_value_that_is_set_back_in_the_same_tab_is_no_news_from_another(
    admin_client: Client, admin_user: User
) -> None:
    page, keep = addresses(make_actor().pk)
    known = known_in(admin_client.get(page).text)
    shown = json.loads(known) | {"network_dim": "24"}
    first = admin_client.post(keep, shown | {"max_train_steps": "611", "known": known}, headers=HTMX)
    admin_client.post(keep, shown | {"known": known_in(first.text)}, headers=HTMX)
    assert saved(admin_user)["max_train_steps"] == shown["max_train_steps"]


@pytest.mark.parametrize("known", ["", "x", "[]", "{"])
def test_what_a_tab_knows_may_be_anything(admin_client: Client, admin_user: User, known: str) -> None:
    _, keep = addresses(make_actor().pk)
    for steps in ("900", "901"):
        admin_client.post(keep, {"max_train_steps": steps, "known": known})
    assert saved(admin_user)["max_train_steps"] == "901"


def test_a_version_that_is_loaded_stands_beside_the_draft_until_a_value_changes(
    admin_client: Client, admin_user: User
) -> None:
    version = make_version(max_train_steps=777)
    page, keep = addresses(version.actor_id)
    admin_client.post(keep, {"max_train_steps": "900"})
    text = admin_client.get(page, {"from": version.pk}).text
    assert "Loaded from V1" in text
    assert "Draft saved" not in text
    assert "Back to the draft" in text
    # The first change replaces the draft as a whole, and a reload shows that, not the version again.
    answer = admin_client.post(
        keep, {"max_train_steps": "777", "network_dim": "32", "known": known_in(text)}, headers=HTMX
    )
    assert answer["HX-Replace-Url"] == page
    assert (saved(admin_user)["max_train_steps"], saved(admin_user)["network_dim"]) == ("777", "32")


def test_what_auto_adjust_has_changed_can_be_undone(admin_client: Client, admin_user: User) -> None:
    page, keep = addresses(make_actor().pk)
    typed = {"max_train_steps": "900", "learning_rate": "x", "preset": "quick", "then": "apply"}
    text = admin_client.post(keep, typed, headers=HTMX | {"HX-Target": "train"}).text
    assert "3 values changed to those of the preset." in text
    assert saved(admin_user)["max_train_steps"] == "150"
    undo(admin_client, text)
    assert (saved(admin_user)["max_train_steps"], saved(admin_user)["learning_rate"]) == ("900", "x")
    assert '<option value="quick" selected>' in admin_client.get(page).text
