"""Rights in lists: of all actors by their state, and what happened to one actor's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F

from actors.models import Actor
from actors.rights import LikenessRights, State, with_rights_state

#: The lists of the page: a state, or all that are on record.
SHOWS = {
    "all": "On record",
    State.EXPIRED.value: "Expired",
    State.EXPIRING.value: "Expiring in 30 days",
    State.MISSING.value: "Missing",
    State.FUTURE.value: "Not yet valid",
}


def counts() -> dict[str, int]:
    """How many actors each list has; one query."""
    rows = with_rights_state(Actor.objects.active()).order_by().values("rights_state").annotate(Count("pk"))
    found = dict.fromkeys([*State.values, "all"], 0) | {row["rights_state"]: row["pk__count"] for row in rows}
    return found | {"all": sum(found.values()) - found["all"] - found[State.MISSING]}


def listed(show: str) -> Any:
    """The actors of a list, those whose rights end first at the top."""
    actors = with_rights_state(Actor.objects.active()).select_related("rights").defer("source")
    actors = actors.exclude(rights=None) if show == "all" else actors.filter(rights_state=show)
    return actors.order_by(F("rights__expires_on").asc(nulls_last=True), "pk")


@dataclass(frozen=True)
class Entry:
    """One change: who did it when, and each field from what to what."""

    at: datetime
    who: str
    action: str
    reason: str
    changes: list[tuple[str, str, str]]


_ACTIONS = {"+": "recorded", "~": "changed", "-": "removed"}
#: Keys and hashes of files say nothing to people; the file's name does.
_SILENT = ("id", "actor", "document", "document_sha256")
#: As the form says it.
_WORDS = {"expires_on": "last valid day"}


def changes_of(actor: Actor) -> list[Entry]:
    """The history of an actor's rights, the newest first."""
    rows = LikenessRights.history.filter(actor_id=actor.pk).select_related("history_user")
    entries, former = [], None
    for row in rows.order_by("history_date", "history_id"):
        gone = row.history_type == "-"
        changes = [] if gone else _changes(former if row.history_type == "~" else None, row)
        person = row.history_user
        who = (person.get_full_name() or person.get_username()) if person else "ActorTrain"
        reason = row.history_change_reason or ""
        entries.append(Entry(row.history_date, who, _ACTIONS[row.history_type], reason, changes))
        former = row
    return entries[::-1]


def _changes(former: Any, row: Any) -> list[tuple[str, str, str]]:
    fields = [field for field in row.tracked_fields if field.name not in _SILENT]
    pairs = ((field, _text(former, field.name), _text(row, field.name)) for field in fields)
    return [
        (_WORDS.get(field.name, str(field.verbose_name)), before, after)
        for field, before, after in pairs
        if before != after
    ]


def _text(row: Any, name: str) -> str:
    value = getattr(row, name) if row is not None else None
    return "" if value is None else str(value)
