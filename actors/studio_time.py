"""Days and months as the studio counts them: budgets and likeness rights turn at its own midnight.

Pages show times in the visitor's zone (``time_zone.py``); what a date decides must not depend on who asks.
"""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone


def zone() -> ZoneInfo:
    """``STUDIO_TIME_ZONE``."""
    return ZoneInfo(settings.STUDIO_TIME_ZONE)


def today() -> date:
    """The studio's date."""
    return timezone.now().astimezone(zone()).date()


def month_of(moment: datetime) -> date:
    """The first day of the month that a moment falls into."""
    return moment.astimezone(zone()).date().replace(day=1)


def this_month() -> date:
    """The first day of the studio's month."""
    return today().replace(day=1)


def next_month(month: date) -> date:
    """The first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def start_of(day: date) -> datetime:
    """The studio's midnight that begins a day."""
    return datetime.combine(day, time.min, tzinfo=zone())


def written(day: date) -> str:
    """``3 November 2026``: a date in a sentence."""
    return f"{day.day} {day:%B %Y}"
