"""One look at a training: what its page says about stages, time, samples and log."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.utils import timezone
from django.utils.safestring import SafeString

from training import charts, costs, payload
from training.launch import estimate_of
from training.live_rail import STAGES, Stage, end_of, rail_of
from training.models import SampleImage, Status, TrainingVersion

#: Status → how the look names it.
LOOKS = {
    Status.COMPLETED: "done",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}
#: Where a status alone says too little.
WORDS = {
    Status.PENDING: "Waiting to be sent",
    Status.SUBMITTING: "Being sent",
    Status.QUEUED: "In the queue",
    Status.COMPLETED: "Completed",
}


@dataclass(frozen=True)
class Strip:
    """The samples of one step, in the order of the prompts; a gap where one is missing."""

    step: int
    frames: list[SampleImage | None]
    newest: bool


class Picture:
    """What the page shows now. Everything is read from the version and two lists of rows."""

    def __init__(self, version: TrainingVersion, *, logarithmic: bool = False) -> None:
        self.version = version
        self.logarithmic = logarithmic
        self.now = timezone.now()

    # What it is doing

    @property
    def look(self) -> str:
        """The state's name in the look: ``training``, ``attention``, ``good``, ``failed`` …"""
        if self.version.can_be_resolved:
            return "attention"
        if self.version.is_active:
            return "training"
        if self.version.is_good:
            return "good"
        return LOOKS.get(Status(self.version.status), "none")

    @property
    def words(self) -> str:
        """The state in one or two words."""
        if self.version.can_be_resolved:
            return "Answer lost"
        status = Status(self.version.status)
        if status == Status.TRAINING:
            return STAGES.get(self.version.stage, "Training")
        return "Good version" if self.version.is_good else WORDS.get(status, status.label)

    @property
    def title(self) -> str:
        """For the browser's tab."""
        name = f"{self.version.actor.number} {self.version.name}"
        if self.version.status == Status.TRAINING:
            percent = round(100 * self.shown_step / (self.version.max_train_steps or 1))
            return f"{'≈ ' if self.estimated_step is not None else ''}{percent} % · {name} · ActorTrain"
        return f"{self.words} · {name} · ActorTrain"

    @property
    def favicon(self) -> str:
        """Which icon the tab shows."""
        return {"training": "training", "done": "good", "good": "good", "failed": "failed"}.get(
            self.look, "base"
        )

    @cached_property
    def repeat(self) -> TrainingVersion | None:
        """The version that tried the same again; for a failure that has none, a person may."""
        return max(self.version.repeated_by.all(), key=lambda version: version.number, default=None)

    # Time

    @property
    def rail(self) -> list[Stage]:
        """Six stages with their true times; what is over stays as it was."""
        return rail_of(self.version, self.now, self.ends_at)

    @property
    def elapsed(self) -> float | None:
        """Seconds since it was started by a person; ``None`` where nobody knows when it ended."""
        end = end_of(self.version, self.now)
        return (end - self.version.created_at).total_seconds() if end else None

    @cached_property
    def remaining(self) -> float | None:
        """Seconds to the end; from its own pace once it has one, else from the estimate."""
        version = self.version
        if not version.is_active or version.can_be_resolved:
            return None
        if version.status == Status.TRAINING and version.seconds_per_step and version.max_train_steps:
            return max(1.0, (version.max_train_steps - version.step) * version.seconds_per_step)
        if version.max_train_steps:
            running = (self.now - version.started_at).total_seconds() if version.started_at else 0.0
            return max(1.0, estimate_of(version).seconds - running)
        return None

    @cached_property
    def estimated_step(self) -> int | None:
        """By the clock, for a container that reports no steps; never quite at the end."""
        version = self.version
        if version.status != Status.TRAINING or version.step or version.stages or not version.started_at:
            return None
        share = (self.now - version.started_at).total_seconds() / max(1.0, estimate_of(version).seconds)
        return int(min(0.97, share) * (version.max_train_steps or 0))

    @property
    def shown_step(self) -> int:
        """Where the bar stands: the reported step, else the estimated one; of what is completed, the last."""
        version = self.version
        if version.status == Status.COMPLETED:
            return version.step or version.max_train_steps or 0
        return version.step if self.estimated_step is None else self.estimated_step

    @property
    def ends_at(self) -> datetime | None:
        """The clock time of the end; nobody knows it while no worker has the job."""
        known = self.remaining is not None and self.version.started_at
        return self.now + timedelta(seconds=self.remaining or 0) if known else None

    # Loss

    @cached_property
    def loss_points(self) -> list[tuple[int, float]]:
        """The worker's history."""
        return [(int(step), float(loss)) for step, loss in self.version.loss_history]

    @property
    def loss(self) -> float | None:
        """The smoothed loss now."""
        points = charts.clean(self.loss_points, logarithmic=False)
        return charts.smooth(points)[-1][1] if points else None

    @cached_property
    def chart(self) -> SafeString:
        """Loss by step as SVG."""
        total = self.version.max_train_steps or 0
        return charts.loss_chart(self.loss_points, total, logarithmic=self.logarithmic)

    # Samples

    @cached_property
    def samples(self) -> list[SampleImage]:
        """All of them."""
        return list(self.version.samples.all())

    @cached_property
    def prompts(self) -> list[str]:
        """Column heads: the prompts without the words that all share."""
        return [prompt.prompt for prompt in self.version.sample_prompts()]

    @property
    def heads(self) -> list[str]:
        """What tells the columns apart, short enough to stand above a picture."""
        trigger = self.version.class_tokens or "\0"
        return [prompt.replace("portrait of", "").replace(trigger, "").strip(" ,") for prompt in self.prompts]

    @cached_property
    def strips(self) -> list[Strip]:
        """Newest step on top."""
        by_step: dict[int, dict[int, SampleImage]] = defaultdict(dict)
        for sample in self.samples:
            by_step[sample.step][sample.prompt_index] = sample
        width = range(len(self.prompts))
        steps = sorted(by_step, reverse=True)
        return [
            Strip(
                step,
                [by_step[step].get(prompt) for prompt in width],
                self.version.is_active and step == steps[0],
            )
            for step in steps
        ]

    @property
    def columns(self) -> int:
        """How many prompts there are."""
        return len(self.prompts)

    @cached_property
    def next_sample_step(self) -> int | None:
        """Where the next strip comes from."""
        if not self.version.is_active or not self.version.max_train_steps:
            return None
        done = {sample.step for sample in self.samples}
        steps = payload.sample_steps(self.version.max_train_steps)
        return next((step for step in steps if step not in done and step >= self.version.step), None)

    @property
    def next_sample_seconds(self) -> float | None:
        """How long until the next strip, at its own pace. Read from the steps alone: each poll asks."""
        version = self.version
        if version.status != Status.TRAINING or not version.seconds_per_step:
            return None
        ahead = next((step for step in self.sample_ticks if step > version.step), None)
        return (ahead - version.step) * version.seconds_per_step if ahead else None

    @property
    def sample_ticks(self) -> list[int]:
        """Steps at which samples are drawn, without the first."""
        return payload.sample_steps(self.version.max_train_steps)[1:] if self.version.max_train_steps else []

    # Console

    @cached_property
    def console(self) -> list[dict[str, Any]]:
        """The site's events and the worker's log in one order of time.

        The worker writes whole seconds, so within one second the site's events come first.
        """
        events = [
            {"at": event.at, "level": event.level, "message": event.message, "by": event.by}
            for event in self.version.events.select_related("by")
        ]
        lines = [
            {"at": datetime.fromisoformat(line["at"]), "level": line["level"], "message": line["message"]}
            for line in self.version.log
        ]
        return sorted(events + lines, key=lambda line: line["at"].replace(microsecond=0))

    def console_text(self) -> str:
        """The console as a file: one line each, times in UTC."""
        rows = (
            f"{line['at'].astimezone(UTC):%Y-%m-%d %H:%M:%S} {line['level']:7} {line['message']}"
            for line in self.console
        )
        return "\n".join(rows) + "\n"

    # Money

    @cached_property
    def bill(self) -> costs.Bill | None:
        """The cost in its parts; ``None`` where no price is configured or nothing has run."""
        return costs.bill_of(self.version, self.now)

    @property
    def cost(self) -> Decimal | None:
        """So far, or in all."""
        return self.bill.total if self.bill else None

    @property
    def expected_cost(self) -> Decimal | None:
        """What it will be at the end, from what it was so far; ``None`` once it has ended."""
        if self.bill is None or self.remaining is None:
            return None
        return self.bill.total + self.bill.price * Decimal(str(self.remaining))
