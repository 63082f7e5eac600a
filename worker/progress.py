"""The progress picture of ``docs/contract.md`` and the reporter that sends it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from worker.events import Level

LOSS_POINTS = 500
LOG_LINES = 200
#: The SDK sends each update from a thread of its own, which may hang for minutes on a dead line.
MAX_SENDING_THREADS = 20

STAGES = ("starting", "downloading", "training", "uploading", "done")


def timestamp() -> str:
    """UTC in ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def thin(points: list[list[float]], most: int = LOSS_POINTS) -> list[list[float]]:
    """At most ``most`` of the points, evenly chosen, the first and the last always among them."""
    if len(points) <= most:
        return list(points)
    gap = (len(points) - 1) / (most - 1)
    return [points[round(index * gap)] for index in range(most)]


class Picture:
    """All that is known of a running training. Each update carries all of it: some get lost."""

    def __init__(self) -> None:
        self.stages: list[dict[str, str]] = []
        self.step = 0
        self.total_steps = 0
        self.seconds_per_step: float | None = None
        self.losses: list[list[float]] = []
        self.validation: list[list[float]] = []
        self.samples: list[dict[str, Any]] = []
        self.checkpoints: list[dict[str, Any]] = []
        self.log: deque[dict[str, str]] = deque(maxlen=LOG_LINES)

    def enter(self, stage: str) -> bool:
        """Begins a stage; false when it had begun before."""
        if any(entry["stage"] == stage for entry in self.stages):
            return False
        self.stages.append({"stage": stage, "started_at": timestamp()})
        return True

    def add_loss(self, step: int, loss: float) -> None:
        """One point of the loss curve. A loss that is no number cannot be drawn, nor written as JSON."""
        if math.isfinite(loss):
            self.losses.append([step, round(loss, 6)])

    def add_validation(self, step: int, loss: float) -> None:
        """One point of the validation curve."""
        if math.isfinite(loss):
            self.validation.append([step, round(loss, 6)])

    def say(self, message: str, level: Level = "info") -> None:
        """A line for a person."""
        self.log.append({"at": timestamp(), "level": level, "message": message})

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the contract."""
        return {
            "stage": self.stages[-1]["stage"] if self.stages else STAGES[0],
            "step": self.step,
            "total_steps": self.total_steps,
            "seconds_per_step": self.seconds_per_step,
            "stages": list(self.stages),
            "loss_history": thin(self.losses),
            "validation_history": list(self.validation),
            "samples": sorted(self.samples, key=lambda sample: (sample["step"], sample["prompt"])),
            "checkpoints": sorted(self.checkpoints, key=lambda checkpoint: int(checkpoint["step"])),
            "log": list(self.log),
        }


class DrawingPicture(Picture):
    """All that is known of a running preview: ``step`` counts its pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, Any]] = []

    def as_dict(self) -> dict[str, Any]:
        """The JSON of the contract."""
        return {
            "stage": self.stages[-1]["stage"] if self.stages else STAGES[0],
            "step": self.step,
            "total_steps": self.total_steps,
            "seconds_per_step": self.seconds_per_step,
            "stages": list(self.stages),
            "images": sorted(self.images, key=lambda image: int(image["image"])),
            "log": list(self.log),
        }


PictureKind = TypeVar("PictureKind", bound=Picture)


class Reporter(Generic[PictureKind]):
    """Sends the picture: soon when a stage begins, else at most once per ``interval`` seconds.

    Never two at once: the SDK sends each from a thread of its own, and they would overtake each other.
    """

    def __init__(
        self, send: Callable[[dict[str, Any]], None], picture: PictureKind, interval: float = 1.0
    ) -> None:
        self.picture = picture
        self._send = send
        self._interval = interval
        self._due: float | None = None
        self._sent = float("-inf")

    def enter(self, stage: str) -> None:
        """Begins a stage and tells it soon."""
        if self.picture.enter(stage):
            self._want(self._interval / 4)

    def touch(self) -> None:
        """The picture has changed; it is sent when its time has come."""
        self._want(self._interval)

    def say(self, message: str, level: Level = "info") -> None:
        """A line for a person."""
        self.picture.say(message, level)
        self.touch()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ticks while the block runs. What is not sent at its end stands in the result."""
        ticker = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticker.cancel()

    def _want(self, gap: float) -> None:
        due = self._sent + gap
        self._due = due if self._due is None else min(self._due, due)

    async def _tick(self) -> None:
        while True:
            now = time.monotonic()
            if self._due is not None and self._due <= now and threading.active_count() < MAX_SENDING_THREADS:
                self._due, self._sent = None, now
                self._send(self.picture.as_dict())
            await asyncio.sleep(self._interval / 20)
