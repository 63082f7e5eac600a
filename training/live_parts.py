"""What a poll of a training's page costs: next to nothing while nothing moves, else only the parts that did.

Every open page asks every few seconds. The first look is one small row; the losses, the log and the
samples are read only when that row has changed, and sent only when they have.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from training import payload
from training.models import ACTIVE, SampleImage, Status, TrainingEvent, TrainingVersion

#: The fragments of the page, by the id of their element.
PARTS = ("head", "asks", "progress", "samples", "loss", "console")
#: Seconds between two polls: a short training is followed closely, a long one once per percent.
SOONEST, LATEST, IN_QUEUE = 6, 10, 5
#: What only the clock changes (a place in the queue, an estimated step, when a person may decide).
CLOCK_SECONDS = 10
#: A chart is drawn anew at most this often.
CHART_SECONDS = 10


class Stamp(NamedTuple):
    """What one small row tells of a version: enough to know whether anything has moved."""

    status: str
    is_good: bool
    updated_at: datetime
    step: int
    events: int
    samples: int

    @classmethod
    def read(cls, pk: int) -> Self | None:
        """One query, and none of the long columns; ``None`` when the version is gone."""
        columns = ("status", "is_good", "updated_at", "step")
        rows = TrainingVersion.objects.filter(pk=pk).values_list(
            *columns, counted(TrainingEvent), counted(SampleImage)
        )
        row = rows.first()
        return cls(*row) if row else None

    @property
    def mark(self) -> str:
        """Changes whenever the page may have."""
        by_clock = self.status in ACTIVE and not self.step
        return short(self, int(timezone.now().timestamp()) // CLOCK_SECONDS if by_clock else 0)


def counted(rows: type[TrainingEvent | SampleImage]) -> Coalesce:
    """How many rows a version has."""
    of_version = rows.objects.filter(version=OuterRef("pk")).order_by().values("version")
    return Coalesce(Subquery(of_version.annotate(number=Count("pk")).values("number")), 0)


def short(*seen: Any) -> str:
    """A few letters that change with what they stand for. No secret, so a checksum does."""
    return f"{zlib.crc32(repr(seen).encode()):08x}"


@dataclass(frozen=True)
class Marks:
    """One mark per part; the page sends back those it has."""

    stamp: str
    parts: dict[str, str]

    @classmethod
    def of(cls, stamp: Stamp, version: TrainingVersion, scale: str) -> Self:
        """The marks of what the page would show now. The stamp was read before the version."""
        steps = version.max_train_steps or 0
        ahead = sum(step > version.step for step in payload.sample_steps(steps)) if steps else 0
        decision = (version.status, version.is_good, version.can_be_resolved)
        seen: dict[str, Any] = {
            "head": (*decision, version.stage, version.error),
            "asks": (version.is_active, *decision[1:], version.status == Status.COMPLETED),
            "progress": stamp.mark,
            "samples": (version.is_active, stamp.samples, ahead),
            "loss": (version.is_active, scale, version.step // steps_between_charts(version)),
            "console": (stamp.events, version.log[-1:], len(version.log)),
        }
        return cls(stamp.mark, {part: short(seen[part]) for part in PARTS})

    def __str__(self) -> str:
        return ".".join([self.stamp, *(self.parts[part] for part in PARTS)])

    def changed_since(self, seen: str) -> list[str]:
        """The parts that are not as ``seen`` says; all of them when it says nothing that can be read."""
        known = dict(zip(PARTS, seen.split(".")[1:], strict=False))
        return [part for part in PARTS if known.get(part) != self.parts[part]]


def steps_between_charts(version: TrainingVersion) -> int:
    """A chart looks the same until a fiftieth of it is new, and nobody reads one every four seconds."""
    pause = CHART_SECONDS / version.seconds_per_step if version.seconds_per_step else 0
    return max(1, round(max(0.02 * (version.max_train_steps or 0), pause)))


def seconds_between_polls(version: TrainingVersion) -> int:
    """About a hundredth of the training, within bounds."""
    if version.status != Status.TRAINING or not (version.seconds_per_step and version.max_train_steps):
        return IN_QUEUE
    return round(min(LATEST, max(SOONEST, version.seconds_per_step * version.max_train_steps / 100)))
