"""Numbers → SVG. Sizes stand in attributes, colours in the stylesheet: the pages allow no inline style."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

Points = Sequence[tuple[int, float]]

WIDTH, HEIGHT = 400, 208
LEFT, RIGHT, TOP, BOTTOM = 40, 392, 8, 176
#: From here on nothing is still to come: a history's last point is seldom the last step.
NEARLY_ALL = 0.97
#: More points than pixels show nothing more.
MOST_POINTS = 240


def loss_chart(
    history: Points,
    total_steps: int,
    *,
    logarithmic: bool = False,
    others: Sequence[Points] = (),
    names: Sequence[str] = (),
) -> SafeString:
    """Loss by step: raw, smoothed and, dashed, other versions' smoothed ones. Empty without points.

    ``names`` of this version and the others stand beside the values that people point at.
    """
    points = clean(history, logarithmic=logarithmic)
    if not points:
        return SafeString()
    line = smooth(points)
    dashed = [smooth(clean(other, logarithmic=logarithmic)) for other in others]
    total = max(total_steps, points[-1][0], 1)
    low, high = bounds([value for part in (points, *dashed) for _, value in part], logarithmic=logarithmic)
    raw, line, dashed = thin(points), thin(line), [thin(each) for each in dashed]

    def x(step: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * step / total, 1)

    def y(value: float) -> float:
        part = math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
        return round(BOTTOM - (BOTTOM - TOP) * min(1.0, max(0.0, part)), 1)

    def path(name: str, part: Points) -> SafeString:
        places = "L".join(f"{x(step)} {y(value)}" for step, value in part if step <= total)
        return format_html('<path class="{}" d="M{}"/>', name, places) if places else SafeString()

    last_step, last = line[-1]
    parts = [
        format_html(
            '<rect class="to-come" x="{}" y="{}" width="{}" height="{}"/>',
            x(last_step),
            TOP,
            round(RIGHT - x(last_step), 1),
            BOTTOM - TOP,
        )
        if last_step < total * NEARLY_ALL
        else "",
        *(level(y(value), value) for value in ticks(low, high, logarithmic=logarithmic)),
        *(step_mark(x(step), step, total) for step in nice_steps(total)),
        *(path(f"old old-{number}", each) for number, each in enumerate(dashed, start=1)),
        path("raw", raw),
        path("line", line),
        format_html('<circle class="head" cx="{}" cy="{}" r="4"/>', x(last_step), y(last)),
    ]
    readable = ";".join(f"{step},{x(step)},{y(value)},{value:.4g}" for step, value in line)
    # An id, so that a live page gives the focus back to the chart that replaces this one.
    words = (
        f"Loss by step, raw and smoothed: {line[0][1]:.3g} at the start, {last:.3g} at step {last_step:,}."
    )
    return format_html(
        '<svg class="chart" id="loss-chart" viewBox="0 0 {} {}" role="img" aria-label="{}" data-points="{}"'
        ' data-named="{}" tabindex="0">{}</svg>',
        WIDTH,
        HEIGHT,
        words,
        readable,
        json.dumps(values_of_others(names, dashed), separators=(",", ":")) if names else "",
        mark_safe("".join(parts)),  # noqa: S308 - every part is formatted above
    )


def values_of_others(names: Sequence[str], dashed: Sequence[Points]) -> list[list[object]]:
    """For the script: each version's name and its values; those of the first stand in ``data-points``."""
    rounded = [[[step, float(f"{value:.4g}")] for step, value in part] for part in dashed]
    return [[name, part] for name, part in zip(names, [[], *rounded], strict=True)]


def clean(history: Points, *, logarithmic: bool) -> list[tuple[int, float]]:
    """Finite points in order, one per step; a logarithm has no place for zero."""
    by_step = {int(step): float(value) for step, value in history if math.isfinite(value)}
    return sorted((step, value) for step, value in by_step.items() if value > 0 or not logarithmic)


def smooth(points: Points, share: float = 0.03) -> list[tuple[int, float]]:
    """An exponential mean whose memory is a share of the points; unbiased at the start. Linear time."""
    keep = 1 - 1 / max(2.0, len(points) * share)
    total = weight = 0.0
    line = []
    for step, value in points:
        total, weight = total * keep + value, weight * keep + 1
        line.append((step, total / weight))
    return line


def thin(points: Points, most: int = MOST_POINTS) -> list[tuple[int, float]]:
    """At most this many points: the lowest and the highest of each stretch, the first and the last always."""
    if len(points) <= most:
        return list(points)
    width = len(points) / (most // 2 - 1)
    kept = {points[0], points[-1]}
    for number in range(most // 2 - 1):
        stretch = points[int(number * width) : int((number + 1) * width)]
        kept |= {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
    return sorted(kept)[:most]


def bounds(values: Sequence[float], *, logarithmic: bool) -> tuple[float, float]:
    """A range that holds nearly all values: a single spike must not flatten the rest."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    if logarithmic:
        return low * 0.9, max(high, low) * 1.1
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return max(0.0, low - room) if low >= 0 else low - room, high + room


def ticks(low: float, high: float, *, logarithmic: bool) -> list[float]:
    """Three to six round values between the bounds."""
    if logarithmic:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        marks = [factor * 10.0**power for power in decades for factor in (1, 2, 5)]
        return [mark for mark in marks if low <= mark <= high][:8] or [low, high]
    step = nice((high - low) / 4)
    first = math.ceil(low / step)
    return [number * step for number in range(first, int(high / step) + 1)]


def nice(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 … that is not smaller."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value * 0.999)


def nice_steps(total: int) -> list[int]:
    """Steps to write below the chart: 0, some between, the last."""
    step = max(1, int(nice(total / 4)))
    inner = [number for number in range(step, total, step) if total - number > step * 0.6]
    return [0, *inner, total]


def level(place: float, value: float) -> SafeString:
    """A horizontal line with its value."""
    return format_html(
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="end" x="{}" y="{}">{}</text>',
        LEFT,
        RIGHT,
        place,
        place,
        LEFT - 6,
        place + 4,
        f"{value:.3g}",
    )


def step_mark(place: float, step: int, total: int) -> SafeString:
    """A number below the chart."""
    align = "" if step == 0 else "end" if step == total else "mid"
    return format_html('<text class="{}" x="{}" y="194">{}</text>', align, place, f"{step:,}")
