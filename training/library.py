"""The library: which actors a visitor's filters leave, how many each further filter would, and in what order.

Every choice stands in the URL. Within a group choices are joined by "or", between groups by "and"; a
group's counts say what its choices would show beside the other groups' choices.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from django.db.models import Case, Count, F, Value, When
from django.db.models.functions import Lower
from django.http import QueryDict

from actors.models import Actor, ActorQuerySet
from training import standing_rows
from training.standing import STATES

AGES = {"-39": "Up to 39", "40-59": "40–59", "60-": "60 and over", "?": "Unknown"}
#: How many images are used; 20 to 30 train best.
IMAGES = {"-9": "Under 10", "10-19": "10–19", "20-30": "20–30", "31-": "Over 30"}
SORTS = {
    "need": "Needs you first",
    "number": "Number",
    "recent": "Last training",
    "images": "Most images",
    "name": "Name",
}
VIEWS = ("sheet", "table")
#: Columns of the table by the sort that a click on them asks for, and which way it goes.
COLUMN_SORTS = {
    "number": ("Number", "ascending"),
    "name": ("Actor", "ascending"),
    "need": ("State", "ascending"),
    "images": ("Images", "descending"),
    "recent": ("Last training", "descending"),
}
PAGE_SIZE = 36
#: Library states by who has to act: people first, then machines, then nobody.
NEED = ("choose", "failed", "unfit", "training", "none", "fit", "good")
#: The choice of the age filter that an actor falls under.
AGE_BAND = Case(
    When(age=None, then=Value("?")),
    When(age__lt=40, then=Value("-39")),
    When(age__lt=60, then=Value("40-59")),
    default=Value("60-"),
)
#: The choice of the images filter that an actor falls under.
IMAGES_BAND = Case(
    When(standing_row__images__lt=10, then=Value("-9")),
    When(standing_row__images__lt=20, then=Value("10-19")),
    When(standing_row__images__lte=30, then=Value("20-30")),
    default=Value("31-"),
)
#: Where a filter group stands in the database.
COLUMNS = {
    "state": "standing_row__state",
    "images": "images_band",
    "age": "age_band",
    "sex": "sex",
    "ethnicity": "ethnicity",
}
#: What each sort compares; the number decides between equals.
ORDERS: dict[str, tuple[Any, ...]] = {
    "need": (Case(*(When(standing_row__state=state, then=place) for place, state in enumerate(NEED))),),
    "number": (),
    "recent": (F("standing_row__last_training").desc(nulls_last=True),),
    "images": ("-standing_row__images",),
    "name": (Lower("name"),),
}


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

    GROUPS = ("state", "images", "age", "sex", "ethnicity")

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

    def cleared(self) -> str:
        """The query string of everybody, in the same order and view."""
        return Filters(sort=self.sort, view=self.view).query()

    def sorted_by(self, sort: str) -> str:
        """The query string of the same actors in another order."""
        return Filters(self.q, self.chosen, sort, self.view).query()

    def without(self, group: str, value: str) -> str:
        """The query string with one choice taken back."""
        chosen = {
            name: [each for each in values if (name, each) != (group, value)]
            for name, values in self.chosen.items()
        }
        return Filters(self.q, chosen, self.sort, self.view).query()


class Kind(NamedTuple):
    """Actors that no filter tells apart, and how many there are."""

    state: str
    images: str
    age: str
    sex: str
    ethnicity: str
    number: int

    def in_group(self, group: str) -> str:
        """The choice of a filter group that these actors fall under."""
        value: str = getattr(self, group)
        return value


class Library:
    """All actors that a search finds, filtered and counted: two queries, whatever the filters."""

    def __init__(self, filters: Filters) -> None:
        standing_rows.refresh()
        self.filters = filters
        searched: Any = self.searched()  # the annotation makes it a type of its own
        kinds = searched.values_list(*COLUMNS.values())
        self.kinds = [Kind(*values) for values in kinds.order_by().annotate(number=Count("pk"))]
        self.found = sum(kind.number for kind in self.kinds)
        self.left = sum(kind.number for kind in self.kinds if self.fits(kind))

    @staticmethod
    def base() -> ActorQuerySet:
        """Everyone who can be in the library."""
        return Actor.objects.active()

    def searched(self) -> ActorQuerySet:
        """Everyone whom the words find."""
        known = self.base().search(self.filters.q).filter(standing_row__isnull=False)
        return known.annotate(age_band=AGE_BAND, images_band=IMAGES_BAND)

    def actors(self) -> ActorQuerySet:
        """Everyone whom the filters leave, in their order."""
        found = self.searched()
        for group, values in self.filters.chosen.items():
            found = found.filter(**{f"{COLUMNS[group]}__in": values})
        return found.order_by(*ORDERS[self.filters.sort], "pk")

    def fits(self, kind: Kind, leaving_out: str = "") -> bool:
        """Whether actors pass all groups, or all but one."""
        return all(
            kind.in_group(group) in values
            for group, values in self.filters.chosen.items()
            if group != leaving_out
        )

    def choices(self, group: str) -> list[Choice]:
        """The checkboxes of a group. A chosen one stays even when nobody is left under it."""
        counts: Counter[str] = Counter()
        for kind in self.kinds:
            if self.fits(kind, leaving_out=group):
                counts[kind.in_group(group)] += kind.number
        chosen = self.filters.chosen.get(group, [])
        everyone = {kind.in_group(group) for kind in self.kinds}
        return [
            Choice(value, label, counts[value], value in chosen)
            for value, label in self.labels(group, everyone | set(chosen))
        ]

    @staticmethod
    def labels(group: str, values: set[str]) -> list[tuple[str, str]]:
        """Values and words of a group's choices, in their order."""
        if group == "state":
            return list(STATES.items())
        if group == "images":
            return list(IMAGES.items())
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
