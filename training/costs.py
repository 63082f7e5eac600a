"""What a training is billed, part by part, and how sure each part is.

RunPod bills a worker from its start through the execution to its idle time-out. Of a job it tells the
execution exactly (``executionTime``), but ``delayTime`` mixes free queue with billed start. So the
start is configured or learned, the idle time is an allowance, and both are shown as what they are.

While a training runs its bill is made out at the configured price. What has ended has its bill with it
(``paid.py``): prices that change later rewrite nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from django.conf import settings
from django.utils import timezone

from training.estimates import cost
from training.models import TERMINAL, Status, TrainingVersion

#: Finished trainings needed before the start of a worker is learned from them.
ENOUGH_RUNS = 5
#: Of the last so many.
LOOK_BACK = 50


#: ``estimate`` before the start, ``running`` so far, ``told`` by the endpoint, ``clock`` where it told none.
ExecutionSource = Literal["estimate", "running", "told", "clock"]
StartSource = Literal["configured", "learned", "not known"]
Origin = Literal["ended", "ledger", "later"]
HOW: dict[ExecutionSource, str] = {
    "estimate": "estimated",
    "running": "so far",
    "told": "as the endpoint says",
    "clock": "by the clock: the endpoint told no time",
}


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
    execution_source: ExecutionSource
    start_seconds: float
    start_source: StartSource
    idle_seconds: float
    price: Decimal
    #: What was paid, once it has ended.
    paid: Decimal | None = None
    #: Where the price is from: ``ledger`` knew only the sum, ``later`` is of ``priced_on``, after its end.
    origin: Origin = "ended"
    #: The day on which the bill was made out, as 2026-01-31.
    priced_on: str = ""

    @property
    def total(self) -> Decimal:
        """What was paid, else all parts, in whole seconds as RunPod bills."""
        if self.paid is not None:
            return self.paid
        return cost(self.execution_seconds, self.price, self.start_seconds, self.idle_seconds)

    @property
    def parts(self) -> list[Part]:
        """The lines that people read; none where only the sum was kept."""
        if self.origin == "ledger":
            return []
        lines = (
            ("Training", self.execution_seconds, HOW[self.execution_source]),
            ("Worker start", self.start_seconds, self.start_source),
            ("Idle allowance", self.idle_seconds, "at most: the next job may take the worker over"),
        )
        cent = Decimal("0.0001")
        return [
            Part(label, seconds, (Decimal(str(seconds)) * self.price).quantize(cent, ROUND_HALF_UP), note)
            for label, seconds, note in lines
        ]

    @property
    def note(self) -> str:
        """How sure the price of an older training is; empty where it is that of its end."""
        match self.origin:
            case "ledger":
                return "From the ledger of budgets, which kept the sum and not its parts."
            case "later":
                return f"Its price was not kept: reckoned at the one that was set on {self.priced_on}."
            case _:
                return ""

    def to_dict(self) -> dict[str, Any]:
        """What is kept with the version: all that its own times don't say."""
        return {
            "price": str(self.price),
            "start_seconds": self.start_seconds,
            "start_source": self.start_source,
            "idle_seconds": self.idle_seconds,
            "origin": self.origin,
            "on": self.priced_on,
        }


def price() -> Decimal | None:
    """US dollars a second of the endpoint's GPU; ``None`` where none is configured (the local endpoint)."""
    return Decimal(str(settings.GPU_PRICE_PER_SECOND)) if settings.GPU_PRICE_PER_SECOND else None


def worker_start() -> tuple[float, StartSource]:
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


def bill_for(seconds: float, source: ExecutionSource = "estimate") -> Bill | None:
    """The bill of an execution of this length, at the price that is configured now."""
    per_second = price()
    if per_second is None:
        return None
    start, start_source = worker_start()
    return Bill(seconds, source, start, start_source, settings.WORKER_IDLE_SECONDS, per_second)


def bill_of(version: TrainingVersion, now: datetime) -> Bill | None:
    """So far, or what was paid; nothing before a worker has it, and where nothing had a price."""
    return bills_of([version], now).get(version.pk)


def bills_of(versions: Iterable[TrainingVersion], now: datetime) -> dict[int, Bill]:
    """The bills of those that have run, by key; price and start of a worker are asked once."""
    bills: dict[int, Bill] = {}
    running: dict[int, tuple[float, ExecutionSource]] = {}
    for version in versions:
        if version.status in TERMINAL:
            if kept := kept_bill(version):
                bills[version.pk] = kept
        elif spent := executed(version, now):
            running[version.pk] = spent
    blank = bill_for(0) if running else None
    if blank is None:
        return bills
    return bills | {
        pk: replace(blank, execution_seconds=seconds, execution_source=source)
        for pk, (seconds, source) in running.items()
    }


def executed(version: TrainingVersion, now: datetime) -> tuple[float, ExecutionSource] | None:
    """How long a worker has worked on it: the endpoint's own time, else by the clock."""
    if version.execution_ms:
        return version.execution_ms / 1000, "told"
    if version.started_at is None:
        return None
    clock = (version.finished_at or now) - version.started_at
    return clock.total_seconds(), "clock" if version.finished_at else "running"


def kept_bill(version: TrainingVersion) -> Bill | None:
    """The bill that an ended version has with it."""
    if version.cost_usd is None:
        return None
    kept = version.bill or {"origin": "ledger"}
    seconds, source = executed(version, timezone.now()) or (0.0, "clock")
    return Bill(
        seconds,
        source,
        start_seconds=kept.get("start_seconds", 0.0),
        start_source=kept.get("start_source", "not known"),
        idle_seconds=kept.get("idle_seconds", 0.0),
        price=Decimal(kept.get("price", "0")),
        paid=version.cost_usd,
        origin=kept["origin"],
        priced_on=kept.get("on", ""),
    )


def final_bill(version: TrainingVersion) -> Bill | None:
    """What a version that has just ended is billed, at the prices of its first end."""
    spent = executed(version, timezone.now())
    if spent is None:
        return None
    seconds, source = spent
    former = kept_bill(version)
    if former and former.origin != "ledger":
        return replace(former, execution_seconds=seconds, execution_source=source, paid=None)
    bill = bill_for(seconds, source)
    return replace(bill, priced_on=f"{timezone.now():%Y-%m-%d}") if bill else None
