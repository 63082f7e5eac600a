"""Why a training can't start, and the way out of it, as the train page says them."""

from __future__ import annotations

import re
from datetime import date

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from actors.models import Actor, LikenessRights, TrainingDataset, TrainingImage, Verdict
from tests.factories import make_actor
from training.readiness import Facts, checks
from training.standing import first_line

pytestmark = pytest.mark.django_db


def train_page(client: Client, actor: Actor) -> str:
    return re.sub(r"\s+", " ", client.get(reverse("actor", args=[actor.pk])).text)


def test_the_reason_stands_beside_the_button_with_a_way_out(admin_client: Client) -> None:
    actor = make_actor(synced=False)
    dataset = reverse("dataset", args=[actor.pk])
    text = train_page(admin_client, actor)
    assert "Not possible yet: 15 of 15 images are not in the object store." in text
    assert f'href="{dataset}">Open the dataset' in text
    few = make_actor(images=3)
    text = train_page(admin_client, few)
    assert f'href="{reverse("dataset", args=[few.pk])}#add-images">Add images' in text
    gone = make_actor()
    Actor.objects.filter(pk=gone.pk).update(retired_at=timezone.now())
    text = train_page(admin_client, gone)
    assert f"Not possible yet: {gone.name} is retired." in text
    found = re.search(r'href="([^"]+)">Bring it back in the admin', text)
    assert found
    assert gone.name in admin_client.get(found[1].replace("&amp;", "&")).text


def test_rights_that_ended_are_told_once(admin_client: Client) -> None:
    actor = make_actor()
    LikenessRights.objects.create(actor=actor, basis="consent", expires_on=date(2001, 1, 1))
    text = train_page(admin_client, actor)
    assert "Until that is mended nothing can start." in text
    assert "Not possible until then." in text
    assert text.count("The rights to this likeness ended on") == 2  # the next step, and the list of checks


def test_findings_lead_to_the_list_of_findings_by_the_words_of_the_dataset_page(admin_client: Client) -> None:
    actor = make_actor()
    TrainingDataset.objects.filter(actor=actor).update(verdict=Verdict.NOT_FIT)
    first = actor.dataset.images.all()[0]
    blurred = {"code": "blurred", "level": "error", "message": "Sharpness 2."}
    twin = {"code": "near_duplicate", "level": "warning", "message": "Nearly the same picture."}
    TrainingImage.objects.filter(pk=first.pk).update(findings=[blurred, twin])
    text = train_page(admin_client, actor)
    assert "Blurred: 1 image." in text
    assert "Twin (1)." in text
    assert f'href="{reverse("dataset", args=[actor.pk])}?show=findings">Look at what blocks' in text


@pytest.mark.parametrize(
    ("known", "fact"),
    [
        (Facts(included=1, stored=1), "Only 1 image: 10 is the floor."),
        (Facts(included=1), "1 of 1 image is not in the object store."),
        (Facts(included=12, stored=11), "1 of 12 images is not in the object store."),
        (Facts(included=12, stored=12, uncaptioned=1), "1 of 12 images has no caption."),
        (Facts(included=12, stored=12, uncaptioned=2), "2 of 12 images have no caption."),
        (Facts(included=12, stored=12, uninspected=1), "1 of 12 images is not inspected yet."),
    ],
)
def test_one_and_many_are_told_apart(known: Facts, fact: str) -> None:
    assert fact in [check.fact for check in checks(make_actor(), known)]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("CUDA is out of memory.", "CUDA is out of memory."),
        (
            "The worker ran out of memory at step 41: choose a smaller batch size.",
            "The worker ran out of memory at step 41",
        ),
        (
            "something that goes on and on without any stop or comma until the line is full",
            "something that goes on and on without any stop or…",
        ),
        ("x" * 80, "x" * 52 + "…"),
        ("\n", ""),
    ],
)
def test_an_error_is_cut_where_its_words_end(error: str, line: str) -> None:
    assert first_line(error) == line


def test_a_value_that_is_refused_is_named_beside_the_button(admin_client: Client) -> None:
    actor = make_actor()
    answer = admin_client.get(reverse("actor", args=[actor.pk]), {"max_train_steps": "40"})
    # The steps themselves are allowed; what no longer fits is folded away among the advanced ones.
    assert 'Correct the marked parameters first: <a href="#p-lr_warmup_steps">Warm-up</a>.' in answer.text
