"""The small parts of the look: icons, and numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from django import template
from django.contrib.messages.storage.base import Message
from django.template.defaultfilters import date
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actors.undo import Undo, undo_of

register = template.Library()

#: State → icon. A state is always an icon and a word (``includes/state.html``).
STATE_ICONS = {
    "none": "image",
    "unfit": "warn",
    "fit": "dot",
    "training": "run",
    "choose": "toring",
    "good": "ring",
    "failed": "stop",
    "cancelled": "x",
    "attention": "warn",
    "done": "check",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
#: Across the turn of a year the clock still matters so long.
_NEAR_DAYS = 7


@cache
def _sprite() -> str:
    return static("icons.svg")


@register.simple_tag
def icon(name: str) -> SafeString:
    """One symbol of the sprite; decoration beside a word, so hidden from screen readers."""
    return format_html('<svg class="i" aria-hidden="true"><use href="{}#{}"/></svg>', _sprite(), name)


@register.filter
def undo(message: Message) -> Undo | None:
    """How to take back what a toast tells."""
    return undo_of(message)


@register.filter
def state_icon(state: str) -> str:
    """The icon's name for a state."""
    return STATE_ICONS.get(state, "dot")


@register.filter
def without_trigger(caption: str, trigger: str) -> str:
    """A caption without the words that every caption of this actor has."""
    return caption.replace(trigger, "").removeprefix("portrait of").strip(" ,") or caption


@register.filter
def clock(moment: datetime | str | None) -> str:
    """``14:02:11`` in the viewer's time zone; also for ISO 8601 text."""
    when = _moment(moment)
    return date(when, "H:i:s") if when else ""


@register.filter
def when(moment: datetime | str | None) -> str:
    """``14:02`` today, ``12 Nov 14:02`` this year and about New Year, ``12 Nov 2024`` before."""
    at = _moment(moment)
    if at is None:
        return ""
    now = timezone.localtime()
    if at.date() == now.date():
        return date(at, "H:i")
    near = at.year == now.year or abs((at - now).days) < _NEAR_DAYS
    return date(at, "j M H:i" if near else "j M Y")


@register.filter
def day(moment: datetime | None) -> str:
    """``12 Nov``, with the year when it is not this one."""
    at = _moment(moment)
    if at is None:
        return ""
    return date(at, "j M" if at.year == timezone.localtime().year else "j M Y")


@register.filter
def iso(moment: datetime | None) -> str:
    """For ``<time datetime>``."""
    return moment.isoformat() if moment else ""


@register.filter
def duration(seconds: float | None) -> str:
    """``18 s``, ``5 min 20 s``, ``1 h 12 min``."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        rest = whole % _MINUTE
        return (
            f"{whole // _MINUTE} min {rest} s"
            if rest and whole < 10 * _MINUTE
            else f"{round(whole / 60)} min"
        )
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} days"


@register.filter
def countdown(seconds: float | None) -> str:
    """``8:37``, ``1:08:37``, ``2 days 3 h``."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole >= 2 * _DAY:
        return f"{whole // _DAY} days {whole % _DAY // _HOUR} h"
    hours, rest = divmod(whole, _HOUR)
    minutes, left = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


@register.filter
def thousands(number: float | None) -> str:
    """``1,276``."""
    return f"{number:,}" if number is not None else "–"


def _moment(value: datetime | str | None) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return timezone.localtime(value) if value else None
