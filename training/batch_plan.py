"""The plan of a batch: for each actor the parameters, the time, the cost, or why it can't start.

A plan of thousands takes as many queries as one of ten: everything is read in bulk, and what depends on
the number of images alone is worked out once for each number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction
from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from actors.models import Actor
from actors.permissions import can, refusal
from training import budgets, costs, launch
from training.base_models import auto_adjust
from training.batch_models import HOLDING, MOST_ACTORS, MOST_AT_ONCE, NOTHING, Batch, BatchItem, ItemState
from training.estimates import estimate_seconds
from training.parameters import Parameters, validate
from training.presets import preset_named
from training.readiness import Facts, among, facts_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class CannotPlan(Exception):
    """The plan can't be made; the message says what to change. Nothing was written."""


@dataclass(frozen=True)
class Prospect:
    """What a training of one dataset's size would be, on this site's base and endpoint."""

    parameters: dict[str, Any]
    seconds: float
    cost: Decimal | None


class Recipe:
    """A preset and the values on top of it, worked out once for each number of images.

    Raises ``ParameterErrors`` for a preset that is not offered, and for values that no training takes.
    """

    def __init__(self, preset: str, changes: Mapping[str, object]) -> None:
        self.base = launch.studio_base()
        self.rules = preset_named(preset).rules()
        self.changes = {name: value for name, value in changes.items() if value not in (None, "")}
        self.runs = launch.finished_runs(self.base)
        self.bill = costs.bill_for(0)
        self._known: dict[int, Prospect] = {}
        self._token = self.base.specs()["class_tokens"]
        self.parameters(20)  # wrong values are told before anything is planned

    def parameters(self, image_count: int) -> Parameters:
        """For a dataset of this size. The warm-up follows chosen steps; the token is the actor's own."""
        values: dict[str, Any] = auto_adjust(image_count, self.base, self.rules, "token")[0].to_dict()
        steps = str(self.changes.get("max_train_steps", ""))
        if steps.isdecimal():
            values["lr_warmup_steps"] = int(int(steps) * self.rules.warmup)
        return validate(values | self.changes, self.base)

    def prospect(self, image_count: int) -> Prospect:
        """For a dataset of this size."""
        if image_count not in self._known:
            parameters = self.parameters(image_count)
            seconds = estimate_seconds(parameters, image_count, self.base, self.runs).seconds
            cost = replace(self.bill, execution_seconds=seconds).total if self.bill else None
            self._known[image_count] = Prospect(parameters.to_dict(), seconds, cost)
        return self._known[image_count]

    def token_error(self, token: str) -> str:
        """Why a name can't be a trigger token, if so."""
        try:
            self._token.read(token)
        except ValueError:
            return f"{self._token.label} must be {self._token.allowed}."
        return ""


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


def evaluate(actor_ids: Sequence[int], recipe: Recipe, batch: Batch | None = None) -> list[BatchItem]:
    """An unsaved item for each actor, in this order: planned, or blocked with the reason.

    The reasons are those of a single launch (``launch.obstacles``), and that another batch has the actor.
    """
    ids = list(dict.fromkeys(actor_ids))
    rows = Actor.objects.filter(among("pk", ids)).order_by().values_list(*Named._fields)
    actors = {actor.pk: actor for actor in map(Named._make, rows)} if ids else {}
    known = facts_of(ids)
    taken = _taken(ids, batch)
    own_token = "class_tokens" in recipe.changes
    refusals = Refusals()
    items: list[BatchItem] = []
    for actor_id in ids:
        if actor_id not in actors:
            continue  # deleted since it was chosen
        actor, facts = actors[actor_id], known[actor_id]
        item = BatchItem(batch=batch, actor_id=actor_id, position=len(items), image_count=facts.stored)
        reasons = refusals.of(actor, facts)
        if actor_id in taken:
            reasons.append(f"The batch “{taken[actor_id]}” has this actor.")
        if not own_token and (error := recipe.token_error(actor.name)):
            reasons.append(error)
        if facts.stored:
            prospect = recipe.prospect(facts.stored)
            token = {} if own_token else {"class_tokens": actor.name}  # as ``Actor.trigger_token``
            item.parameters = prospect.parameters | token
            item.seconds, item.cost = prospect.seconds, prospect.cost
        item.state = ItemState.BLOCKED if reasons else ItemState.PLANNED
        item.reason = " ".join(reasons)
        items.append(item)
    return items


def _taken(ids: Sequence[int], batch: Batch | None) -> dict[int, str]:
    """Actors that another batch is about to train, with its name."""
    held = BatchItem.objects.filter(state__in=HOLDING)
    if batch is not None and batch.pk:
        held = held.exclude(batch=batch)
    wanted = set(ids)
    rows = held.values_list("actor_id", "batch__name")
    return {actor_id: name for actor_id, name in rows if actor_id in wanted}


