"""Numbers as SVG: points in a fixed box, thinned so that a page stays small however long the run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

WIDTH, HEIGHT = 400, 200
LEFT, RIGHT, TOP, BOTTOM = 36, 10, 8, 20
MOST_POINTS = 240

Point: TypeAlias = tuple[float, float]
Row: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Tick:
    """A gridline: where, and what it says."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A loss chart, ready for the template."""

    raw: str
    smooth: str
    xs: list[Tick]
    ys: list[Tick]
    last: Point
    last_label: str
    rows: list[tuple[int, float, float]]
    log: bool

    width, height = WIDTH, HEIGHT
    left, right, top, bottom = LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM


def loss_chart(
    history: Sequence[Sequence[float]], total_steps: int | None, *, log: bool = False
) -> Chart | None:
    """The loss of each step and its smoothed course; ``None`` until there are two points."""
    points = [(float(step), float(loss)) for step, loss in history if not log or loss > 0]
    if len(points) < 2:
        return None
    smoothed = smooth(points)
    shown = thin([(*raw, even[1]) for raw, even in zip(points, smoothed, strict=True)])
    losses = [loss for _, raw, even in shown for loss in (raw, even)]
    low, high = bounds(losses, log=log)
    end = max(total_steps or 0, points[-1][0])

    def place(step: float, loss: float) -> Point:
        share = _share(loss, low, high, log=log)
        x = LEFT + (WIDTH - LEFT - RIGHT) * step / end
        return round(x, 1), round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    last = place(*smoothed[-1])
    return Chart(
        raw=path([place(step, raw) for step, raw, _ in shown]),
        smooth=path([place(step, even) for step, _, even in shown]),
        xs=[Tick(place(step, low)[0], f"{step:,.0f}") for step in even_ticks(0, end, 4)],
        ys=[Tick(place(0, loss)[1], f"{loss:.2g}") for loss in loss_ticks(low, high, log=log)],
        last=last,
        last_label=f"{smoothed[-1][1]:.3f}",
        rows=[(int(step), raw, even) for step, raw, even in shown],
        log=log,
    )


def smooth(points: Sequence[Point], share: float = 0.05) -> list[Point]:
    """An exponential mean over about ``share`` of the points, without a lag at the start."""
    keep = 1 - 1 / max(2.0, len(points) * share)
    mean, weight, course = 0.0, 0.0, []
    for step, loss in points:
        mean, weight = keep * mean + (1 - keep) * loss, keep * weight + (1 - keep)
        course.append((step, mean / weight))
    return course


def thin(
    rows: Sequence[tuple[float, float, float]], most: int = MOST_POINTS
) -> list[tuple[float, float, float]]:
    """At most ``most`` rows, evenly, the first and the last kept."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(index * (len(rows) - 1) / (most - 1))] for index in range(most)]


def bounds(losses: Sequence[float], *, log: bool) -> tuple[float, float]:
    """The scale's ends: round numbers around the values."""
    low, high = min(losses), max(losses)
    if log:
        return low / 1.1, high * 1.1
    step = nice_step(max(high - low, 1e-9) / 4)
    return math.floor(low / step) * step, math.ceil(high / step) * step or step


def nice_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, at least ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def even_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers from ``low`` to ``high``."""
    step = nice_step((high - low) / count)
    return [low + index * step for index in range(int((high - low) / step + 1e-9) + 1)]


def loss_ticks(low: float, high: float, *, log: bool) -> list[float]:
    """Gridlines of the loss."""
    if not log:
        return even_ticks(low, high, 4)
    ratio = (high / low) ** (1 / 3)
    return [low * ratio**index for index in range(4)]


def path(points: Sequence[Point]) -> str:
    """SVG path data through the points."""
    start = f"M{points[0][0]:g} {points[0][1]:g}"
    return start + "".join(f"L{x:g} {y:g}" for one, (x, y) in pairwise(points) if (x, y) != one)


def _share(value: float, low: float, high: float, *, log: bool) -> float:
    if high <= low:
        return 0.5
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
