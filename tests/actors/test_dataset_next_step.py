"""The dataset page says what to do first about an actor's images, and to whom it can say it."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from actors.models import Actor, TrainingDataset, TrainingImage, Verdict
from actors.permissions import ensure_roles
from tests.factories import make_actor

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
BLURRED = {"code": "blurred", "level": "error", "message": "Sharpness 2."}


def next_step(client: Client, actor: Actor, page: str = "dataset") -> str:
    """The words of the next step."""
    text = client.get(reverse(page, args=[actor.pk])).text
    found = re.search(r'<div class="next[^>]*>(.*?)</div>\s*</div>\s*<nav class="tabs"', text, re.DOTALL)
    assert found
    return found[1]


def test_without_images_the_button_opens_what_adds_them(admin_client: Client) -> None:
    actor = make_actor(images=0)
    assert f'href="{reverse("dataset", args=[actor.pk])}#add-images"' in next_step(
        admin_client, actor, "actor"
    )
    # On the page itself a link would lead nowhere.
    step = next_step(admin_client, actor)
    assert 'popovertarget="add-images">Add the first images' in step
    assert "href" not in step


def test_who_may_not_add_images_is_told_who_can(client: Client) -> None:
    ensure_roles()
    user = User.objects.create_user("viewer")
    user.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(user)
    for page in ("actor", "dataset"):
        step = next_step(client, make_actor(images=0), page)
        assert "Somebody with the role Curator can add" in step
        assert "Add images" not in step


def test_a_finding_that_blocks_is_named_and_led_to(admin_client: Client) -> None:
    actor = make_actor(images=12)
    TrainingDataset.objects.filter(actor=actor).update(verdict=Verdict.NOT_FIT)
    third = actor.dataset.images.all()[2]
    TrainingImage.objects.filter(pk=third.pk).update(findings=[BLURRED])
    text = admin_client.get(reverse("dataset", args=[actor.pk])).text
    assert "1 finding blocks training. Blurred: image 03." in text
    assert f'href="#finding-{third.pk}-blurred">Decide on 03' in text
    assert f'id="finding-{third.pk}-blurred"' in text


def test_an_edit_brings_the_header_along_with_its_counts_and_next_step(admin_client: Client) -> None:
    actor = make_actor(images=10)
    first = actor.dataset.images.all()[0]
    answer = admin_client.post(
        reverse("dataset-image", args=[actor.pk, first.pk]), {"included": "0"}, headers=HTMX
    )
    assert 'id="about-actor" hx-swap-oob="true"' in answer.text
    assert 'id="tabs" aria-label="Actor" hx-swap-oob="true"' in answer.text
    assert "Not fit: 9 of 10 images" in answer.text
    assert "Left out 1" in answer.text
    # Nested in the header it must not be taken out of it.
    assert not re.search(r'id="next"[^>]*hx-swap-oob', answer.text)


def test_an_edit_that_is_refused_says_so_at_once(admin_client: Client) -> None:
    actor = make_actor()
    first = actor.dataset.images.all()[0]
    answer = admin_client.post(
        reverse("dataset-image", args=[actor.pk, first.pk]), {"crop": "1 2"}, headers=HTMX
    )
    assert "A crop hint is left, top, width and height in percent" in answer.text


def test_an_image_leads_to_the_ones_beside_it(admin_client: Client) -> None:
    actor = make_actor(images=3)
    first, second, third = actor.dataset.images.all()
    addresses = [reverse("dataset-image", args=[actor.pk, each.pk]) for each in (first, second, third)]
    middle = admin_client.get(addresses[1]).text
    assert f'rel="prev" href="{addresses[0]}"' in middle
    assert f'rel="next" href="{addresses[2]}"' in middle
    assert 'rel="prev"' not in admin_client.get(addresses[0]).text
    assert 'rel="next"' not in admin_client.get(addresses[2]).text


def test_a_pair_is_one_question_and_answered_once(admin_client: Client) -> None:
    actor = make_actor(images=12)
    one, other = actor.dataset.images.all()[:2]
    for image, twin in ((one, other), (other, one)):
        found = {"code": "near_duplicate", "level": "warning", "message": f"Nearly {twin.file_name}."}
        TrainingImage.objects.filter(pk=image.pk).update(findings=[found | {"twin": twin.pk}])
    compared = admin_client.get(reverse("dataset-pair", args=[actor.pk, one.pk, other.pk])).text
    assert "Keep both" in compared
    kept = {"image": one.pk, "code": "near_duplicate", "reason": "another pose"}
    text = admin_client.post(reverse("dataset-decide", args=[actor.pk]), kept, follow=True).text
    assert "Twin of" not in text
    assert "Findings 0" in text
    for image in actor.dataset.images.all()[:2]:
        assert image.accepted["near_duplicate"]["reason"] == "another pose"
    again = admin_client.get(reverse("dataset-pair", args=[actor.pk, one.pk, other.pk])).text
    assert "Keep both" not in again
