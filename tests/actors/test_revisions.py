"""Revisions of a dataset: what a version was trained on, and what stops a launch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from actors import edits
from actors.models import Actor, DatasetRevision, TrainingImage
from tests.factories import make_actor
from training import launch
from training.base_models import EMBEDDED, auto_adjust
from training.models import TrainingVersion

pytestmark = pytest.mark.usefixtures("tasks_at_once")


def recommended() -> dict[str, object]:
    values = auto_adjust(15, EMBEDDED)[0].to_dict()
    return {name: value for name, value in values.items() if name != "class_tokens"}


def test_a_version_stores_the_revision_and_an_equal_dataset_keeps_its_number(db: None) -> None:
    actor = make_actor()
    dataset = actor.dataset
    assert dataset.revision().number == 1
    image = dataset.images.all()[0]
    edits.change(dataset, {image.pk: {"caption": "another"}}, "caption")
    version = launch.launch(actor, recommended())
    assert version.dataset_revision
    assert version.dataset_revision.number == 2
    edits.undo(dataset)
    assert dataset.revision().number == 1
    assert DatasetRevision.objects.count() == 2


def test_what_changed_since_a_version_is_a_page(media: Path, admin_client: Client) -> None:
    actor = make_actor()
    version = launch.launch(actor, recommended())
    first, second, *_ = actor.dataset.images.all()
    edits.change(
        actor.dataset, {first.pk: {"caption": "now in the rain"}, second.pk: {"included": False}}, "edit"
    )
    page = admin_client.get(f"/actors/{actor.pk}/dataset/since/{version.number}").content.decode()
    assert "1 gone" in page
    assert "1 with another caption" in page
    assert "now in the rain" in page
    assert "added" not in page


def make_unfit() -> Actor:
    actor = make_actor()
    first = actor.dataset.images.all()[0]
    first.findings = [{"code": "blurred", "level": "error", "message": "Sharpness 3."}]
    first.save()
    return actor


def test_an_error_of_the_inspection_stops_a_launch_and_creates_nothing(db: None) -> None:
    actor = make_unfit()
    with pytest.raises(launch.CannotStart, match=r"Blurred: 1 image\."):
        launch.launch(actor, recommended())
    assert not TrainingVersion.objects.exists()


def test_a_curator_may_override_with_a_reason_that_stays_on_the_version(db: None, admin_user: Any) -> None:
    version = launch.launch(make_unfit(), recommended(), by=admin_user, override_reason="a test of the look")
    assert version.override_reason == "a test of the look"


def test_a_trainer_may_not_override(db: None, django_user_model: Any) -> None:
    trainer = django_user_model.objects.create_user("ines")
    with pytest.raises(launch.CannotStart):
        launch.launch(make_unfit(), recommended(), by=trainer, override_reason="please")


def test_an_override_does_not_lift_what_makes_a_start_impossible(db: None, admin_user: Any) -> None:
    with pytest.raises(launch.CannotStart, match="not in the object store"):
        launch.launch(make_actor(synced=False), recommended(), by=admin_user, override_reason="please")


def test_the_reason_of_an_accepted_finding_goes_onto_the_version(db: None, admin_user: Any) -> None:
    actor = make_unfit()
    first = actor.dataset.images.all()[0]
    TrainingImage.objects.filter(pk=first.pk).update(
        accepted={"blurred": {"reason": "meant so", "by": "mara", "at": "2026-01-01T00:00:00+00:00"}}
    )
    version = launch.launch(actor, recommended(), by=admin_user)
    assert version.override_reason == "0.png, blurred: meant so (mara)"


def test_warnings_never_stop_a_launch(db: None) -> None:
    actor = make_actor()
    actor.dataset.images.update(findings=[{"code": "soft", "level": "warning", "message": "Soft."}])
    assert launch.launch(actor, recommended()).pk
