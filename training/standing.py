"""Where an actor stands between images and a good version: one state, the same everywhere."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.template.defaultfilters import date
from django.utils import timezone

from actors.models import IMAGES_FLOOR, Actor, TrainingDataset, TrainingImage, Verdict
from actors.rights import Flaw, flaws_of
from training.models import ACTIVE, LONG_FIELDS, Status, TrainingVersion, VersionScore
from training.suggesting import listed

#: In the order of the way from images to a good version.
STATES = {
    "none": "No images",
    "unfit": "Not fit",
    "fit": "Fit",
    "training": "Training",
    "choose": "To choose",
    "failed": "Failed last",
    "good": "Good",
}

#: More versions than these are not told by name.
NAMED = 3

#: A training may start in either case, but the poster says what is known.
FIT_WORDS = {Verdict.WARNINGS: "Fit with warnings", Verdict.NOT_INSPECTED: "Not inspected"}


def with_standing(actors: QuerySet[Actor, Any]) -> QuerySet[Actor, Any]:
    """Adds ``state``, ``verdict``, ``included_count``, ``stored_count``, ``last_created``, ``cover_id``."""
    versions = TrainingVersion.objects.filter(actor=OuterRef("pk"))
    last, good = versions.order_by("-number"), versions.filter(is_good=True)
    images = TrainingImage.objects.filter(dataset__actor=OuterRef("pk"), included=True).order_by()
    stored = images.filter(state=TrainingImage.State.SYNCED).exclude(url="")
    verdict = TrainingDataset.objects.filter(actor=OuterRef("pk")).values("verdict")[:1]
    # A completed version waits for a decision until a good one was marked after its end.
    undecided = Q(last_status=Status.COMPLETED, last_is_good=False) & (
        Q(good_at=None) | Q(good_at__lt=F("last_finished"))
    )
    return actors.annotate(
        last_status=Subquery(last.values("status")[:1]),
        last_is_good=Subquery(last.values("is_good")[:1]),
        last_finished=Subquery(last.values("finished_at")[:1]),
        last_created=Subquery(last.values("created_at")[:1]),
        good_at=Subquery(good.values("good_at")[:1]),
        verdict=Subquery(verdict),
        included_count=counted(images),
        stored_count=counted(stored),
        cover_id=Coalesce("poster_id", Subquery(stored.order_by("position", "id").values("pk")[:1])),
    ).annotate(
        state=Case(
            When(Exists(versions.filter(status__in=ACTIVE)), then=Value("training")),
            When(last_status=Status.FAILED, then=Value("failed")),
            When(undecided, then=Value("choose")),
            When(Exists(good), then=Value("good")),
            When(included_count=0, then=Value("none")),
            When(
                Q(verdict=Verdict.NOT_FIT)
                | Q(stored_count__lt=F("included_count"))
                | Q(included_count__lt=IMAGES_FLOOR),
                then=Value("unfit"),
            ),
            default=Value("fit"),
        )
    )


def counted(images: QuerySet[TrainingImage]) -> Coalesce:
    """How many rows a correlated subquery has."""
    by_dataset = images.values("dataset").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(by_dataset), 0)


@dataclass
class Standing:
    """An actor as header and poster show it: the state in words, the picture, the versions that matter."""

    actor: Any
    cover: TrainingImage | None
    versions: list[TrainingVersion]
    #: What is wrong with the rights to the likeness, or soon will be.
    rights: Flaw | None = None
    #: Of the good version, in percent, where somebody has asked for it.
    likeness: float | None = None

    @property
    def state(self) -> str:
        """One of ``STATES``."""
        return str(self.actor.state)

    @cached_property
    def good(self) -> TrainingVersion | None:
        """The good version."""
        return next((version for version in self.versions if version.is_good), None)

    @property
    def active(self) -> TrainingVersion | None:
        """The training that runs or waits now."""
        return next((version for version in self.versions if version.is_active), None)

    @property
    def is_unanswered(self) -> bool:
        """Whether nobody knows what became of the active training, and a person may say it now."""
        return bool(self.active and self.active.can_be_resolved)

    @property
    def face(self) -> str:
        """The state as icon and colour: a person is needed where the machine does not answer."""
        return "attention" if self.is_unanswered else self.state

    @property
    def last(self) -> TrainingVersion | None:
        """The newest version."""
        return self.versions[0] if self.versions else None

    @property
    def undecided(self) -> list[TrainingVersion]:
        """Completed versions since the last decision, the oldest first."""
        since = self.good.good_at if self.good else None
        waiting = [
            version
            for version in self.versions
            if version.status == Status.COMPLETED
            and not version.is_good
            and (since is None or version.finished_at is None or version.finished_at > since)
        ]
        return sorted(waiting, key=lambda version: version.number)

    @property
    def choice_query(self) -> str:
        """``?v=1&v=3``: the good version and the undecided, when there is more than one."""
        chosen = [*([self.good] if self.good else []), *self.undecided[-3:]]
        return "?" + urlencode([("v", version.number) for version in chosen]) if len(chosen) > 1 else ""

    @property
    def spent(self) -> Decimal | None:
        """What its trainings and previews were billed; ``None`` where nothing had a price."""
        billed = [cost for each in self.versions for cost in (each.cost_usd, each.preview_cost_usd)]
        known = [cost for cost in billed if cost is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def images_look(self) -> str:
        """Whether a training may start on the images, as the poster colours their number."""
        images, stored = self.actor.included_count, self.actor.stored_count
        fit = images >= IMAGES_FLOOR and stored >= images and self.actor.verdict != Verdict.NOT_FIT
        return "good" if fit else "attention"

    @property
    def images_words(self) -> str:
        """The same in words."""
        return "fit" if self.images_look == "good" else "not fit"

    @property
    def percent(self) -> int:
        """Share of the steps that the active training has done."""
        return round(100 * self.active.progress_fraction) if self.active else 0

    @cached_property
    def picture(self) -> str:
        """A link to the poster: the small picture when there is one."""
        return (self.cover.thumbnail_link() or self.cover.link()) if self.cover else ""

    @cached_property
    def words(self) -> str:
        """The state in one line: ``64 %``, ``V2 and V3 to judge``, ``Good since 3 Nov``."""
        images, stored = self.actor.included_count, self.actor.stored_count
        fit = FIT_WORDS.get(self.actor.verdict, "Fit")
        waiting = [version.name for version in self.undecided]
        to_judge = listed(waiting) if len(waiting) <= NAMED else f"{len(waiting)} versions"
        words = {
            "choose": f"{to_judge} to judge",
            "fit": f"{fit} · {images} images",
            "unfit": "Not fit: the inspection found errors",
            "training": f"{self.percent} %" if self.active and self.active.step else "In the queue",
        }
        if self.is_unanswered and self.active:
            return f"{self.active.name}: answer lost"
        if self.state == "unfit" and stored < images:
            return f"Not fit: {images - stored} not stored"
        if self.state == "unfit" and images < IMAGES_FLOOR:
            return f"Not fit: {images} of {IMAGES_FLOOR} images"
        if self.state == "failed" and self.last and self.last.error:
            return f"Failed: {first_line(self.last.error)}"
        if self.state == "good" and self.good and self.good.good_at:
            return f"Good since {date(timezone.localtime(self.good.good_at), 'j M')}"
        return words.get(self.state, STATES[self.state])


def first_line(text: str, limit: int = 52) -> str:
    """The beginning of an error, for one line: its first clause, else as many words as there is room for."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    if len(line) <= limit:
        return line
    clause = re.split(r"[:;.,] ", line)[0]
    if len(clause) <= limit:
        return clause
    return line[:limit].rsplit(" ", 1)[0].rstrip(" ,:;.") + "…"


