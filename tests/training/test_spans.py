"""Spans of days, their parts, and addresses that keep them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from tests.training.figured import (
    trained,
)
from training import analytics
from training.selection import Selection
from training.spans import Span

pytestmark = pytest.mark.django_db


def test_long_spans_are_shown_by_weeks_and_months_that_end_where_the_span_does() -> None:
    weeks = Span(date(2026, 1, 1), date(2026, 3, 31)).parts()
    assert (weeks[0].first, weeks[0].last, weeks[1].first) == (
        date(2026, 1, 1),
        date(2026, 1, 4),
        date(2026, 1, 5),
    )
    assert weeks[-1].last == date(2026, 3, 31)
    months = Span(date(2025, 11, 15), date(2026, 12, 2)).parts()
    assert [months[0].first, months[1].first, months[-1].last] == [
        date(2025, 11, 15),
        date(2025, 12, 1),
        date(2026, 12, 2),
    ]
    assert len(months) == 14


@pytest.mark.parametrize(
    "span", [Span(date(2026, 1, 3), date(2026, 5, 20)), Span(date(2025, 1, 3), date(2026, 5, 20))]
)
def test_every_training_falls_into_one_part(span: Span) -> None:
    for day in (span.first, date(2026, 2, 2), span.last):
        trained(launched=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    parts = analytics.report(span).over_time
    assert sum(part.figures.trainings for part in parts) == 3
    assert [part.figures.trainings for part in (parts[0], parts[-1])] == [1, 1]


def test_a_selection_survives_its_own_address() -> None:
    asked = Selection(
        status="failed",
        by="ines",
        actor="0007",
        since=date(2026, 3, 1),
        until=date(2026, 3, 9),
        preset="quick.2",
        changed="no",
        reason="memory",
        images="16-30",
        good="no",
    )
    query = dict(part.split("=") for part in asked.query()[1:].split("&"))
    assert Selection.read(query) == asked
    assert len(asked.applied()) == 6
    assert Selection.read(
        {"reason": "x", "images": "9", "good": "?", "from": "y", "status": "z"}
    ).is_everything
    assert replace(asked, status="").query(status="active") == asked.but(status="active").query()
