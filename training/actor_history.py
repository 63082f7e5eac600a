"""The history of one actor for people: who did what when, from what to what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.utils import timezone
from django.utils.text import Truncator

from actors.models import Actor, TrainingDataset, TrainingImage
from training.models import TrainingVersion

#: Lines of history read for one page; older ones stay in the database and in the admin.
MOST_LINES = 5000
DONE = {"+": "added", "~": "changed", "-": "removed"}
#: Lines of one action come within a moment of each other.
_MOMENT = timedelta(seconds=2)
#: What links a row to its actor says nothing about a change.
_SILENT = frozenset(("actor", "dataset", "number", "good_reason"))  # the reason is told beside the change
#: Where a column's name is not what people say.
_WORDS = {"is_good": "good", "lora_url": "LoRA"}


@dataclass(frozen=True)
class Change:
    """One field. Texts as people read them; an empty text stands for nothing."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Entry:
    """One line: ``who`` did ``action`` to ``what`` at ``at``, because of ``reason``."""

    at: datetime
    who: str
    what: str
    action: str
    reason: str = ""
    changes: tuple[Change, ...] = field(default=())


def actor_history(actor: Actor) -> list[Entry]:
    """What happened to the actor, its dataset, images and versions; the newest first.

    Five queries whatever the length. Images changed in one go are one entry.
    """
    datasets = TrainingDataset.history.filter(actor_id=actor.pk)
    dataset_ids = set(datasets.values_list("id", flat=True))
    sources = (
        Actor.history.filter(id=actor.pk),
        datasets,
        TrainingImage.history.filter(dataset_id__in=dataset_ids),
        TrainingVersion.history.filter(actor_id=actor.pk),
    )
    entries: list[Entry] = []
    for rows in sources:
        newest = rows.select_related("history_user").order_by("-history_date", "-history_id")[:MOST_LINES]
        entries += [_entry(row, changes) for row, changes in _lines(list(newest)[::-1])]
    entries.sort(key=lambda entry: entry.at, reverse=True)
    return list(_together(entries))


def _lines(rows: Iterable[Any]) -> Iterator[tuple[Any, tuple[Change, ...]]]:
    """Rows of one kind, oldest first, each with what it changed; changes of nothing are left out."""
    last: dict[Any, Any] = {}
    for row in rows:
        former = last.get(row.id)
        last[row.id] = row
        changes = () if row.history_type == "-" else tuple(_changes(former, row))
        if changes or row.history_type != "~":
            yield row, changes


def _changes(former: Any, row: Any) -> Iterator[Change]:
    for tracked in row.tracked_fields:
        if tracked.primary_key or tracked.name in _SILENT:
            continue
        before = getattr(former, tracked.attname) if former is not None else None
        after = getattr(row, tracked.attname)
        if before == after or (former is None and after is False):
            continue
        if tracked.name == "source":
            yield from _source_changes(before, after) if before is not None else ()
        elif (text := _text(after)) != (old := _text(before)):
            yield Change(_WORDS.get(tracked.name, str(tracked.verbose_name)), old, text)


def _source_changes(before: str, after: str) -> Iterator[Change]:
    """Keys of the registry record that are no columns here."""
    old, new = json.loads(before or "{}"), json.loads(after or "{}")
    for key in [*old, *(key for key in new if key not in old)]:
        if old.get(key) != new.get(key):
            yield Change(f"registry key {key}", _text(old.get(key)), _text(new.get(key)))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False) if value else ""
    return Truncator(str(value)).chars(300)


def _entry(row: Any, changes: tuple[Change, ...]) -> Entry:
    person = row.history_user
    who = (person.get_full_name() or person.get_username()) if person else "ActorTrain"
    what = {
        Actor: "actor",
        TrainingDataset: "dataset",
        TrainingImage: f"image {getattr(row, 'file_name', '')}",
        TrainingVersion: getattr(row, "name", ""),
    }[row.instance_type]
    told = tuple(change for change in changes if change.after != what)  # "V4 added" names it already
    return Entry(row.history_date, who, what, DONE[row.history_type], row.history_change_reason or "", told)


def _together(entries: list[Entry]) -> Iterator[Entry]:
    """Images with the same change, made by the same person in the same moment, become one entry."""

    def alike(entry: Entry) -> tuple[Any, ...]:
        if not entry.what.startswith("image "):
            return (id(entry),)
        changes = () if entry.action == "added" else entry.changes
        return (
            entry.who,
            entry.action,
            entry.reason,
            changes,
            int(entry.at.timestamp() / _MOMENT.total_seconds()),
        )

    for _, group in groupby(entries, key=alike):
        same = list(group)
        first = same[0]
        if len(same) == 1:
            yield first
            continue
        changes = () if first.action == "added" else first.changes
        yield Entry(first.at, first.who, f"{len(same)} images", first.action, first.reason, changes)