def standings(actors: Iterable[Any]) -> list[Standing]:
    """For actors with ``with_standing``: at most five more queries, however many there are."""
    people = list(actors)
    flaws = flaws_of([actor.pk for actor in people])
    covers = TrainingImage.objects.in_bulk({actor.cover_id for actor in people if actor.cover_id})
    of_actor: dict[int, list[TrainingVersion]] = defaultdict(list)
    rows = TrainingVersion.objects.filter(actor__in=[actor.pk for actor in people]).defer(*LONG_FIELDS)
    for version in rows.order_by("-number"):
        of_actor[version.actor_id].append(version)
    return [
        Standing(actor, covers.get(actor.cover_id or -1), of_actor[actor.pk], flaws.get(actor.pk))
        for actor in people
    ]


def add_likeness(people: Iterable[Standing]) -> None:
    """Of the good versions; one query."""
    by_version = {person.good.pk: person for person in people if person.good}
    scores = VersionScore.objects.filter(version__in=by_version).values_list("version", "value")
    for version, value in scores:
        by_version[version].likeness = value


def standing(pk: int) -> Standing | None:
    """One actor; ``None`` when there is none with this id."""
    actor = with_standing(Actor.objects.filter(pk=pk)).select_related("dataset").first()
    return standings([actor])[0] if actor else None
