"""What a plan of chosen actors would say, before there is one: for the library's selection bar."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from actors.models import Actor
from actors.templatetags.look import duration
from training.base_models import DEFAULT_PRESET
from training.batch_models import BatchItem, ItemState
from training.batch_plan import evaluate
from training.batch_recipe import Recipe

#: Of more than these the plan tells; a click in the library must not look at thousands.
MOST = 200
#: How many are named of those that can't start.
NAMED = 2


def glance(actor_ids: Sequence[int]) -> str:
    """``3 can train now, about 1 h 18 min and $2.19. 0257 cannot: Only 8 images: 10 is the floor.``"""
    if len(actor_ids) > MOST:
        return "The plan says who can train, how long it takes and what it costs."
    items = evaluate(actor_ids, Recipe(DEFAULT_PRESET, {}))
    can = [item for item in items if item.state == ItemState.PLANNED]
    sentences = [
        _can(can) if can else "Nobody can train now.",
        _cannot([item for item in items if item not in can]),
    ]
    return " ".join(filter(None, sentences))


def _can(items: Sequence[BatchItem]) -> str:
    """How many, how long one after the other, and the cost where there is one."""
    seconds = sum(item.seconds or 0 for item in items)
    costs = [item.cost for item in items if item.cost is not None]
    price = f" and ${sum(costs, Decimal(0)):,.2f}" if costs else ""
    return f"{len(items)} can train now, about {duration(seconds)}{price}."


def _cannot(items: Sequence[BatchItem]) -> str:
    """Who, and the first reason of each."""
    if not items:
        return ""
    told = [f"{Actor(pk=item.actor_id).number} cannot: {_first(item.reason)}." for item in items[:NAMED]]
    rest = len(items) - len(told)
    return " ".join([*told, f"{rest} more cannot."] if rest else told)


def _first(reason: str) -> str:
    """The first sentence of a reason."""
    return reason.split(". ", 1)[0].rstrip(".")
