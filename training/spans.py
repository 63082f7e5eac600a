"""The days that figures are about: the last 7, 30 or 90, a month, or any two. They stand in the URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal, Self

from django.utils import timezone

Unit = Literal["day", "week", "month"]

#: Lengths that are one click away, in days.
LENGTHS = (7, 30, 90)
DEFAULT_LENGTH = 30
#: Years that a date may name: what lies outside can't be turned into a moment everywhere.
FIRST_YEAR, LAST_YEAR = 2000, 2100
#: Longer spans are shown by the week, and those longer still by the month.
MOST_DAYS, MOST_WEEKS = 31, 27


class NoSpan(ValueError):
    """What is wrong with the dates, and how they should look."""


@dataclass(frozen=True)
class Span:
    """Two days in the visitor's time zone, both included."""

    first: date
    last: date
    #: ``7``, ``30``, ``90``, ``month`` or ``custom``: what the picker shows as chosen.
    kind: str = "custom"

    @classmethod
    def of_days(cls, days: int) -> Self:
        """The last so many days, today included."""
        today = timezone.localdate()
        return cls(today - timedelta(days=days - 1), today, str(days))

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """From ``from`` and ``to``, ``month`` or ``days``; 30 days without any. Raises ``NoSpan``."""
        if query.get("from") or query.get("to"):
            last = _day(query.get("to") or timezone.localdate().isoformat())
            first = _day(query.get("from") or last.isoformat())
            if first > last:
                raise NoSpan(f"{first} is after {last}: the first day comes first.")
            return cls(first, last)
        if month := query.get("month"):
            first = _day(f"{month}-01")
            return cls(first, _next_month(first) - timedelta(days=1), "month")
        days = query.get("days") or str(DEFAULT_LENGTH)
        if days not in map(str, LENGTHS):
            raise NoSpan(f"days must be one of {', '.join(map(str, LENGTHS))}. For others name from and to.")
        return cls.of_days(int(days))

    @property
    def query(self) -> dict[str, str]:
        """The span as it stands in the URL."""
        match self.kind:
            case "month":
                return {"month": f"{self.first:%Y-%m}"}
            case "custom":
                return {"from": self.first.isoformat(), "to": self.last.isoformat()}
            case _:
                return {"days": self.kind}

    @property
    def days(self) -> int:
        """How many."""
        return (self.last - self.first).days + 1

    @property
    def unit(self) -> Unit:
        """What one bar of a chart stands for."""
        return "day" if self.days <= MOST_DAYS else "week" if self.days <= 7 * MOST_WEEKS else "month"

    def parts(self) -> list[Span]:
        """The bars: whole days, weeks from Monday or months, cut off at the span's ends."""
        found, first = [], self.first
        while first <= self.last:
            match self.unit:
                case "day":
                    after = first + timedelta(days=1)
                case "week":
                    after = first + timedelta(days=7 - first.weekday())
                case _:
                    after = _next_month(first)
            found.append(Span(first, min(after - timedelta(days=1), self.last)))
            first = after
        return found


def start_of(day: date) -> datetime:
    """Its first moment in the visitor's time zone."""
    return timezone.make_aware(datetime.combine(day, time.min))


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise NoSpan(f"{text[:40]!r} is no day: write 2026-01-31, and a month as 2026-01.") from None
    if not FIRST_YEAR <= day.year < LAST_YEAR:
        raise NoSpan(f"The year must be between {FIRST_YEAR} and {LAST_YEAR - 1}.")
    return day
