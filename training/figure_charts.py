"""The dashboard's figures → SVG. As in ``charts.py``: sizes in attributes, colours in the stylesheet.

Every picture is one image with its facts in words; the page puts a table with the same numbers beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from django.template.defaultfilters import date as written
from django.template.defaultfilters import pluralize
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from training.analytics import Part
from training.charts import nice
from training.library import Choice

WIDTH, HEIGHT = 720, 232
LEFT, RIGHT, TOP, BOTTOM = 40, 716, 24, 192
#: Bars are never wider, and at most so many have a number over them or a date below.
WIDEST, MOST_NUMBERS, MOST_DATES = 44, 32, 13
#: From below upwards: the class of a bar, and which figure it is.
OUTCOMES = (
    ("good", "good"),
    ("done", "finished"),
    ("failed", "failed"),
    ("soft", "cancelled"),
    ("run", "active"),
)


def flow(states: Sequence[Choice]) -> SafeString:
    """Actors by state, side by side in proportion. Empty without actors."""
    total = sum(state.count for state in states)
    if not total:
        return SafeString()
    parts, x = [], 0.0
    for state in states:
        width = round(1000 * state.count / total, 1)
        if state.count:
            parts.append(
                format_html(
                    '<rect class="at-{}" x="{}" width="{}" height="12"/>',
                    state.value,
                    round(x, 1),
                    max(1.0, width - 2),
                )
            )
        x += width
    words = ", ".join(f"{state.count} {state.label.lower()}" for state in states if state.count)
    return _picture("flow", f"Actors by state: {words}.", parts, 1000, 12, stretch=True)


def outcomes(parts: Sequence[Part]) -> SafeString:
    """Trainings by the day, week or month of their launch, one bar each, by how they ended."""
    most = max((part.figures.trainings for part in parts), default=0)
    if not most:
        return SafeString()
    top, step = _scale(most, whole=True)
    width = (RIGHT - LEFT) / len(parts)
    bar = min(WIDEST, width * 0.72)
    drawn = [_level(_y(value, top), f"{value:g}") for value in _levels(top, step)]
    for number, part in enumerate(parts):
        x = LEFT + width * (number + 0.5)
        drawn += _stack(part, x - bar / 2, bar, top)
        if part.figures.trainings and len(parts) <= MOST_NUMBERS:
            y = round(_y(part.figures.trainings, top) - 6, 1)
            drawn.append(
                format_html(
                    '<text class="mid" x="{}" y="{}">{}</text>', round(x, 1), y, part.figures.trainings
                )
            )
    drawn += _dates([part.span.first for part in parts], width)
    total = sum(part.figures.trainings for part in parts)
    busiest = max(parts, key=lambda part: part.figures.trainings)
    words = (
        f"{total} training{pluralize(total)}; the most, {most}, from {written(busiest.span.first, 'j M Y')}."
    )
    return _picture("chart", words, drawn, WIDTH, HEIGHT)


def cost_per_good(parts: Sequence[Part]) -> SafeString:
    """All costs over all good versions, from the first day up to each; it ends at the figure of the span.

    Empty without any. Day by day it would say nothing: most days cost something and bring no good version.
    """
    costs, spent, good = [], Decimal(0), 0
    for number, part in enumerate(parts):
        spent, good = spent + (part.figures.spent or 0), good + part.figures.paid_good
        if good:
            costs.append((number, float(spent / good)))
    if not costs:
        return SafeString()
    top, step = _scale(max(cost for _, cost in costs))
    width = (RIGHT - LEFT) / len(parts)
    places = [(round(LEFT + width * (number + 0.5), 1), round(_y(cost, top), 1)) for number, cost in costs]
    drawn = [_level(_y(value, top), f"${value:g}") for value in _levels(top, step)]
    drawn.append(format_html('<path class="line" d="M{}"/>', "L".join(f"{x} {y}" for x, y in places)))
    x, y = places[-1]
    drawn.append(format_html('<circle class="dot" cx="{}" cy="{}" r="3"/>', x, y))
    align = "end" if len(parts) > 1 else "mid"
    text = '<text class="strong {}" x="{}" y="{}">{}</text>'
    drawn.append(format_html(text, align, x, y - 8, f"${costs[-1][1]:.2f}"))
    drawn += _dates([part.span.first for part in parts], width)
    words = f"US dollars for each good version: ${costs[0][1]:.2f} at first, ${costs[-1][1]:.2f} at last."
    return _picture("chart", words, drawn, WIDTH, HEIGHT)


def share(part: float) -> SafeString:
    """A thin bar for a row of a table, whose numbers say the same."""
    return format_html(
        '<svg class="hbar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="failed" width="{}" height="8"/></svg>',
        round(100 * part, 1),
    )


def _stack(part: Part, x: float, width: float, top: float) -> list[SafeString]:
    drawn, below = [], 0
    for name, figure in OUTCOMES:
        count = getattr(part.figures, figure)
        if not count:
            continue
        high, low = _y(below + count, top), _y(below, top)
        drawn.append(
            format_html(
                '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>',
                name,
                round(x, 1),
                round(high, 1),
                round(width, 1),
                # A gap of paper between the parts of a bar: colour alone does not part them.
                round(max(0.6, low - high - 1), 1),
            )
        )
        below += count
    return drawn


def _dates(days: Sequence[date], width: float) -> list[SafeString]:
    """Below the chart, as many as have room; the month where it is another than before."""
    every = -(-len(days) // MOST_DATES)
    drawn, month = [], 0
    for number, day in enumerate(days):
        if number % every:
            continue
        text = written(day, "j M" if day.month != month else "j")
        month = day.month
        strong = " strong" if number == len(days) - 1 else ""
        x = round(LEFT + width * (number + 0.5), 1)
        drawn.append(format_html('<text class="mid{}" x="{}" y="212">{}</text>', strong, x, text))
    return drawn


def _picture(
    name: str, words: str, parts: Sequence[SafeString], width: int, height: int, *, stretch: bool = False
) -> SafeString:
    return format_html(
        '<svg class="{}" viewBox="0 0 {} {}"{} role="img" aria-label="{}">{}</svg>',
        name,
        width,
        height,
        mark_safe(' preserveAspectRatio="none"') if stretch else "",
        words,
        mark_safe("".join(parts)),  # noqa: S308 - every part is formatted above
    )


def _scale(most: float, *, whole: bool = False) -> tuple[float, float]:
    """The upper end of a scale and the distance of its lines: round numbers."""
    step = nice(most / 4)
    if whole:
        step = max(1.0, step)
    return step * math.ceil(most / step), step


def _levels(top: float, step: float) -> list[float]:
    return [round(number * step, 6) for number in range(round(top / step) + 1)]


def _y(value: float, top: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * value / top


def _level(y: float, text: str) -> SafeString:
    return format_html(
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="end" x="{}" y="{}">{}</text>',
        LEFT,
        RIGHT,
        round(y, 1),
        round(y, 1),
        LEFT - 6,
        round(y + 4, 1),
        text,
    )
