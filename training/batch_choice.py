"""Which actors a batch is about: chosen in the library, by its filters, by what they lack, or from a list."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from django.http import QueryDict

from actors.models import Actor
from training.library import Filters, Library
from training.readiness import among

#: Longer lists are no lists of ids.
MOST_CHARACTERS = 2_000_000
#: Headings of the column that is read where a list has headings.
HEADINGS = ("id", "actor", "actor_id", "number")
#: Who lacks a good version and nothing else. One whose version waits for a decision needs no second one.
FIT_WITHOUT_GOOD = ("fit", "failed")


@dataclass
class Choice:
    """Actors in the order in which they were named, and what names nobody."""

    ids: list[int] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def complaint(self) -> str:
        """The unknown ones in a sentence; empty when there are none."""
        if not self.unknown:
            return ""
        named = ", ".join(self.unknown[:20]) + (
            f" and {len(self.unknown) - 20} more" if len(self.unknown) > 20 else ""
        )
        return f"No actor has the id or name: {named}."


def by_words(words: list[str]) -> Choice:
    """Registry ids, also written as ``0013``, or registry names. Nobody is taken twice."""
    numbers = {int(word) for word in words if _is_id(word)}
    found = Actor.objects.filter(among("pk", list(numbers))).order_by().values_list("pk", flat=True)
    known_ids = numbers.intersection(found)
    names = {word for word in words if not (_is_id(word) and int(word) in known_ids)}
    known_names = dict(Actor.objects.filter(name__in=names).values_list("name", "pk"))
    ids: dict[int, None] = {}
    unknown: dict[str, None] = {}
    for word in words:
        if _is_id(word) and int(word) in known_ids:
            ids[int(word)] = None
        elif word in known_names:
            ids[known_names[word]] = None
        else:
            unknown[word[:100]] = None
    return Choice(list(ids), list(unknown))


def _is_id(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 19


def by_list(text: str) -> Choice:
    """A CSV file or pasted text: with a heading its id column, without one every word in it."""
    text = text[:MOST_CHARACTERS].replace("\x00", "").lstrip("\ufeff")
    separator = (
        ";" if text.count(";") > text.count(",") else "\t" if text.count("\t") > text.count(",") else ","
    )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        rows = [[cell.strip() for cell in row] for row in reader if any(cell.strip() for cell in row)]
    except csv.Error:  # no CSV at all
        rows = [text.split()]
    headings = [cell.lower() for cell in rows[0]] if rows else []
    column = next((headings.index(name) for name in HEADINGS if name in headings), None)
    if column is not None:
        return by_words([row[column] for row in rows[1:] if len(row) > column and row[column]])
    return by_words([word for row in rows for cell in row for word in cell.split()])


def by_filters(query: str) -> Choice:
    """Everyone whom the library shows for this query string, in its order."""
    found = Library(Filters.read(QueryDict(query.removeprefix("?"))))
    return Choice(list(found.actors().values_list("pk", flat=True)))


def fit_without_good() -> Choice:
    """Everyone who could train now, has no good version, and none that waits for a decision."""
    found = Library(Filters(chosen={"state": list(FIT_WITHOUT_GOOD)}, sort="number"))
    without = found.actors().exclude(versions__is_good=True)
    return Choice(list(without.values_list("pk", flat=True)))
