"""The optional rule of a batch: good by itself from a score on, said in the history."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from pytest_django.fixtures import Settings

from actors.permissions import ensure_roles
from tests.training.batch_steps import begun, end_all, plan
from training import batch_judgement, batch_launches, batch_plan, batches, previews
from training.models import Batch, Preview, Status, TrainingVersion
from training.score_models import VersionScore

pytestmark = pytest.mark.django_db


def completed(threshold: float | None = 80.0) -> tuple[Batch, TrainingVersion]:
    """A batch of one actor whose training has completed, with a LoRA."""
    batch = begun(1, good_threshold=threshold, name="Night")
    batch_launches.advance()
    end_all(batch, lora_url="s3://local/loras/1.safetensors")
    batch_launches.advance()
    version = TrainingVersion.objects.get()
    return batch, version


def drawn() -> None:
    Preview.objects.update(status="done", finished_at=timezone.now())


def scored(version: TrainingVersion, value: float | None, reason: str = "") -> None:
    VersionScore.objects.filter(version=version).delete()
    VersionScore.objects.create(
        version=version, value=value, reason=reason, measured_on="6 previews", at=timezone.now()
    )


def test_a_version_that_reaches_the_threshold_is_marked_good_and_the_history_says_why() -> None:
    batch, version = completed()
    assert Preview.objects.get().version == version  # ordered, and not ordered again
    batch_launches.advance()
    assert Preview.objects.count() == 1
    drawn()
    scored(version, 91.2)
    batch_launches.advance()
    version.refresh_from_db()
    said = "score 91.2 % ≥ threshold 80 %, measured on 6 previews"
    assert (version.is_good, version.good_by) == (True, None)
    assert version.good_reason == f"Marked by the rule of the batch “Night”: {said}"
    assert version.history.first().history_change_reason == version.good_reason
    assert batch.items.get().reason == f"S{said[1:]}"


@pytest.mark.parametrize(
    ("value", "reason", "says"),
    [
        (79.9, "", "Score 79.9 % < threshold 80 %, measured on 6 previews"),
        (None, "No pictures.", "Left to people: No pictures."),
    ],
)
def test_what_does_not_reach_it_or_can_not_be_measured_is_left_to_people(
    value: float | None, reason: str, says: str
) -> None:
    batch, version = completed()
    drawn()
    scored(version, value, reason)
    batch_launches.advance()
    scored(version, 99)
    batch_launches.advance()  # judged once
    version.refresh_from_db()
    assert not version.is_good
    assert batch.items.get().reason == says


def test_it_waits_for_pictures_and_for_the_score_of_them() -> None:
    batch, version = completed()
    scored(version, 95)  # of the samples alone, before the preview is drawn
    batch_launches.advance()
    drawn()
    batch_launches.advance()
    assert not TrainingVersion.objects.filter(is_good=True).exists()
    scored(version, 85)
    batch_launches.advance()
    assert TrainingVersion.objects.filter(is_good=True).get() == version
    assert batch.items.get().judged_at


def test_without_a_score_in_time_people_decide() -> None:
    batch, version = completed()
    batch_launches.advance(timezone.now() + batch_judgement.PATIENCE + timedelta(minutes=1))
    assert batch.items.get().reason == "Left to people: there was no score in time."
    version.refresh_from_db()
    assert not version.is_good


def test_the_samples_are_enough_where_no_preview_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise previews.CannotPreview("There is no standard prompt set.")

    monkeypatch.setattr(previews, "order_standard_preview", refuse)
    _, version = completed()
    scored(version, 88)
    batch_launches.advance()
    batch_launches.advance()
    version.refresh_from_db()
    assert version.is_good


def test_a_good_version_that_somebody_chose_stays() -> None:
    batch, version = completed()
    chosen = TrainingVersion.objects.create(
        actor=version.actor, number=9, status=Status.COMPLETED, lora_url="s3://local/loras/9.safetensors"
    )
    chosen.mark_good()
    drawn()
    scored(version, 99)
    batch_launches.advance()
    version.refresh_from_db()
    assert not version.is_good
    assert "because another version is good" in version.events.last().message  # type: ignore[union-attr]
    assert batch.items.get().judged_at


def test_it_is_off_by_default() -> None:
    _, version = completed(None)
    drawn()
    scored(version, 100)
    batch_launches.advance()
    version.refresh_from_db()
    assert not version.is_good


def test_only_who_may_curate_sets_the_rule(settings: Settings) -> None:
    ensure_roles()
    trainer = User.objects.create_user("trainer")
    trainer.groups.add(Group.objects.get(name="Trainer"))
    batch = plan(1, by=trainer)
    with pytest.raises(batches.NotPossible, match="needs the role Curator"):
        batches.change(batch, trainer, good_threshold=80.0)
    with pytest.raises(batch_plan.CannotPlan, match="needs the role Curator"):
        plan(1, by=trainer, good_threshold=80.0)
    curator = User.objects.create_user("curator")
    curator.groups.add(Group.objects.get(name="Curator"))
    batches.change(batch, curator, good_threshold=80.0)
    batches.change(batch, trainer, good_threshold=80.0, concurrency=3)
    assert batch.concurrency == 3
