"""Edits of a dataset by people: each is one change that can be undone, and none overwrites another's.

A save names the ``edit`` number it read. When somebody else was faster, ``Overtaken`` carries what
stands there now, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from actors.inspection import judge
from actors.models import DatasetChange, TrainingDataset, TrainingImage

if TYPE_CHECKING:
    from django.contrib.auth.models import User

#: What people may change of an image.
FIELDS = ("included", "caption", "notes", "crop", "position", "accepted")
MAX_CAPTION = 2000
Values = Mapping[int, dict[str, Any]]


class Overtaken(Exception):
    """Somebody else has changed this image since it was read; ``image`` is as it stands now."""

    def __init__(self, image: TrainingImage) -> None:
        self.image = image
        super().__init__(f"{image.file_name} was changed by somebody else meanwhile; nothing was saved.")


class CannotEdit(Exception):
    """The edit makes no sense; the message says why."""


@transaction.atomic
def change(
    dataset: TrainingDataset,
    values: Values,
    summary: str,
    *,
    by: User | None = None,
    expected: Mapping[int, int] | None = None,
) -> DatasetChange | None:
    """Writes new values of some images as one change; ``None`` when nothing differs.

    Raises ``Overtaken`` when an image is not at its expected edit number.
    """
    # The dataset's row is the lock: two edits of one dataset come one after the other.
    TrainingDataset.objects.select_for_update().get(pk=dataset.pk)
    rows = {image.pk: image for image in dataset.images.filter(pk__in=values)}
    before: dict[str, dict[str, Any]] = {}
    after: dict[str, dict[str, Any]] = {}
    for pk, image in rows.items():
        if expected and pk in expected and image.edit != expected[pk]:
            raise Overtaken(image)
        new = {field: value for field, value in values[pk].items() if getattr(image, field) != value}
        if not new:
            continue
        before[str(pk)] = {field: getattr(image, field) for field in new}
        after[str(pk)] = new
        TrainingImage.objects.filter(pk=pk).update(**new, edit=F("edit") + 1, updated_at=timezone.now())
    if not before:
        return None
    made = dataset.changes.create(by=by, summary=summary[:300], before=before, after=after)
    dataset.touch()
    judge(dataset)
    return made


@transaction.atomic
def undo(dataset: TrainingDataset, *, by: User | None = None) -> tuple[DatasetChange | None, int]:
    """Takes the latest edit back; returns it and how many images kept a newer edit of somebody else."""
    last = dataset.changes.filter(undone_at=None).exclude(before={}).first()
    if last is None:
        return None, 0
    rows = {str(image.pk): image for image in dataset.images.filter(pk__in=list(last.before))}
    values: dict[int, dict[str, Any]] = {}
    for pk, image in rows.items():
        if all(getattr(image, field) == value for field, value in last.after[pk].items()):
            values[image.pk] = last.before[pk]
    made = change(dataset, values, f"Undone: {last.summary}", by=by)
    now = timezone.now()
    # The undoing is no edit to be undone in turn: the next undo goes one further back.
    DatasetChange.objects.filter(pk__in=[last.pk, *([made.pk] if made else [])]).update(undone_at=now)
    return last, len(last.before) - len(values)


def keep_one(dataset: TrainingDataset, keep: TrainingImage, drop: TrainingImage, *, by: User | None) -> None:
    """Of a pair, one stays and the other is left out."""
    change(
        dataset, {drop.pk: {"included": False}}, f"{keep.file_name} kept, {drop.file_name} left out", by=by
    )


def accept(
    dataset: TrainingDataset, image: TrainingImage, code: str, reason: str, *, by: User | None
) -> None:
    """A finding is seen and accepted; the reason goes onto every version that is trained with it."""
    if not reason.strip():
        raise CannotEdit("Say why this finding may stay.")
    entry = {
        "reason": reason.strip()[:500],
        "by": by.get_username() if by else "",
        "at": timezone.now().isoformat(),
    }
    change(
        dataset,
        {image.pk: {"accepted": image.accepted | {code: entry}}},
        f"{image.file_name}: {code.replace('_', ' ')} accepted",
        by=by,
    )


def reorder(dataset: TrainingDataset, ids: list[int], *, by: User | None) -> None:
    """Puts the images into this order; those not named follow in theirs."""
    here = list(dataset.images.order_by("position", "id").values_list("pk", flat=True))
    named = [pk for pk in dict.fromkeys(ids) if pk in set(here)]
    order = named + [pk for pk in here if pk not in set(named)]
    change(dataset, {pk: {"position": index} for index, pk in enumerate(order)}, "Order changed", by=by)


# Captions in bulk


def replace_in_captions(
    dataset: TrainingDataset, find: str, replacement: str, *, by: User | None
) -> DatasetChange | None:
    if not find:
        raise CannotEdit("Say what to find.")
    captions = {image.pk: image.caption.replace(find, replacement) for image in _included(dataset)}
    return _set_captions(dataset, captions, f"“{find}” replaced with “{replacement}”", by)


def prefix_captions(dataset: TrainingDataset, prefix: str, *, by: User | None) -> DatasetChange | None:
    """Puts a text before every caption that doesn't start with it already."""
    if not prefix.strip():
        raise CannotEdit("Say what to put before the captions.")
    captions = {
        image.pk: image.caption if image.caption.startswith(prefix) else f"{prefix}{image.caption}"
        for image in _included(dataset)
    }
    return _set_captions(dataset, captions, f"“{prefix}” put before captions", by)


def template_captions(
    dataset: TrainingDataset, template: str, *, empty_only: bool, by: User | None
) -> DatasetChange | None:
    """Writes captions from the actor's facts: ``{trigger} {age} {sex} {ethnicity} {caption}``."""
    actor = dataset.actor
    facts = {
        "trigger": actor.trigger_token,
        "age": str(actor.age or ""),
        "sex": actor.sex,
        "ethnicity": actor.ethnicity.replace("_", " "),
    }
    captions = {}
    for image in _included(dataset):
        if empty_only and image.caption:
            continue
        text = template
        for name, value in {**facts, "caption": image.caption}.items():
            text = text.replace("{" + name + "}", value)
        captions[image.pk] = ", ".join(part.strip() for part in text.split(",") if part.strip())
    return _set_captions(dataset, captions, "Captions written from a template", by)


def _set_captions(
    dataset: TrainingDataset, captions: dict[int, str], summary: str, by: User | None
) -> DatasetChange | None:
    if any(len(caption) > MAX_CAPTION for caption in captions.values()):
        raise CannotEdit(f"A caption would be longer than {MAX_CAPTION} characters.")
    return change(dataset, {pk: {"caption": caption} for pk, caption in captions.items()}, summary, by=by)


def _included(dataset: TrainingDataset) -> list[TrainingImage]:
    return list(dataset.images.filter(included=True))
