"""Money and shares as people read them; a dash where nothing is known."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.utils.safestring import SafeString

from training import figure_charts
from training.selection import Selection

register = template.Library()
NOTHING = "–"


@register.filter
def dollars(amount: Decimal | None) -> str:
    """``$1,204.50``; four digits below a cent."""
    if amount is None:
        return NOTHING
    return f"${amount:,.4f}" if 0 < amount < Decimal("0.01") else f"${amount:,.2f}"


@register.filter
def percent(share: float | None) -> str:
    """``89 %``."""
    return NOTHING if share is None else f"{100 * share:.0f} %"


@register.filter
def decimal(number: float | None) -> str:
    """``1.7``."""
    return NOTHING if number is None else f"{number:.1f}"


@register.filter
def whole(number: float | None) -> str:
    """``79``."""
    return NOTHING if number is None else f"{number:.0f}"


@register.simple_tag
def hbar(part: int, most: int) -> SafeString:
    """A thin bar beside a number of a table."""
    return figure_charts.share(part / most if most else 0.0)


@register.simple_tag
def rows_of(selection: Selection, **narrower: str) -> str:
    """The query string of a selection with a choice more."""
    return selection.but(**narrower).query()
