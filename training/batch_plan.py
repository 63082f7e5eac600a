"""The plan of a batch: for each actor the parameters, the time, the cost, or why it can't start.

Everything is read in bulk, and what depends on the number of images alone is worked out once for each number.
``training/batch_planning.py`` does it for a batch of thousands, in the task queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction
from django.utils import timezone

from actors.models import Actor
from actors.permissions import can, refusal
from training import costs, launch
from training.batch_models import HOLDING, MOST_ACTORS, MOST_AT_ONCE, Batch, BatchItem, ItemState
from training.batch_recipe import Recipe
from training.parameters import ParameterErrors
from training.planning_models import Asked, Planning
from training.readiness import Facts, among, facts_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class CannotPlan(Exception):
    """The plan can't be made; the message says what to change. Nothing was written."""


class Named(NamedTuple):
    """What the plan reads of an actor: ten thousand whole ones would take longer than all the rest."""

    pk: int
    name: str
    retired_at: datetime | None


class Refusals:
    """Why a single launch would refuse; worked out once for all actors of whom nothing special is known."""

    def __init__(self) -> None:
        self._plain: dict[tuple[int, int], list[str]] = {}

    def of(self, actor: Named, facts: Facts) -> list[str]:
        """In the words of ``launch.obstacles``."""
        key = (facts.included, facts.stored)
        if actor.retired_at or facts != Facts(*key):
            return self._ask(actor, facts)
        if key not in self._plain:
            self._plain[key] = self._ask(actor, facts)
        return list(self._plain[key])

    @staticmethod
    def _ask(actor: Named, facts: Facts) -> list[str]:
        row = Actor(pk=actor.pk, name=actor.name, retired_at=actor.retired_at)
        return [f"{check.fact} {check.reason}".strip() for check in launch.obstacles(row, facts)]


#: What looking at an actor tells of it; the rest of an item stays as it is.
TOLD = ("state", "reason", "image_count", "parameters", "seconds", "cost")


@dataclass(frozen=True)
class Wish:
    """What people have said about one actor of the plan."""

    own_values: Mapping[str, object] = field(default_factory=dict)
    left_out: bool = False


def evaluate(
    actor_ids: Sequence[int],
    recipe: Recipe,
    batch: Batch | None = None,
    wishes: Mapping[int, Wish] | None = None,
    start: int = 0,
) -> list[BatchItem]:
    """An unsaved item for each actor, in this order: planned, or blocked with the reason, or left out.

    The reasons are those of a single launch (``launch.obstacles``), and that another batch has the actor.
    Nine queries, however many actors. ``start`` is the first one's place in the whole batch.
    """
    ids = list(dict.fromkeys(actor_ids))
    rows = Actor.objects.filter(among("pk", ids)).order_by().values_list(*Named._fields)
    actors = {actor.pk: actor for actor in map(Named._make, rows)} if ids else {}
    known = facts_of(ids)
    taken = _taken(ids, batch)
    refusals = Refusals()
    items: list[BatchItem] = []
    for position, actor_id in enumerate(ids, start):
        if actor_id not in actors:
            continue  # deleted since it was chosen
        actor, facts, wish = actors[actor_id], known[actor_id], (wishes or {}).get(actor_id, Wish())
        item = BatchItem(batch=batch, actor_id=actor_id, position=position, image_count=facts.stored)
        reasons = refusals.of(actor, facts)
        if actor_id in taken:
            reasons.append(f"The batch “{taken[actor_id]}” has this actor.")
        own_token = "class_tokens" in recipe.changes or "class_tokens" in wish.own_values
        if not own_token and (error := recipe.token_error(actor.name)):
            reasons.append(error)
        if facts.stored:
            try:
                prospect = recipe.prospect(facts.stored, wish.own_values)
            except ParameterErrors as errors:  # they fit the preset or the base that there was
                reasons.append(f"Its own values no longer fit: {errors}")
            else:
                token = {} if own_token else {"class_tokens": actor.name}  # as ``Actor.trigger_token``
                item.parameters = prospect.parameters | token
                item.seconds, item.cost = prospect.seconds, prospect.cost
        item.state = ItemState.BLOCKED if reasons else ItemState.PLANNED
        item.reason = " ".join(reasons)
        if wish.left_out:
            item.state, item.reason = ItemState.LEFT_OUT, ""
        items.append(item)
    return items


