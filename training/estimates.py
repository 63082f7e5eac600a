"""How long a training will take and what it will cost, learned from finished ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from statistics import fmean, linear_regression
from typing import Literal

from training.base_models import BaseModel
from training.parameters import Parameters

#: Finished trainings needed before they are believed more than the rule.
ENOUGH_RUNS = 5
#: No run takes longer: RunPod's time-out ends at 7 days.
_WEEK = 7 * 24 * 3600


@dataclass(frozen=True)
class FinishedRun:
    """A completed training of the same endpoint and base; ``seconds`` is its execution time."""

    steps: int
    seconds: float
    batch_size: int = 1

    @property
    def images_seen(self) -> int:
        """The work a run does: time grows with it more truly than with the steps alone."""
        return self.steps * self.batch_size


@dataclass(frozen=True)
class Estimate:
    """Execution time in seconds, and the span that most runs fall into. The queue is not in it."""

    seconds: float
    low: float
    high: float
    source: Literal["rule", "learned"]
    runs: int = 0

    @property
    def explanation(self) -> str:
        if self.source == "learned":
            return f"learned from {self.runs} finished trainings"
        return f"a rule of thumb until {ENOUGH_RUNS} trainings have finished"


def estimate_seconds(
    parameters: Parameters, image_count: int, base: BaseModel, finished_runs: Sequence[FinishedRun] = ()
) -> Estimate:
    """The base's rule, or a straight line through the finished runs once there are five.

    A step draws at most as many images as there are, so a batch larger than the dataset costs no more.
    """
    batch = max(1, min(parameters.batch_size, image_count * parameters.num_repeats))
    runs = [run for run in finished_runs if run.images_seen > 0 and 0 < run.seconds < _WEEK]
    if len(runs) < ENOUGH_RUNS:
        seconds = base.overhead_seconds + base.seconds_per_step * parameters.max_train_steps
        # The rule errs on the long side: a real FLUX run took 0.44 of it.
        return Estimate(seconds, 0.4 * seconds, 1.25 * seconds, "rule", len(runs))
    return _learned(parameters.max_train_steps * batch, runs, base)


def cost(
    execution_seconds: float,
    price_per_second: Decimal,
    start_seconds: float = 0,
    idle_seconds: float = 0,
) -> Decimal:
    """What a run is billed: the worker's start, the run and the idle time-out, in whole seconds."""
    billed = math.ceil(start_seconds + execution_seconds + idle_seconds)
    return (billed * price_per_second).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _learned(work: int, runs: list[FinishedRun], base: BaseModel) -> Estimate:
    xs, ys = [float(run.images_seen) for run in runs], [run.seconds for run in runs]
    mean_x, mean_y = fmean(xs), fmean(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope, intercept = -1.0, 0.0
    if spread > 0:
        slope, intercept = linear_regression(xs, ys)
    if slope <= 0 or intercept < 0:
        # All runs alike, or noise tilts the line against sense: hold one end of it.
        intercept = min(base.overhead_seconds, 0.5 * mean_y) if slope <= 0 else 0.0
        slope = (mean_y - intercept) / mean_x
    seconds = intercept + slope * work
    errors = sum((y - intercept - slope * x) ** 2 for x, y in zip(xs, ys, strict=True))
    distance = (work - mean_x) ** 2 / spread if spread > 0 else (work / mean_x - 1) ** 2
    margin = 2 * math.sqrt(errors / (len(runs) - 2) * (1 + 1 / len(runs) + distance))
    margin = max(margin, 0.05 * seconds)
    return Estimate(seconds, max(0.0, seconds - margin), seconds + margin, "learned", len(runs))
