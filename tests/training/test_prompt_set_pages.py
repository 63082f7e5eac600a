"""The pages of the prompt sets, and how a studio previews."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.training.previewing import of_role, page
from training.models import PreviewSettings, PromptSet

pytestmark = pytest.mark.django_db


@pytest.fixture
def trainer() -> Client:
    return of_role("Trainer")


@pytest.fixture
def curator() -> Client:
    return of_role("Curator")


def test_a_curator_makes_and_changes_a_set(curator: Client) -> None:
    values = {"name": "Night", "description": "Dark scenes", "subject": "drawn", "text": "a {trigger}\n7: b"}
    assert curator.post(reverse("prompt-set-new"), values).status_code == 302
    made = PromptSet.objects.get(name="Night")
    assert made.created_by is not None
    assert made.lines == [{"prompt": "a {trigger}", "seed": 2000}, {"prompt": "b", "seed": 7}]
    found = page(curator, "prompt-set", made.pk)
    assert "2000: a {trigger}" in found
    curator.post(made.get_absolute_url(), values | {"text": "3: c"})
    made.refresh_from_db()
    assert made.lines == [{"prompt": "c", "seed": 3}]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"text": ""}, "required"),
        ({"text": "99999999999: a"}, "Line 1: the seed"),
        ({"text": "1: a\n1: a"}, "Line 2 is there twice"),
        ({"name": "Standard: photographs"}, "already exists"),
        ({"subject": "statues"}, "Select a valid choice"),
    ],
)
def test_a_set_that_is_wrong_is_not_kept(curator: Client, changes: dict[str, str], says: str) -> None:
    values = {"name": "Night", "description": "", "subject": "drawn", "text": "a"} | changes
    answer = curator.post(reverse("prompt-set-new"), values)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not PromptSet.objects.filter(name="Night").exists()


def test_the_standard_set_is_passed_on_and_never_deleted(curator: Client) -> None:
    standard = PromptSet.standard("embedded")
    assert standard is not None
    refused = curator.post(reverse("prompt-set-delete", args=[standard.pk]), follow=True)
    assert "make another one the standard first" in refused.content.decode()
    other = PromptSet.objects.create(name="Other", subject="drawn", lines=[{"prompt": "a", "seed": 1}])
    curator.post(reverse("prompt-set-standard", args=[other.pk]))
    assert PromptSet.standard("embedded") == other
    curator.post(reverse("prompt-set-delete", args=[standard.pk]))
    assert not PromptSet.objects.filter(pk=standard.pk).exists()


def test_the_subject_of_the_standard_set_stays(curator: Client) -> None:
    standard = PromptSet.standard("embedded")
    assert standard is not None
    values = {"name": "Ours", "description": "", "subject": "photographs", "text": "a"}
    curator.post(standard.get_absolute_url(), values)
    standard.refresh_from_db()
    assert (standard.name, standard.subject, standard.is_standard) == ("Ours", "drawn", True)


def test_a_curator_switches_the_automatic_preview(curator: Client, trainer: Client) -> None:
    curator.post(reverse("preview-settings"), {"keep_checkpoints": "on"})
    rules = PreviewSettings.current()
    assert (rules.automatic, rules.with_base, rules.keep_checkpoints) == (False, False, True)
    assert rules.updated_by is not None
    assert "Nothing is drawn by itself" in page(trainer, "prompt-sets")
    assert trainer.post(reverse("preview-settings"), {"automatic": "on"}).status_code == 403
    assert not PreviewSettings.current().automatic


def test_a_trainer_reads_a_set_and_cannot_change_it(trainer: Client) -> None:
    standard = PromptSet.standard("embedded")
    assert standard is not None
    found = page(trainer, "prompt-set", standard.pk)
    assert "portrait of {trigger}, smiling" in found
    assert "<textarea" not in found
    assert trainer.post(standard.get_absolute_url(), {"name": "Mine"}).status_code == 403
    assert trainer.get(reverse("prompt-set-new")).status_code == 403
