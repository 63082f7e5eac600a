"""Edits of a dataset by people: each is one change that can be undone, and none overwrites another's.

A save names the ``edit`` number it read. When somebody else was faster, ``Overtaken`` carries what
stands there now, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from actors import faces, tasks
from actors.history import changing
from actors.inspection import judge
from actors.models import Actor, DatasetChange, TrainingDataset, TrainingImage

if TYPE_CHECKING:
    from django.contrib.auth.models import User

#: What people may change of an image.
FIELDS = ("included", "caption", "notes", "crop", "position", "accepted")
MAX_CAPTION = 2000
#: Keys of a change beside image ids: the dataset's kind, the actor's poster.
DATASET, ACTOR = "dataset", "actor"
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
    dataset.lock()
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
        # A new place in the order is no reason to refuse the caption that somebody is writing.
        counted = {"edit": F("edit") + 1} if new.keys() - {"position"} else {}
        with changing(by, summary):
            TrainingImage.objects.filter(pk=pk).update(**new, **counted, updated_at=timezone.now())
    if not before:
        return None
    made = dataset.changes.create(by=by, summary=summary[:300], before=before, after=after)
    dataset.touch()
    judge(dataset)
    return made


@transaction.atomic
def undo(
    dataset: TrainingDataset, *, by: User | None = None, seen: int | None = None
) -> tuple[DatasetChange | None, int]:
    """Takes the latest edit back; returns it and how many images kept a newer edit of somebody else.

    ``seen`` is the edit that the person means: a newer one of somebody else is not taken back instead.
    """
    dataset.lock()
    last = dataset.changes.filter(undone_at=None).exclude(before={}).first()
    if last is None:
        return None, 0
    if seen is not None and last.pk != seen:
        raise CannotEdit(f"There is a newer change: {last.summary}. Look at it before you undo it.")
    if DATASET in last.before:
        made = _set_kind(dataset, last.before[DATASET]["kind"], f"Undone: {last.summary}", by)
        kept = 0
    elif ACTOR in last.before:
        made = _set_poster(dataset, last.before[ACTOR]["poster_id"], f"Undone: {last.summary}", by)
        kept = 0
    else:
        made, kept = _undo_images(dataset, last, by)
    # The undoing is no edit to be undone in turn: the next undo goes one further back.
    done = [last.pk, *([made.pk] if made else [])]
    DatasetChange.objects.filter(pk__in=done).update(undone_at=timezone.now())
    return last, kept


def _undo_images(
    dataset: TrainingDataset, last: DatasetChange, by: User | None
) -> tuple[DatasetChange | None, int]:
    rows = {str(image.pk): image for image in dataset.images.filter(pk__in=list(last.before))}
    values: dict[int, dict[str, Any]] = {}
    for pk, image in rows.items():
        if all(getattr(image, field) == value for field, value in last.after[pk].items()):
            values[image.pk] = last.before[pk]
    made = change(dataset, values, f"Undone: {last.summary}", by=by)
    return made, len(last.before) - len(values)


# What the dataset is, and which image stands for the actor: changes that can be undone like any other.


@transaction.atomic
def set_kind(dataset: TrainingDataset, kind: str, *, by: User | None) -> DatasetChange | None:
    """Photographs or drawn; what was found is judged anew, and faces are looked for where nobody has."""
    dataset.lock()
    words = {TrainingDataset.Kind.DRAWN: "The images are drawn"}
    return _set_kind(dataset, kind, words.get(TrainingDataset.Kind(kind), "The images are photographs"), by)


def _set_kind(dataset: TrainingDataset, kind: str, summary: str, by: User | None) -> DatasetChange | None:
    old = TrainingDataset.objects.get(pk=dataset.pk).kind
    if old == kind:
        return None
    dataset.kind = kind
    with changing(by, summary):
        TrainingDataset.objects.filter(pk=dataset.pk).update(kind=kind, updated_at=timezone.now())
    if kind == TrainingDataset.Kind.PHOTOGRAPHS and faces.available():
        unseen = dataset.images.exclude(measures__has_key="faces").exclude(inspected_at=None)
        unseen.update(inspected_at=None)
        transaction.on_commit(partial(tasks.inspect_later, dataset))
    judge(dataset)
    before, after = {DATASET: {"kind": old}}, {DATASET: {"kind": kind}}
    return dataset.changes.create(by=by, summary=summary[:300], before=before, after=after)


@transaction.atomic
def choose_poster(dataset: TrainingDataset, image: TrainingImage, *, by: User | None) -> None:
    """This image stands for the actor in the library."""
    dataset.lock()
    _set_poster(dataset, image.pk, f"{image.file_name} is the poster", by)


def _set_poster(
    dataset: TrainingDataset, pk: int | None, summary: str, by: User | None
) -> DatasetChange | None:
    actor = Actor.objects.get(pk=dataset.actor_id)
    if actor.poster_id == pk:
        return None
    before, after = {ACTOR: {"poster_id": actor.poster_id}}, {ACTOR: {"poster_id": pk}}
    actor.poster = dataset.images.filter(pk=pk).first() if pk else None
    with changing(by, summary):
        actor.save(update_fields=["poster", "updated_at"])
    return dataset.changes.create(by=by, summary=summary[:300], before=before, after=after)


def keep_one(dataset: TrainingDataset, keep: TrainingImage, drop: TrainingImage, *, by: User | None) -> None:
    """Of a pair, one stays and the other is left out, also when somebody has just left out the first."""
    values = {keep.pk: {"included": True}, drop.pk: {"included": False}}
    change(dataset, values, f"{keep.file_name} kept, {drop.file_name} left out", by=by)


@transaction.atomic
def accept(
    dataset: TrainingDataset, image: TrainingImage, code: str, reason: str, *, by: User | None
) -> None:
    """A finding is seen and accepted; the reason goes onto every version that is trained with it.

    What is found of a pair is accepted of both: they are one question.
    """
    if not reason.strip():
        raise CannotEdit("Say why this finding may stay.")
    dataset.lock()
    image.refresh_from_db(fields=["accepted"])
    entry = {
        "reason": reason.strip()[:500],
        "by": by.get_username() if by else "",
        "at": timezone.now().isoformat(),
    }
    of = {image.pk: image}
    twins = [each.get("twin") for each in image.findings if each["code"] == code]
    for other in dataset.images.filter(pk__in=[twin for twin in twins if twin]):
        if any(each["code"] == code and each.get("twin") == image.pk for each in other.findings):
            of[other.pk] = other
    change(
        dataset,
        {pk: {"accepted": each.accepted | {code: entry}} for pk, each in of.items()},
        f"{image.file_name}: {code.replace('_', ' ')} accepted",
        by=by,
    )


@transaction.atomic
def move(
    dataset: TrainingDataset,
    image: TrainingImage,
    *,
    before: int | None = None,
    after: int | None = None,
    by: User | None,
) -> None:
    """Puts one image before or after another. Where the others stand now counts, not what a page shows."""
    dataset.lock()
    order = list(dataset.images.order_by("position", "id").values_list("pk", flat=True))
    order.remove(image.pk)
    if before in order:
        order.insert(order.index(before), image.pk)
    elif after in order:
        order.insert(order.index(after) + 1, image.pk)
    else:
        raise CannotEdit("Say which other image of this dataset it goes before or after.")
    values = {pk: {"position": index} for index, pk in enumerate(order)}
    change(dataset, values, f"{image.file_name} moved", by=by)


# Captions in bulk


@transaction.atomic
def replace_in_captions(
    dataset: TrainingDataset, find: str, replacement: str, *, by: User | None
) -> DatasetChange | None:
    if not find:
        raise CannotEdit("Say what to find.")
    captions = {image.pk: image.caption.replace(find, replacement) for image in _included(dataset)}
    return _set_captions(dataset, captions, f"“{find}” replaced with “{replacement}”", by)


@transaction.atomic
def prefix_captions(dataset: TrainingDataset, prefix: str, *, by: User | None) -> DatasetChange | None:
    """Puts a text before every caption that doesn't start with it already."""
    if not prefix.strip():
        raise CannotEdit("Say what to put before the captions.")
    captions = {
        image.pk: image.caption if image.caption.startswith(prefix) else f"{prefix}{image.caption}"
        for image in _included(dataset)
    }
    return _set_captions(dataset, captions, f"“{prefix}” put before captions", by)


@transaction.atomic
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
    """With the dataset locked, so that a caption saved meanwhile is not replaced by an older one."""
    dataset.lock()
    return list(dataset.images.filter(included=True))
