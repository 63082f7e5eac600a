"""Which trainings a list or a figure is about. Both ask here, so a figure's link shows the rows it counted.

Every choice stands in the URL; choices are joined by "and".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Self
from urllib.parse import urlencode

from django.db.models import Case, CharField, IntegerField, Q, Value, When
from django.db.models.functions import Coalesce

from actors.models import Actor
from training import failures
from training.models import ACTIVE, Status, TrainingVersion, TrainingVersionQuerySet
from training.spans import NoSpan, Span, start_of

#: By state: the words, and which states.
STATUSES: dict[str, tuple[str, tuple[Status, ...] | None]] = {
    "": ("All", None),
    "active": ("Active", ACTIVE),
    "queue": ("Queue", (Status.PENDING, Status.SUBMITTING, Status.QUEUED)),
    "completed": ("Completed", (Status.COMPLETED,)),
    "failed": ("Failed", (Status.FAILED,)),
    "cancelled": ("Cancelled", (Status.CANCELLED,)),
}
#: Sizes of datasets: the words, and from how many images to how many.
SIZES: dict[str, tuple[str, int, int | None]] = {
    "-15": ("Up to 15 images", 1, 15),
    "16-30": ("16 to 30 images", 16, 30),
    "31-60": ("31 to 60 images", 31, 60),
    "61-": ("Above 60 images", 61, None),
    "?": ("Size not known", 0, 0),
}
#: Versions that nobody's name stands at (commands, imports), or that no preset made.
NONE = "?"
#: It was the good version once, whether it still is or not.
BECAME_GOOD = Q(is_good=True) | Q(first_good_at__isnull=False)


#: Their order, for where a number has to do.
SIZE_NAMES = list(SIZES)


def size_of_dataset(*, numbered: bool = False) -> Case:
    """The key in ``SIZES`` of each version, as a column; ``numbered``: its place in ``SIZE_NAMES``."""
    return Case(
        *(
            When(
                image_count__range=(low, high) if high is not None else (low, 10**9),
                then=Value(SIZE_NAMES.index(key) if numbered else key),
            )
            for key, (_, low, high) in SIZES.items()
        ),
        output_field=IntegerField() if numbered else CharField(),
    )


@dataclass(frozen=True)
class Selection:
    """What the URL asks for."""

    status: str = ""
    by: str = ""
    actor: str = ""
    since: date | None = None
    until: date | None = None
    #: A preset's name, alone or with a revision's number (``quick.2``).
    preset: str = ""
    #: ``yes`` or ``no``: whether values were changed after the preset.
    changed: str = ""
    reason: str = ""
    images: str = ""
    good: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """From a query string; what makes no sense in it is left out."""
        names = ("status", "by", "actor", "preset", "changed", "reason", "images", "good")
        asked = {name: query.get(name, "").replace("\x00", "").strip()[:200] for name in names}
        known: dict[str, Any] = {
            "status": STATUSES,
            "reason": failures.LABELS,
            "images": SIZES,
            "changed": ("yes", "no"),
            "good": ("yes", "no"),
        }
        asked |= {name: "" for name, values in known.items() if asked[name] not in values}
        since = until = None
        if query.get("from") or query.get("to"):
            try:
                span = Span.read(query)
                since, until = span.first, span.last
            except NoSpan:
                pass
        return cls(**asked, since=since, until=until)

    @classmethod
    def launched(cls, span: Span) -> Self:
        """Everything that was launched on these days."""
        return cls(since=span.first, until=span.last)

    def but(self, **changes: Any) -> Self:
        """With other choices on top."""
        return replace(self, **changes)

    def query(self, **changes: Any) -> str:
        """As a query string; ``page`` and other changes are put on top."""
        asked = self._asked() | changes
        return "?" + urlencode({name: value for name, value in asked.items() if value})

    def kept(self) -> list[tuple[str, str]]:
        """What a form for person and actor sends along."""
        return [
            (name, value) for name, value in self._asked().items() if value and name not in ("by", "actor")
        ]

    @property
    def is_everything(self) -> bool:
        """Whether nothing narrows it."""
        return self == Selection()

    def _asked(self) -> dict[str, str]:
        return {
            "status": self.status,
            "by": self.by,
            "actor": self.actor,
            "from": self.since.isoformat() if self.since else "",
            "to": self.until.isoformat() if self.until else "",
            "preset": self.preset,
            "changed": self.changed,
            "reason": self.reason,
            "images": self.images,
            "good": self.good,
        }

    def rows(self) -> TrainingVersionQuerySet:
        """The versions, in no order."""
        found = TrainingVersion.objects.filter(self._where()).order_by()
        if self.actor:
            found = found.filter(actor__in=Actor.objects.search(self.actor).values("pk"))
        if self.images:
            found = found.alias(size=size_of_dataset()).filter(size=self.images)
        if self.reason:
            found = found.alias(kind=failures.failure_kind()).filter(status=Status.FAILED, kind=self.reason)
        return found

    def in_order(self) -> TrainingVersionQuerySet:
        """The newest first; what queues in the order in which it waits."""
        if self.status == "queue":
            return self.rows().order_by(Coalesce("submitted_at", "created_at"), "pk")
        return self.rows().order_by("-created_at", "-pk")

    def _where(self) -> Q:
        found = Q()
        if statuses := STATUSES[self.status][1]:
            found &= Q(status__in=statuses)
        if self.by:
            found &= Q(created_by=None) if self.by == NONE else Q(created_by__username=self.by)
        if self.since:
            found &= Q(created_at__gte=start_of(self.since))
        if self.until:
            found &= Q(created_at__lt=start_of(self.until + timedelta(days=1)))
        if self.preset:
            found &= self._of_preset()
        if self.changed:
            found &= Q(preset_edited=self.changed == "yes")
        if self.good:
            found &= BECAME_GOOD if self.good == "yes" else ~BECAME_GOOD
        return found

    def _of_preset(self) -> Q:
        if self.preset == NONE:
            return Q(preset_revision=None)
        name, _, number = self.preset.partition(".")
        found = Q(preset_revision__preset__name=name)
        return (
            found & Q(preset_revision__number=int(number))
            if number.isdecimal() and len(number) < 9
            else found
        )

    def applied(self) -> list[tuple[str, str]]:
        """The narrower choices in words, each with the query string that takes it back."""
        words: list[tuple[str, str]] = []
        if self.since or self.until:
            days = " to ".join(f"{day:%-d %b %Y}" for day in dict.fromkeys((self.since, self.until)) if day)
            words.append((f"Launched {days}", self.but(since=None, until=None).query()))
        if self.preset:
            name, _, number = self.preset.partition(".")
            preset = f"Preset {name}{', revision ' + number if number else ''}"
            words.append(("No preset" if name == NONE else preset, self.but(preset="", changed="").query()))
        if self.changed:
            text = "Values changed after the preset" if self.changed == "yes" else "As the preset says"
            words.append((text, self.but(changed="").query()))
        if self.reason:
            words.append((failures.LABELS[self.reason], self.but(reason="").query()))
        if self.images:
            words.append((SIZES[self.images][0], self.but(images="").query()))
        if self.good:
            words.append(
                ("Became good" if self.good == "yes" else "Never became good", self.but(good="").query())
            )
        return words
