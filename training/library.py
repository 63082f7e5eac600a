"""The library: which actors a visitor's filters leave, how many each further filter would, and in what order.

Every choice stands in the URL. Within a group choices are joined by "or", between groups by "and"; a
group's counts say what its choices would show beside the other groups' choices.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

from django.http import QueryDict

from actors.models import Actor, ActorQuerySet
from training.standing import STATES, with_standing

AGES = {"-39": "Up to 39", "40-59": "40–59", "60-": "60 and over", "?": "Unknown"}
SORTS = {
    "need": "Needs you first",
    "number": "Number",
    "recent": "Last training",
    "images": "Most images",
    "name": "Name",
}
VIEWS = ("sheet", "table")
PAGE_SIZE = 36
#: Library states by who has to act: people first, then machines, then nobody.
NEED = ("choose", "failed", "unfit", "training", "none", "fit", "good")


class Row(NamedTuple):
    """What filtering and sorting need of an actor."""

    pk: int
    name: str
    sex: str
    ethnicity: str
    age: int | None
    state: str
    last_created: datetime | None
    included: int

    def in_group(self, group: str) -> str:
        """The choice of a filter group that this actor falls under."""
        if group == "age":
            return age_band(self.age)
        value: str = getattr(self, group)
        return value


def age_band(age: int | None) -> str:
    """The choice of the age filter for an age in years."""
    if age is None:
        return "?"
    return "-39" if age < 40 else "40-59" if age < 60 else "60-"


@dataclass(frozen=True)
class Choice:
    """One checkbox: its value, its words, how many actors, and whether it is chosen."""

    value: str
    label: str
    count: int
    chosen: bool


@dataclass(frozen=True)
class Filters:
    """What the URL asks for."""

    q: str = ""
    chosen: dict[str, list[str]] = field(default_factory=dict)
    sort: str = "need"
    view: str = "sheet"

    GROUPS = ("state", "age", "sex", "ethnicity")

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """From a query string; what makes no sense in it is left out."""
        chosen = {group: list(dict.fromkeys(query.getlist(group)))[:50] for group in cls.GROUPS}
        sort, view = query.get("sort", ""), query.get("view", "")
        return cls(
            q=query.get("q", "").replace("\x00", "").strip()[:200],
            chosen={group: values for group, values in chosen.items() if values},
            sort=sort if sort in SORTS else "need",
            view=view if view in VIEWS else "sheet",
        )

    def query(self, **changes: str | int) -> str:
        """This state as a query string; ``page`` and other ``changes`` are put on top."""
        query = QueryDict(mutable=True)
        if self.q:
            query["q"] = self.q
        for group, values in self.chosen.items():
            query.setlist(group, values)
        if self.sort != "need":
            query["sort"] = self.sort
        if self.view != "sheet":
            query["view"] = self.view
        for name, value in changes.items():
            query[name] = str(value)
        return "?" + query.urlencode()

    def without(self, group: str, value: str) -> str:
        """The query string with one choice taken back."""
        chosen = {
            name: [each for each in values if (name, each) != (group, value)]
            for name, values in self.chosen.items()
        }
        return Filters(self.q, chosen, self.sort, self.view).query()


class Library:
    """All actors that a search finds, filtered and counted. One query, whatever the filters."""

    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        found = self.base().search(filters.q)
        columns = ("pk", "name", "sex", "ethnicity", "age", "state", "last_created", "included_count")
        self.found = [Row(*values) for values in with_standing(found).values_list(*columns)]
        self.rows = sorted((row for row in self.found if self.fits(row)), key=self.sort_key)

    @staticmethod
    def base() -> ActorQuerySet:
        """Everyone who can be in the library."""
        return Actor.objects.active()

    def fits(self, row: Row, leaving_out: str = "") -> bool:
        """Whether an actor passes all groups, or all but one."""
        return all(
            row.in_group(group) in values
            for group, values in self.filters.chosen.items()
            if group != leaving_out
        )

    def sort_key(self, row: Row) -> tuple[float | str, int]:
        """Order of the library; the number decides between equals."""
        match self.filters.sort:
            case "number":
                return (0, row.pk)
            case "recent":
                return (-row.last_created.timestamp() if row.last_created else 0.0, row.pk)
            case "images":
                return (-row.included, row.pk)
            case "name":
                return (row.name.casefold(), row.pk)
            case _:
                return (NEED.index(row.state), row.pk)

    def choices(self, group: str) -> list[Choice]:
        """The checkboxes of a group. A chosen one stays even when nobody is left under it."""
        counts = Counter(row.in_group(group) for row in self.found if self.fits(row, leaving_out=group))
        chosen = self.filters.chosen.get(group, [])
        everyone = {row.in_group(group) for row in self.found}
        return [
            Choice(value, label, counts[value], value in chosen)
            for value, label in self.labels(group, everyone | set(chosen))
        ]

    @staticmethod
    def labels(group: str, values: set[str]) -> list[tuple[str, str]]:
        """Values and words of a group's choices, in their order."""
        if group == "state":
            return list(STATES.items())
        if group == "age":
            return [(value, label) for value, label in AGES.items() if value != "?" or "?" in values]
        return [
            (value, value.replace("_", " ").title() or "Unknown")
            for value in sorted(values, key=lambda value: (not value, value.casefold()))
        ]

    def applied(self) -> list[tuple[str, str]]:
        """The chosen filters as words, each with the query string that takes it back."""
        words = []
        for group, values in self.filters.chosen.items():
            labels = dict(self.labels(group, set(values)))
            title = "" if group == "state" else f"{group.capitalize()} "
            words += [
                (title + labels.get(value, value), self.filters.without(group, value)) for value in values
            ]
        return words
