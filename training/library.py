"""The library: which actors to show, how each one stands, and how many each filter would leave.

Stands in ``training`` because how an actor stands depends on versions; ``actors`` knows none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    F,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.http import QueryDict
from django.utils import timezone
from django.utils.formats import date_format

from actors import storage
from actors.models import IMAGES_FLOOR, Actor, TrainingImage
from training.models import ACTIVE, Status, TrainingVersion

PAGE_SIZE = 36

#: How an actor stands, in the order in which it wants a person.
STATES = {
    "choose": "To choose",
    "failed": "Failed last",
    "unfit": "Not fit",
    "training": "Training",
    "none": "No images",
    "fit": "Fit",
    "good": "Good",
}
#: Filter groups: label, and the condition behind each choice where it is not a column's own value.
AGES = {
    "under20": ("Under 20", Q(age__lt=20)),
    "20-39": ("20–39", Q(age__range=(20, 39))),
    "40-59": ("40–59", Q(age__range=(40, 59))),
    "60+": ("60 and over", Q(age__gte=60)),
}
IMAGES = {
    "0-9": ("Under 10", Q(included_images__lt=10)),
    "10-19": ("10–19", Q(included_images__range=(10, 19))),
    "20-30": ("20–30", Q(included_images__range=(20, 30))),
    "31+": ("Over 30", Q(included_images__gt=30)),
}
GROUPS = {"state": "State", "age": "Age", "sex": "Sex", "ethnicity": "Ethnicity", "images": "Images"}
SORTS = {
    "needs": ("Needs you first", ("need", "-last_training", "position", "pk")),
    "number": ("Number", ("pk",)),
    "recent": ("Last training", (F("last_training").desc(nulls_last=True), "pk")),
    "images": ("Most images", ("-included_images", "pk")),
}


def library() -> QuerySet[Actor]:
    """Actors that are not retired with ``state``, ``need``, ``included_images`` and ``last_training``."""
    versions = TrainingVersion.objects.filter(actor=OuterRef("pk"))
    images = TrainingImage.objects.filter(dataset__actor=OuterRef("pk"), included=True)

    def count(queryset: QuerySet[TrainingImage]) -> Subquery:
        grouped = queryset.order_by().values("dataset__actor").annotate(found=Count("pk"))
        return Subquery(grouped.values("found"))

    last = versions.order_by("-number")
    judged = versions.filter(is_good=True).order_by().values("number")
    ranked = [When(state=state, then=Value(rank)) for rank, state in enumerate(STATES)]
    return (
        Actor.objects.active()
        .annotate(
            included_images=Case(When(Exists(images), then=count(images)), default=Value(0)),
            unsynced=Exists(images.exclude(state=TrainingImage.State.SYNCED)),
            last_status=Subquery(last.values("status")[:1]),
            last_training=Subquery(last.values("created_at")[:1]),
            last_completed=Subquery(last.filter(status=Status.COMPLETED).values("number")[:1]),
            good_number=Subquery(judged[:1]),
        )
        .annotate(
            state=Case(
                When(last_status__in=ACTIVE, then=Value("training")),
                When(last_status=Status.FAILED, then=Value("failed")),
                When(last_completed__gt=F("good_number"), then=Value("choose")),
                When(good_number__isnull=False, then=Value("good")),
                When(last_completed__isnull=False, then=Value("choose")),
                When(included_images=0, then=Value("none")),
                When(Q(included_images__lt=IMAGES_FLOOR) | Q(unsynced=True), then=Value("unfit")),
                default=Value("fit"),
                output_field=CharField(),
            )
        )
        .annotate(need=Case(*ranked, default=Value(len(STATES))))
    )


@dataclass(frozen=True)
class Choice:
    """One checkbox of a filter group."""

    value: str
    label: str
    count: int
    chosen: bool


@dataclass
class Filters:
    """What the address asks for. Unknown values are left out, so a stale link still shows a library."""

    words: str = ""
    sort: str = "needs"
    view: str = "sheet"
    chosen: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, query: QueryDict) -> Filters:
        """From the query string."""
        return cls(
            words=query.get("q", "").strip()[:200],
            sort=query["sort"] if query.get("sort") in SORTS else "needs",
            view="table" if query.get("view") == "table" else "sheet",
            chosen={
                group: list(dict.fromkeys(query.getlist(group))) for group in GROUPS if query.getlist(group)
            },
        )

    def query(self, **changes: Any) -> str:
        """The query string of this choice with changes; ``None`` takes a key away."""
        query = QueryDict(mutable=True)
        values: dict[str, Any] = {
            "q": self.words,
            **self.chosen,
            "sort": self.sort,
            "view": self.view,
        } | changes
        defaults = {"sort": "needs", "view": "sheet"}
        for key, value in values.items():
            if value and value != defaults.get(key):
                query.setlist(key, value if isinstance(value, list) else [str(value)])
        return query.urlencode()

    def without(self, group: str, value: str) -> str:
        """The query string with one choice taken back."""
        return self.query(**{group: [kept for kept in self.chosen.get(group, []) if kept != value]})

    def narrow(self, actors: QuerySet[Actor], but: str = "") -> QuerySet[Actor]:
        """Within a group "or", between groups "and"; ``but`` leaves one group open, to count its choices."""
        if self.words:
            actors = actors.filter(pk__in=Actor.objects.search(self.words).values("pk"))
        for group, values in self.chosen.items():
            if group != but:
                actors = actors.filter(condition(group, values))
        return actors

    def actors(self) -> QuerySet[Actor]:
        """The chosen actors in order, with what a poster shows."""
        shown = TrainingVersion.objects.only(
            "actor_id",
            "number",
            "name",
            "status",
            "is_good",
            "good_at",
            "error",
            "step",
            "max_train_steps",
            "stage",
            "created_at",
            "finished_at",
            "submitted_at",
            "started_at",
        )
        first = TrainingImage.objects.filter(
            dataset__actor=OuterRef("pk"), included=True, state=TrainingImage.State.SYNCED
        ).order_by("position", "pk")
        return (
            self.narrow(library())
            .annotate(first_url=Subquery(first.values("url")[:1]))
            .select_related("poster")
            .prefetch_related(Prefetch("versions", queryset=shown.order_by("-number")))
            .order_by(*SORTS[self.sort][1])
        )

    def groups(self) -> Iterator[tuple[str, str, list[Choice]]]:
        """Key, label and choices of each group, counted with all other groups applied."""
        for group, label in GROUPS.items():
            yield group, label, self.choices(group)

    def choices(self, group: str) -> list[Choice]:
        """One query: how many each choice would show."""
        actors = self.narrow(library(), but=group)
        chosen = self.chosen.get(group, [])
        if group in CONDITIONS:
            totals = {key: Count("pk", filter=test) for key, (_, test) in CONDITIONS[group].items()}
            named = {f"n{index}": total for index, total in enumerate(totals.values())}
            row = actors.aggregate(**named)
            counts = {key: row[f"n{index}"] for index, key in enumerate(totals)}
        else:
            rows = actors.order_by().values_list(group).annotate(found=Count("pk"))
            counts = {value: found for value, found in rows if value}
        labels = self.labels(group, counts)
        return [
            Choice(value, text, counts.get(value, 0), value in chosen)
            for value, text in labels.items()
            if counts.get(value) or value in chosen
        ]

    def labels(self, group: str, counts: Mapping[str, int]) -> dict[str, str]:
        """Value to label, in the order of the page."""
        if group in CONDITIONS:
            return {key: text for key, (text, _) in CONDITIONS[group].items()}
        if group == "state":
            return STATES
        return {
            value: value.replace("_", " ").capitalize()
            for value in sorted({*counts, *self.chosen.get(group, [])})
        }

    def applied(self) -> Iterator[tuple[str, str]]:
        """Label of each choice and the query string without it."""
        for group, values in self.chosen.items():
            labels = self.labels(group, {})
            for value in values:
                yield f"{GROUPS[group]} {labels.get(value, value)}", self.without(group, value)


CONDITIONS: dict[str, dict[str, tuple[str, Q]]] = {"age": AGES, "images": IMAGES}


def condition(group: str, values: list[str]) -> Q:
    """Any of the values of one group."""
    if group not in CONDITIONS:
        return Q(**{f"{group}__in": values})
    known = [CONDITIONS[group][value][1] for value in values if value in CONDITIONS[group]]
    test = Q(pk__in=[]) if not known else known[0]
    for other in known[1:]:
        test |= other
    return test


@dataclass
class Poster:
    """An actor as the library shows it."""

    actor: Any  # an Actor with the annotations of ``library``

    @property
    def state(self) -> str:
        """The key of ``STATES``."""
        state: str = self.actor.state
        return state

    @property
    def picture(self) -> str:
        """A signed link to the poster, or empty."""
        if self.actor.poster:
            link: str = self.actor.poster.link()
            return link
        return storage.download_link(self.actor.first_url) if self.actor.first_url else ""

    @property
    def versions(self) -> list[TrainingVersion]:
        """All, newest first; only what posters show is loaded."""
        return list(self.actor.versions.all())

    @property
    def good(self) -> TrainingVersion | None:
        """The good version."""
        return next((version for version in self.versions if version.is_good), None)

    @property
    def latest(self) -> TrainingVersion | None:
        """The newest version that matters beside the good one."""
        newest = next(iter(self.versions), None)
        return newest if newest and not newest.is_good else None

    @property
    def line(self) -> str:
        """One line that says how it stands and, where a person is needed, why."""
        if self.latest and self.state == "training":
            return training_line(self.latest)
        if self.latest and self.state == "failed":
            return f"Failed: {self.latest.error}"
        if self.good and self.good.good_at and self.state == "good":
            return f"Good since {date_format(timezone.localtime(self.good.good_at), 'j M')}"
        judged, images = len(self.to_judge()), self.actor.included_images
        short = f"Not fit: {images} of {IMAGES_FLOOR} images"
        lines = {
            "choose": f"{self.to_judge()[0].name} to judge" if judged == 1 else f"{judged} versions to judge",
            "unfit": "Not fit: not all images are in the store" if self.actor.unsynced else short,
            "fit": f"Fit · {images} images",
        }
        return lines.get(self.state, STATES[self.state])

    def to_judge(self) -> list[TrainingVersion]:
        """Completed versions newer than the good one."""
        since = self.good.number if self.good else 0
        done = [version for version in self.versions if version.status == Status.COMPLETED]
        return [version for version in done if version.number > since]


def training_line(version: TrainingVersion) -> str:
    """How far a training is, in a few words."""
    if version.status == Status.TRAINING and version.step:
        return f"{version.progress_fraction:.0%} · step {version.step:,} of {version.max_train_steps:,}"
    waiting = {Status.TRAINING: "Starting", Status.QUEUED: "In the queue"}
    return waiting.get(Status(version.status), "Being sent")