def _taken(ids: Sequence[int], batch: Batch | None) -> dict[int, str]:
    """Actors that another batch is about to train, with its name."""
    held = BatchItem.objects.filter(among("actor", ids), state__in=HOLDING)
    if batch is not None and batch.pk:
        held = held.exclude(batch=batch)
    return dict(held.values_list("actor_id", "batch__name"))


def make(actor_ids: Sequence[int], *, by: User | None, name: str = "", **settings: Any) -> Batch:
    """Keeps the choice, and has the task queue make the plan. Nothing is launched.

    As fast for thousands as for one. Raises ``CannotPlan`` or ``ParameterErrors``; then nothing is written.
    """
    chosen = list(dict.fromkeys(actor_ids))
    if len(chosen) > MOST_ACTORS:
        raise CannotPlan(f"{len(chosen)} actors are too many for one batch: choose at most {MOST_ACTORS}.")
    if not chosen:
        raise CannotPlan("No actor is chosen. Choose at least one.")
    batch = Batch(created_by=by, name=name.strip()[:200], **settings)
    if batch.good_threshold is not None and by is not None and not can(by, "curate"):
        raise CannotPlan(refusal("curate"))
    check_limits(batch)
    Recipe(batch.preset, batch.parameters)
    batch.name = batch.name or f"{len(chosen)} actor{'' if len(chosen) == 1 else 's'}"
    with transaction.atomic():
        batch.save()
        Planning(batch=batch, chosen=chosen, total=len(chosen)).ask(Asked.PLAN, by, timezone.now())
    return batch


def look(batch: Batch, actor_ids: Sequence[int], start: int) -> int:
    """Looks at these actors and writes what has changed. How many of them can start.

    Call with the batch's row locked, before it begins. Raises ``CannotPlan`` or ``ParameterErrors``.
    """
    check_limits(batch)
    rows = batch.items.filter(actor__in=actor_ids).values_list("actor", "own_values", *TOLD)
    before = {actor: (own, told) for actor, own, *told in rows}
    wishes = {actor: Wish(own, told[0] == ItemState.LEFT_OUT) for actor, (own, told) in before.items()}
    fresh = evaluate(actor_ids, Recipe(batch.preset, batch.parameters), batch, wishes, start)
    write(
        [
            item
            for item in fresh
            if item.actor_id not in before
            or before[item.actor_id][1] != [getattr(item, name) for name in TOLD]
        ]
    )
    return sum(item.state == ItemState.PLANNED for item in fresh)


def look_at_failed(batch: Batch, actor_ids: Sequence[int]) -> int:
    """Failed and blocked ones among these actors; those that can start wait for their turn. How many.

    Call with the batch's row locked. Raises ``ParameterErrors``, or ``IntegrityError`` when another batch
    takes one of them in this moment.
    """
    again = batch.items.filter(actor__in=actor_ids, state__in=(ItemState.FAILED, ItemState.BLOCKED))
    wishes = {actor: Wish(own) for actor, own in again.values_list("actor", "own_values")}
    fresh = evaluate(list(wishes), Recipe(batch.preset, batch.parameters), batch, wishes)
    for item in fresh:
        item.state = ItemState.WAITING if item.state == ItemState.PLANNED else item.state
    write(fresh)
    return sum(item.state == ItemState.WAITING for item in fresh)


def write(items: Sequence[BatchItem]) -> None:
    """New ones as they are; of those that are there only what a look tells."""
    BatchItem.objects.bulk_create(
        items, update_conflicts=True, unique_fields=["batch", "actor"], update_fields=TOLD
    )


def check_limits(batch: Batch) -> None:
    """Raises ``CannotPlan`` for limits that can't be kept."""
    if not 1 <= batch.concurrency <= MOST_AT_ONCE:
        raise CannotPlan(f"Between 1 and {MOST_AT_ONCE} trainings can run at once, not {batch.concurrency}.")
    if batch.ceiling is not None and costs.price() is None:
        raise CannotPlan(
            "A ceiling needs a price: trainings are free here. Leave it empty, or set GPU_PRICE_PER_SECOND."
        )
    if batch.starts_at and batch.stops_at and batch.starts_at >= batch.stops_at:
        raise CannotPlan("It would stop before it starts. Choose a later stop time.")
    if (batch.daily_from is None) != (batch.daily_until is None):
        raise CannotPlan("Daily times need both ends: from and until.")