def make(actor_ids: Sequence[int], *, by: User | None, name: str = "", **settings: Any) -> Batch:
    """A planned batch of these actors; nothing is launched. Raises ``CannotPlan`` or ``ParameterErrors``."""
    if len(actor_ids) > MOST_ACTORS:
        raise CannotPlan(f"{len(actor_ids)} actors are too many for one batch: choose at most {MOST_ACTORS}.")
    batch = Batch(created_by=by, name=name.strip()[:200], **settings)
    if batch.good_threshold is not None and by is not None and not can(by, "curate"):
        raise CannotPlan(refusal("curate"))
    check_limits(batch)
    items = evaluate(actor_ids, Recipe(batch.preset, batch.parameters), batch)
    if not items:
        raise CannotPlan("No actor is chosen. Choose at least one.")
    batch.name = batch.name or f"{len(items)} actor{'' if len(items) == 1 else 's'}"
    with transaction.atomic():
        batch.save()
        for item in items:
            item.batch = batch
        BatchItem.objects.bulk_create(items, batch_size=2000)
        batch.tell(f"Planned with {len(items)} actors", by)
    return batch


def replan(batch: Batch) -> None:
    """Looks at every actor again and writes the plan anew. Call with the batch's row locked.

    Raises ``CannotPlan`` or ``ParameterErrors``; then call in a transaction that ends with it.
    """
    check_limits(batch)
    rewrite(batch, look(batch))
    batch.planned_at = timezone.now()
    batch.save()


def refresh(batch: Batch) -> None:
    """The same, but writes only what has changed: of a plan that was just made nothing."""
    check_limits(batch)
    columns = ("state", "reason", "image_count", "parameters")
    before = {values[0]: values[1:] for values in batch.items.values_list("actor", *columns)}
    fresh = look(batch)
    changed = [
        item for item in fresh if before.get(item.actor_id) != tuple(getattr(item, name) for name in columns)
    ]
    if changed or len(fresh) != len(before):
        rewrite(batch, fresh)


def look(batch: Batch) -> list[BatchItem]:
    """The items of a batch as they would be planned now."""
    chosen = list(batch.items.order_by("position").values_list("actor_id", flat=True))
    return evaluate(chosen, Recipe(batch.preset, batch.parameters), batch)


def rewrite(batch: Batch, items: list[BatchItem]) -> None:
    """These items instead of the ones before."""
    batch.items.all().delete()
    BatchItem.objects.bulk_create(items, batch_size=2000)


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


@dataclass(frozen=True)
class Totals:
    """The sums below a plan."""

    actors: int
    ready: int
    blocked: int
    seconds: float
    longest: float
    cost: Decimal | None
    concurrency: int

    @property
    def clock_seconds(self) -> float:
        """How long it takes with so many at once, the queue aside."""
        return max(self.seconds / self.concurrency, self.longest)


def totals(batch: Batch) -> Totals:
    """Of a batch's items that can start. One query."""
    ready = ~Q(state=ItemState.BLOCKED)
    sums = batch.items.aggregate(
        everyone=Count("pk"),
        cannot=Count("pk", filter=~ready),
        length=Sum("seconds", filter=ready, default=0.0),
        longest=Max("seconds", filter=ready, default=0.0),
        dollars=Sum("cost", filter=ready),
    )
    return Totals(
        actors=sums["everyone"],
        ready=sums["everyone"] - sums["cannot"],
        blocked=sums["cannot"],
        seconds=sums["length"],
        longest=sums["longest"],
        cost=sums["dollars"],
        concurrency=batch.concurrency,
    )


def reasons(batch: Batch) -> list[tuple[str, int]]:
    """Why actors can't start, the most frequent first."""
    blocked = batch.items.filter(state=ItemState.BLOCKED).order_by().values_list("reason")
    return list(blocked.annotate(number=Count("pk")).order_by("-number", "reason")[:8])


def warnings(batch: Batch, sums: Totals, person: User) -> list[str]:
    """What will stop the batch before its end, as far as it is known now."""
    found = []
    if batch.ceiling is not None and sums.cost is not None and sums.cost > batch.ceiling:
        found.append(
            f"All of them cost about ${sums.cost:.2f}. At ${batch.ceiling:.2f} the batch pauses, and you can "
            "raise the ceiling then."
        )
    try:
        usage = budgets.usage_of(person)
        usage.check(sums.cost or NOTHING, trainings=sums.ready, what="This batch")
    except budgets.OverBudget as over:
        found.append(f"{over} When it is used up, the batch pauses.")
    return found
