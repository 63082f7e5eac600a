"""Scores of versions: what is looked at, when it is measured, and the reasons why there is none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from actors import faces, storage
from actors.models import TrainingDataset, TrainingImage
from tests.actors.pictures import admiral, astronaut
from tests.factories import make_actor, make_version
from tests.training.score_steps import HER, HIM, LIKE_HER, drawn_preview, drawn_version, painted_actor, put
from training import drawn_likeness, scores
from training.models import SampleImage, Status, TrainingVersion, VersionScore
from training.score_models import unscored
from training.score_queue import MEASURE
from training.scores import score_of

pytestmark = pytest.mark.django_db


def queued() -> list[int]:
    """The versions that the task queue is to measure."""
    tasks = [task.task for task in OrmQ.objects.all()]
    return [task["args"][0] for task in tasks if task["func"] == MEASURE]


def missing() -> list[TrainingVersion]:
    return list(unscored(TrainingVersion.objects.all()))


# What it says


def test_a_version_that_draws_its_actor_scores_high_and_says_on_what() -> None:
    version = drawn_version(painted_actor())
    score = score_of(version)
    assert score.value is not None
    assert score.value > 85
    assert (score.low or 0) <= score.value <= (score.high or 0)
    assert (score.pictures, score.compared_with) == (4, 6)
    assert score.measured_on == "4 samples of step 300, against 6 training images"
    assert str(score.dataset_revision) == "r1"
    assert score.scorer == "ActorTrain drawn likeness 1"
    assert score.reason == ""


def test_somebody_else_scores_nothing_and_a_look_alike_lies_between() -> None:
    actor = painted_actor()
    right, alike, wrong = (score_of(drawn_version(actor, face)).value or 0.0 for face in (HER, LIKE_HER, HIM))
    assert right > alike > wrong
    assert wrong < 10


def test_bleed_is_what_prompts_without_the_trigger_take_on() -> None:
    actor = painted_actor()
    clean, bleeding = score_of(drawn_version(actor)), score_of(drawn_version(actor, bleeding=HER))
    assert (clean.bleed, clean.bleed_pictures) == (0, 2)
    assert (bleeding.bleed or 0) > 80


def test_previews_count_beside_samples_and_the_base_alone_is_strength_0() -> None:
    version = drawn_version(painted_actor())
    before = score_of(version)
    drawn_preview(version, HIM, bleeding=HER)
    after = score_of(version)
    assert after.measured_on == "4 samples of step 300 and 3 previews, against 6 training images"
    assert (after.pictures, after.bleed_pictures) == (7, 4)
    assert (after.value or 0) < (before.value or 0)
    assert (after.bleed or 0) > (before.bleed or 0)


def test_pictures_of_other_strengths_and_of_the_steps_in_between_do_not_count() -> None:
    version = drawn_version(painted_actor())
    preview = drawn_preview(version, HIM)
    preview.images.filter(with_trigger=True).update(strength=0.5)
    preview.images.filter(with_trigger=False).update(checkpoint_step=100)
    score = score_of(version)
    assert (score.pictures, score.bleed_pictures) == (4, 2)


# When there is none


def reason(version: TrainingVersion) -> str:
    score = score_of(version)
    assert score.value is None
    assert score.bleed is None
    assert score.bleed_reason
    return score.reason


def test_without_samples_the_reason_says_what_to_do() -> None:
    assert "Draw a preview" in reason(make_version(painted_actor()))


def test_without_training_images_there_is_nothing_to_compare_with() -> None:
    actor = painted_actor()
    version = drawn_version(actor)
    actor.dataset.images.update(included=False)
    assert "no included training images" in reason(version)


def test_two_images_are_too_few() -> None:
    assert "Only 2 training images" in reason(drawn_version(painted_actor(images=2)))


def test_a_dataset_of_different_people_is_no_yardstick() -> None:
    actor = painted_actor(images=3)
    put(f"actors/{actor.pk}/0.png", astronaut())
    put(f"actors/{actor.pk}/1.png", drawn_picture_of_him())
    assert "different people" in reason(drawn_version(actor))


def drawn_picture_of_him() -> Any:
    from tests.training.score_steps import picture

    return picture(HIM, "elsewhere")


def test_an_actor_without_a_dataset_says_so() -> None:
    version = drawn_version(painted_actor())
    TrainingDataset.objects.all().delete()
    assert "no dataset" in reason(version)


def test_drawn_actors_on_another_base_are_judged_by_eye() -> None:
    version = drawn_version(painted_actor(), base_model="black-forest-labs/FLUX.1-dev")
    assert "by eye" in reason(version)


def test_missing_weights_name_the_command_that_makes_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    version = drawn_version(painted_actor())
    network = drawn_likeness.network
    monkeypatch.setattr(drawn_likeness, "network", lambda: network(tmp_path / "gone"))
    assert "python -m worker.make_scorer" in reason(version)


def test_pictures_that_are_gone_are_left_out_and_counted() -> None:
    version = drawn_version(painted_actor())
    first = version.samples.filter(step=300).first()
    assert first
    storage.delete(first.url)
    score = score_of(version)
    assert score.pictures == 3
    assert "1 of the pictures" in score.measured_on


def test_a_store_out_of_reach_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    version = drawn_version(painted_actor())

    def down(url: str) -> int:
        raise OSError("down")

    with monkeypatch.context() as patched:
        patched.setattr(storage, "size", down)
        assert "tried again by itself" in reason(version)
    assert missing() == []
    VersionScore.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    assert missing() == [version]
    assert score_of(version).is_measured


def test_only_completed_versions_have_a_score() -> None:
    with pytest.raises(ValueError, match="only a completed version"):
        score_of(make_version(status=Status.TRAINING))


def test_the_database_wants_a_number_or_a_reason() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        VersionScore.objects.create(version=make_version())


# Photographs


def photographed() -> TrainingVersion:
    """Four training images and two samples of one photograph; the faces are known as after an inspection."""
    actor = make_actor(images=4)
    TrainingDataset.objects.update(kind=TrainingDataset.Kind.PHOTOGRAPHS)
    version = make_version(actor, base_model="black-forest-labs/FLUX.1-dev", class_tokens="zoe")
    for index, image in enumerate(actor.dataset.images.all()):
        image.measures = {"faces": faces.find(astronaut().rotate(index - 2))}
        image.save(update_fields=["measures"])
    for index, seen in enumerate((astronaut(), astronaut().rotate(4), admiral())):
        url = put(f"samples/{version.pk}/{index}.png", seen)
        prompt = "photograph of zoe" if index < 2 else "photograph of a man"
        SampleImage.objects.create(version=version, step=300, prompt_index=index, prompt=prompt, url=url)
    return version


def test_photographs_are_compared_by_their_faces() -> None:
    score = score_of(photographed())
    assert score.scorer == "dlib face recognition ResNet 1"
    assert (score.value or 0) > 80
    assert score.bleed is None
    assert "by the base alone" in score.bleed_reason


def test_pictures_without_a_face_are_no_measure() -> None:
    version = photographed()
    for sample in version.samples.all():
        put(storage.parse(sample.url).key, astronaut().crop((0, 0, 90, 90)))  # type: ignore[union-attr]
    assert "shows a face" in reason(version)


def test_without_the_extra_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    version = photographed()
    monkeypatch.setattr(faces, "available", lambda: False)
    assert "requirements/faces.txt" in reason(version)


def test_images_whose_faces_nobody_has_looked_for_ask_for_an_inspection() -> None:
    version = photographed()
    TrainingImage.objects.update(measures={})
    assert "Inspect the dataset again" in reason(version)


# When it is measured


def test_completing_a_version_queues_its_measuring(django_capture_on_commit_callbacks: Any) -> None:
    version = make_version(status=Status.TRAINING)
    with django_capture_on_commit_callbacks(execute=True):
        version.complete("s3://local/lora.safetensors")
    assert queued() == [version.pk]


def test_a_finished_preview_queues_it_again(django_capture_on_commit_callbacks: Any) -> None:
    version = drawn_version(painted_actor())
    with django_capture_on_commit_callbacks(execute=True):
        drawn_preview(version, HER)
    assert queued() == [version.pk]


def test_the_task_twice_writes_once(
    django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = drawn_version(painted_actor())
    scores.measure(version.pk)
    first = VersionScore.objects.get()
    monkeypatch.setattr(storage, "opened", None)  # nobody may look at a file again
    scores.measure(version.pk)
    assert VersionScore.objects.get().pk == first.pk


def test_the_task_bears_versions_that_are_gone_or_not_completed() -> None:
    scores.measure(987654)
    scores.measure(make_version(status=Status.FAILED).pk)
    assert not VersionScore.objects.exists()


def test_other_images_measure_the_actors_other_versions_too(django_capture_on_commit_callbacks: Any) -> None:
    actor = painted_actor()
    first, second = drawn_version(actor), drawn_version(actor, HIM)
    scores.measure(first.pk)
    scores.measure(second.pk)
    actor.dataset.images.filter(position=0).update(included=False)
    with django_capture_on_commit_callbacks(execute=True):
        scores.measure(second.pk)
    assert queued() == [first.pk]
    assert score_of(first).compared_with == 5


def test_new_captions_change_the_revision_and_nothing_else() -> None:
    actor = painted_actor()
    version = drawn_version(actor)
    before = score_of(version)
    actor.dataset.images.update(caption="another")
    after = score_of(version)
    assert (str(before.dataset_revision), str(after.dataset_revision)) == ("r1", "r2")
    assert (after.pk, after.value) == (before.pk, before.value)


def test_the_schedule_finds_what_was_lost(django_capture_on_commit_callbacks: Any) -> None:
    actor = painted_actor()
    version = drawn_version(actor)
    make_version(actor)  # imported: no pictures, so there is nothing to measure
    make_version(status=Status.TRAINING)
    with django_capture_on_commit_callbacks(execute=True):
        scores.score_missing()
    assert queued() == [version.pk]
    scores.measure(version.pk)
    assert missing() == []
    drawn_preview(version, HER)
    assert missing() == [version]
    scores.measure(version.pk)
    assert missing() == []


def test_a_long_queue_is_not_made_longer(django_capture_on_commit_callbacks: Any) -> None:
    drawn_version(painted_actor())
    OrmQ.objects.bulk_create(OrmQ(key="q", payload="", lock=timezone.now()) for _ in range(60))
    with django_capture_on_commit_callbacks(execute=True):
        scores.score_missing()
    assert OrmQ.objects.count() == 60


def test_the_schedule_is_there_after_every_migrate() -> None:
    call_command("migrate", verbosity=0)
    assert Schedule.objects.get(name="scores").func == "training.scores.score_missing"


def test_looking_for_lost_ones_takes_one_query(django_assert_num_queries: Any) -> None:
    actor = painted_actor()
    for _ in range(3):
        drawn_version(actor)
    with django_assert_num_queries(1):
        assert len(missing()) == 3
