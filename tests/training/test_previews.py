"""What may be drawn, what is ordered, and what the worker is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from tests.factories import make_version
from tests.training.previewing import PROMPT, make_drawable, ordered, store_pictures
from training import preview_body, preview_reports, previews
from training.models import Checkpoint, Preview, PreviewImage, PreviewSettings, PromptSet, Status
from training.preview_models import PreviewStatus
from training.previews import CannotPreview, Wanted, order_standard_preview, pictures
from training.prompt_sets import PromptLine, check_lines, lines_from_text, text_from_lines
from worker.draw_order import read_draw_order

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


# Ordering


def test_an_order_has_a_row_for_every_picture_and_is_submitted_on_commit(
    django_capture_on_commit_callbacks: Any,
) -> None:
    version = make_drawable()
    with django_capture_on_commit_callbacks() as callbacks:
        preview = ordered(version)
    assert preview.status == PreviewStatus.PENDING
    first, second = preview.images.all()
    assert first.prompt == f"portrait of {version.class_tokens}, smiling"
    assert (first.with_trigger, first.strength, first.steps, first.url) == (True, 1.0, 24, "")
    assert (second.position, second.strength) == (1, 0.0)
    assert len(callbacks) == 1


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ([], "nothing to draw"),
        ([Wanted(PROMPT, 1)] * 97, "97 pictures are too many"),
        ([Wanted(" ", 1)], "A prompt has 1 to"),
        ([Wanted("x" * 1001, 1)], "A prompt has 1 to"),
        ([Wanted(PROMPT, -1)], "A seed is a whole number"),
        ([Wanted(PROMPT, 2**32)], "A seed is a whole number"),
        ([Wanted(PROMPT, 1, strength=2.1)], "A strength lies between 0"),
        ([Wanted(PROMPT, 1, strength=float("nan"))], "A strength lies between 0"),
        ([Wanted(PROMPT, 1, steps=0)], "in 1 to 100 steps"),
        ([Wanted(PROMPT, 1, checkpoint_step=60)], "No checkpoint of step 60"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_nothing_is_created(wanted: list[Wanted], says: str) -> None:
    with pytest.raises(CannotPreview, match=says):
        previews.order(make_drawable(), wanted, title="A look")
    assert not Preview.objects.exists()


def test_only_a_finished_lora_within_reach_can_draw() -> None:
    with pytest.raises(CannotPreview, match="V1 is training: only a finished LoRA"):
        ordered(make_version(status=Status.TRAINING))
    with pytest.raises(CannotPreview, match="V1 lies where this site has no access"):
        ordered(make_version())


def test_a_prompt_needs_a_trigger_that_fits_into_it() -> None:
    version = make_drawable()
    with pytest.raises(CannotPreview, match="longer than 2000 characters"):
        ordered(version, Wanted("{trigger} " * 100, 1))
    version.class_tokens = ""
    with pytest.raises(CannotPreview, match="V1 has no trigger token"):
        ordered(version, Wanted(PROMPT, 1))
    assert ordered(version, Wanted("portrait of a man", 1)).images.get().with_trigger is False


def test_pictures_multiply_and_the_base_alone_is_drawn_once_for_all_checkpoints() -> None:
    lines = [PromptLine(PROMPT, 5), PromptLine("portrait of a man", 9)]
    grid = pictures(lines, strengths=(0, 0.5, 1), checkpoints=(60, None), count=2, steps=10)
    assert len(grid) == 2 * 2 * (1 + 2 * 2)
    assert [(each.seed, each.strength, each.checkpoint_step) for each in grid[:5]] == [
        (5, 0, None),
        (5, 0.5, 60),
        (5, 0.5, None),
        (5, 1, 60),
        (5, 1, None),
    ]
    assert grid[5].seed == 6


# The standard set


def test_every_subject_has_a_standard_set_with_and_without_the_trigger() -> None:
    for base_model in ("embedded", "black-forest-labs/FLUX.1-dev", ""):
        standard = PromptSet.standard(base_model)
        assert standard is not None
        called = [line.with_trigger for line in standard.prompt_lines()]
        assert (called.count(True), called.count(False)) == (5, 3)
        assert check_lines(standard.lines) == standard.prompt_lines()


def test_the_standard_preview_is_drawn_with_the_base_alone_when_asked() -> None:
    version = make_drawable()
    assert order_standard_preview(version).images.count() == 8
    preview = order_standard_preview(version, with_base=True)
    store_pictures(preview)
    preview_reports.recover(preview)
    bleed = previews.images_of(version, with_trigger=False, strength=1)
    base = previews.images_of(version, with_trigger=False, strength=0)
    assert {(image.prompt, image.seed) for image in bleed} == {(image.prompt, image.seed) for image in base}
    assert len(base) == 3
    assert previews.images_of(version, with_trigger=True).count() == 10
    assert previews.images_of(make_drawable()).count() == 0


def test_a_version_that_completes_orders_its_standard_preview_once() -> None:
    version = make_version(status=Status.TRAINING)
    assert version.complete(make_drawable().lora_url)
    assert not version.complete("s3://local/again.safetensors")
    preview = version.previews.get()
    assert preview.automatic
    assert preview.images.filter(strength=0).count() == preview.images.filter(strength=1).count() == 8
    with pytest.raises(CannotPreview, match="automatic preview already"):
        order_standard_preview(version, automatic=True)
    with pytest.raises(IntegrityError):
        Preview.objects.create(version=version, title="Another", automatic=True)


def test_a_studio_may_switch_the_automatic_preview_off() -> None:
    PreviewSettings(pk=1, automatic=False).save()
    version = make_version(status=Status.TRAINING)
    version.complete(make_drawable().lora_url)
    assert not version.previews.exists()


def test_a_standard_set_that_is_gone_is_noted_and_the_version_completes_all_the_same() -> None:
    PromptSet.objects.all().delete()
    version = make_version(status=Status.TRAINING)
    version.complete(make_drawable().lora_url)
    assert version.status == Status.COMPLETED
    assert "No preview was drawn: There is no standard prompt set" in version.events.last().message  # type: ignore[union-attr]


def test_another_set_becomes_the_standard_and_the_first_is_it_no_longer() -> None:
    mine = PromptSet.objects.create(name="Mine", subject="drawn", lines=[{"prompt": PROMPT, "seed": 1}])
    mine.make_standard()
    assert PromptSet.standard("embedded") == mine
    assert PromptSet.objects.filter(subject="drawn", is_standard=True).count() == 1
    with pytest.raises(IntegrityError):
        PromptSet.objects.create(name="Second", subject="drawn", is_standard=True, lines=mine.lines)


# Lines of a set


def test_lines_are_typed_one_a_line_with_or_without_their_seed() -> None:
    lines = lines_from_text("7: portrait of {trigger}\n\n portrait of a man \n2000: two\nfour o'clock: tea")
    assert lines == [
        {"prompt": "portrait of {trigger}", "seed": 7},
        {"prompt": "portrait of a man", "seed": 2001},
        {"prompt": "two", "seed": 2000},
        {"prompt": "four o'clock: tea", "seed": 2002},
    ]
    assert lines_from_text(text_from_lines(check_lines(lines))) == lines


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "at least one prompt"),
        ("text", "at least one prompt"),
        ([{"prompt": "a", "seed": 1}] * 33, "at most 32"),
        ([{"prompt": "a", "seed": 1}, {"prompt": "a", "seed": 1}], "Line 2 is there twice"),
        ([{"seed": 1}], "Line 1 has no prompt"),
        ([{"prompt": "a", "seed": "1"}], "Line 1: the seed"),
        ([{"prompt": "a", "seed": 2**40}], "Line 1: the seed"),
        ([{"prompt": "a" * 1001, "seed": 1}], "Line 1 is longer"),
        ([7], "Line 1 has no prompt"),
    ],
)
def test_a_line_that_is_wrong_is_named(lines: object, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        check_lines(lines)


# The body of /run


def test_the_worker_reads_what_the_site_sends() -> None:
    version = make_drawable()
    Checkpoint.objects.create(version=version, step=60, url="s3://local/loras/step60.safetensors")
    preview = ordered(
        version,
        Wanted(PROMPT, 1),
        Wanted(PROMPT, 2, strength=0),
        Wanted(PROMPT, 3, strength=0.5, steps=7, checkpoint_step=60),
    )
    body = preview_body.build(preview)
    read = read_draw_order(body["input"])
    assert read.request_id == preview.request_id
    assert (read.model_name, read.base_model) == (version.model_name, "embedded")
    assert [lora.name for lora in read.loras] == ["V1 at step 300", "V1 at step 60"]
    assert [(image.seed, image.strength, image.steps, image.lora) for image in read.images] == [
        (1, 1.0, 24, 0),
        (2, 0.0, 24, 0),
        (3, 0.5, 7, 1),
    ]
    assert read.images[2].target.url == f"s3://local/{preview.image_key(2)}"
    assert read.images[0].target.put_url.startswith("http")
    assert f"/api/preview-webhook/{preview.webhook_token}" in body["webhook"]
    assert set(body["policy"]) == {"executionTimeout", "ttl"}


def test_a_checkpoint_that_is_gone_is_told_before_anything_is_sent() -> None:
    version = make_drawable()
    Checkpoint.objects.create(version=version, step=60, url="s3://local/loras/step60.safetensors")
    preview = ordered(version, Wanted(PROMPT, 1, checkpoint_step=60))
    version.checkpoints.all().delete()
    with pytest.raises(OSError, match="checkpoint of step 60 is gone"):
        preview_body.build(preview)


# Deleting


def test_a_preview_goes_with_its_pictures_and_its_job_is_stopped(
    media: Path, django_capture_on_commit_callbacks: Any
) -> None:
    from training import preview_tasks
    from training.stops import JobToStop

    preview = ordered()
    store_pictures(preview)
    preview.mark_submitted("job-1")
    keys = [preview.image_key(0), preview.image_key(1)]
    assert all((media / key).exists() for key in keys)
    with django_capture_on_commit_callbacks() as callbacks:
        previews.remove(preview)
    assert not PreviewImage.objects.exists()
    assert JobToStop.objects.get().job_id == "job-1"
    assert len(callbacks) == 2
    preview_tasks.delete_files(keys)
    assert not any((media / key).exists() for key in keys)
