"""What a training is billed, part by part, and how sure each part is.

RunPod bills a worker from its start through the execution to its idle time-out. Of a job it tells the
execution exactly (``executionTime``), but ``delayTime`` mixes free queue with billed start. So the
start is configured or learned, the idle time is an allowance, and both are shown as what they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from django.conf import settings

from training.estimates import cost
from training.models import Status, TrainingVersion

#: Finished trainings needed before the start of a worker is learned from them.
ENOUGH_RUNS = 5
#: Of the last so many.
LOOK_BACK = 50


@dataclass(frozen=True)
class Part:
    """One line of a bill."""

    label: str
    seconds: float
    amount: Decimal
    note: str = ""


@dataclass(frozen=True)
class Bill:
    """A training's cost in US dollars."""

    execution_seconds: float
    #: ``estimate`` before the start, ``running`` by the clock, ``told`` by the endpoint.
    execution_source: Literal["estimate", "running", "told"]
    start_seconds: float
    start_source: Literal["configured", "learned", "not known"]
    idle_seconds: float
    price: Decimal

    @property
    def total(self) -> Decimal:
        """All parts, in whole seconds as RunPod bills."""
        return cost(self.execution_seconds, self.price, self.start_seconds, self.idle_seconds)

    @property
    def parts(self) -> list[Part]:
        """The lines that people read."""
        how = {"estimate": "estimated", "running": "so far", "told": "as the endpoint says"}
        lines = (
            ("Training", self.execution_seconds, how[self.execution_source]),
            ("Worker start", self.start_seconds, self.start_source),
            ("Idle allowance", self.idle_seconds, "at most: the next job may take the worker over"),
        )
        cent = Decimal("0.0001")
        return [
            Part(label, seconds, (Decimal(str(seconds)) * self.price).quantize(cent, ROUND_HALF_UP), note)
            for label, seconds, note in lines
        ]


def price() -> Decimal | None:
    """US dollars a second of the endpoint's GPU; ``None`` where none is configured (the local endpoint)."""
    return Decimal(str(settings.GPU_PRICE_PER_SECOND)) if settings.GPU_PRICE_PER_SECOND else None


def worker_start() -> tuple[float, Literal["configured", "learned", "not known"]]:
    """Seconds a worker needs before it executes, and where that is from.

    Learned is the shortest delay of the last runs: the one that waited least in the queue. It is still
    an upper bound of a warm start, and a lower bound of a cold one.
    """
    if settings.WORKER_START_SECONDS is not None:
        return settings.WORKER_START_SECONDS, "configured"
    delays = TrainingVersion.objects.filter(
        status=Status.COMPLETED, endpoint_id=settings.RUNPOD_ENDPOINT_ID, delay_ms__gt=0
    ).order_by("-finished_at")
    seen = list(delays.values_list("delay_ms", flat=True)[:LOOK_BACK])
    if len(seen) < ENOUGH_RUNS:
        return 0.0, "not known"
    return min(milliseconds or 0 for milliseconds in seen) / 1000, "learned"


def bill_for(seconds: float, source: Literal["estimate", "running", "told"] = "estimate") -> Bill | None:
    """The bill of an execution of this length."""
    per_second = price()
    if per_second is None:
        return None
    start, start_source = worker_start()
    return Bill(seconds, source, start, start_source, settings.WORKER_IDLE_SECONDS, per_second)


def bill_of(version: TrainingVersion, now: datetime) -> Bill | None:
    """By the endpoint's own time once it has told it, else by the clock; nothing before a worker has it."""
    return bills_of([version], now).get(version.pk)


def bills_of(versions: Iterable[TrainingVersion], now: datetime) -> dict[int, Bill]:
    """The bills of those that have run, by key; price and start of a worker are asked once."""
    spent: dict[int, tuple[float, Literal["running", "told"]]] = {}
    for version in versions:
        if version.execution_ms:
            spent[version.pk] = version.execution_ms / 1000, "told"
        elif version.started_at:
            clock = (version.finished_at or now) - version.started_at
            spent[version.pk] = clock.total_seconds(), "running"
    blank = bill_for(0) if spent else None
    if blank is None:
        return {}
    return {
        pk: replace(blank, execution_seconds=seconds, execution_source=source)
        for pk, (seconds, source) in spent.items()
    }
