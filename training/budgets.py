"""Budgets: what a start reserves, what its end costs, and why one is refused.

A start reserves its estimate in the transaction that makes it, with the person's month locked; its end
settles the entry to the real cost, as often as that becomes better known. What never ran costs nothing and
counts as no training. Where trainings are free (the local endpoint) only their number is limited.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from actors import studio_time
from actors.letters import Letter
from actors.permissions import PERMISSIONS
from training import outbox
from training.budget_models import NOTHING, BudgetEntry, BudgetMonth, BudgetRule

if TYPE_CHECKING:
    from training.models import Preview, TrainingVersion

#: A person is told when so many percent of a month are used.
WARN_AT = (80, 100)
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


class OverBudget(Exception):
    """A start would cross the ceiling; nothing was reserved."""

    def __init__(self, fact: str, reason: str) -> None:
        self.fact, self.reason = fact, reason
        super().__init__(f"{fact} {reason}")


@dataclass(frozen=True)
class Ceiling:
    """What a person may use in a month, and whose rule says so. ``None`` is no ceiling."""

    dollars: Decimal | None = None
    trainings: int | None = None
    whose: str = ""

    @property
    def is_set(self) -> bool:
        """Whether anything is limited."""
        return self.dollars is not None or self.trainings is not None


@dataclass(frozen=True)
class Usage:
    """A person's month against its ceiling."""

    month: date
    ceiling: Ceiling
    spent: Decimal = NOTHING
    reserved: Decimal = NOTHING
    trainings: int = 0

    @property
    def used(self) -> Decimal:
        """Spent, or promised to what runs."""
        return self.spent + self.reserved

    @property
    def left(self) -> Decimal | None:
        """Dollars that are left; ``None`` without a ceiling."""
        return None if self.ceiling.dollars is None else max(NOTHING, self.ceiling.dollars - self.used)

    @property
    def percent(self) -> int:
        """How much is used, of dollars or of trainings, whichever is more; rounded down."""
        shares = [(self.used, self.ceiling.dollars), (Decimal(self.trainings), self.ceiling.trainings)]
        return max((int(100 * used / most) for used, most in shares if most), default=0)

    @property
    def words(self) -> str:
        """``$12.40 of $50.00 and 3 of 10 trainings``; what has no ceiling is only counted."""
        parts = []
        if self.ceiling.dollars is not None:
            parts.append(f"${self.used:.2f} of ${self.ceiling.dollars:.2f}")
        elif self.used:
            parts.append(f"${self.used:.2f}")
        if self.ceiling.trainings is not None:
            parts.append(f"{self.trainings} of {self.ceiling.trainings} trainings")
        elif not parts:
            parts.append(f"{self.trainings} training{'' if self.trainings == 1 else 's'}")
        return " and ".join(parts)

    def check(self, amount: Decimal, *, trainings: int = 1, what: str = "This training") -> None:
        """Raises ``OverBudget`` with the numbers, when the estimate does not fit in any more."""
        name, most = f"{self.month:%B}", self.ceiling
        if most.dollars is not None and amount > 0 and self.used + amount > most.dollars:
            fact = f"The budget for {name} is not enough: ${self.used:.2f} of ${most.dollars:.2f} are used."
            raise OverBudget(fact, f"{what} takes about ${amount:.2f} more. {self.way_out()}")
        if most.trainings is not None and trainings and self.trainings + trainings > most.trainings:
            fact = f"The trainings for {name} are used up: {self.trainings} of {most.trainings}."
            raise OverBudget(fact, self.way_out())

    def way_out(self) -> str:
        """Who can raise the ceiling, and when the next month begins."""
        admins = User.objects.with_perm(PERMISSIONS["admin"], backend=MODEL_BACKEND).order_by("username")
        names = " or ".join(admin.get_full_name() or admin.get_username() for admin in admins[:3])
        begins = studio_time.written(studio_time.next_month(self.month))
        return f"Ask {names or 'an admin'} to raise it, or wait until {begins}."


def ceilings_of(people: Iterable[User]) -> dict[int, Ceiling]:
    """Each person's ceiling by their key. Two queries, and one for the roles unless they are prefetched."""
    rules = list(BudgetRule.objects.select_related("user", "group"))
    of_person = {rule.user_id: rule for rule in rules if rule.user_id}
    of_role = {rule.group_id: rule for rule in rules if rule.group_id}
    of_all = [rule for rule in rules if not rule.user_id and not rule.group_id]
    found = {}
    for person in people:
        own = [of_person[person.pk]] if person.pk in of_person else []
        roles = [of_role[group.pk] for group in person.groups.all() if group.pk in of_role] if of_role else []
        found[person.pk] = _widest(own or roles or of_all)
    return found


def ceiling_of(person: User) -> Ceiling:
    """The person's own rule, else the widest of their roles' rules, else everybody's."""
    return ceilings_of([person])[person.pk]


def _widest(rules: list[BudgetRule]) -> Ceiling:
    if not rules:
        return Ceiling()
    dollars = [rule.dollars for rule in rules if rule.dollars is not None]
    trainings = [rule.trainings for rule in rules if rule.trainings is not None]
    return Ceiling(
        max(dollars) if len(dollars) == len(rules) else None,
        max(trainings) if len(trainings) == len(rules) else None,
        " and ".join(rule.whose for rule in rules),
    )


def usage_of(person: User, month: date | None = None) -> Usage:
    """How a person stands this month, or in another one."""
    month = month or studio_time.this_month()
    row = BudgetMonth.objects.filter(user=person, month=month).first()
    return _usage(row, ceiling_of(person)) if row else Usage(month, ceiling_of(person))


def _usage(row: BudgetMonth, ceiling: Ceiling) -> Usage:
    return Usage(row.month, ceiling, row.spent, row.reserved, row.trainings)


@transaction.atomic
def reserve(
    person: User, kind: BudgetEntry.Kind, object_id: int, amount: Decimal, label: str, *, force: bool = False
) -> BudgetEntry:
    """Sets the estimate aside; call inside the transaction that starts what costs it.

    The same start twice reserves once. ``force`` writes down what has started already. Raises ``OverBudget``.
    """
    row = BudgetMonth.lock(person.pk, studio_time.this_month())
    known = BudgetEntry.objects.filter(kind=kind, object_id=object_id).first()
    if known:
        return known
    ceiling, counts = ceiling_of(person), kind == BudgetEntry.Kind.TRAINING
    if not force:
        what = "This training" if counts else "This preview"
        _usage(row, ceiling).check(amount, trainings=int(counts), what=what)
    entry = row.entries.create(
        kind=kind, object_id=object_id, label=label[:400], reserved=amount, counts=counts
    )
    row.add_up()
    _warn(row, ceiling)
    return entry


@transaction.atomic
def settle(kind: BudgetEntry.Kind, object_id: int, amount: Decimal, *, ran: bool) -> bool:
    """Replaces the reservation by the real cost. The same again changes nothing. Returns whether it did."""
    entry = BudgetEntry.objects.select_related("month").filter(kind=kind, object_id=object_id).first()
    if entry is None:
        return False
    row = BudgetMonth.lock(entry.month.user_id, entry.month.month)
    counts = ran and kind == BudgetEntry.Kind.TRAINING
    here = BudgetEntry.objects.filter(pk=entry.pk).exclude(spent=amount, counts=counts)
    if not here.update(spent=amount, counts=counts, settled_at=timezone.now()):
        return False
    row.add_up()
    _warn(row, ceiling_of(row.user))
    return True


def reserve_training(version: TrainingVersion, amount: Decimal, *, force: bool = False) -> None:
    """The estimate of a launch, for the person who made it. Raises ``OverBudget``."""
    if version.created_by:
        label = f"{version.actor.number} {version.name}"
        reserve(version.created_by, BudgetEntry.Kind.TRAINING, version.pk, amount, label, force=force)


def settle_training(version: TrainingVersion) -> bool:
    """What an ended version was billed; nothing where no worker had it or nothing has a price."""
    ran = bool(version.started_at or version.execution_ms or version.lora_url)
    return settle(BudgetEntry.Kind.TRAINING, version.pk, version.cost_usd or NOTHING, ran=ran)


def reserve_preview(preview: Preview, amount: Decimal, *, force: bool = False) -> None:
    """The estimate of a preview, for the person who ordered it. Raises ``OverBudget``."""
    if preview.created_by:
        version = preview.version
        label = f"{version.actor.number} {version.name}, {preview.title}"
        reserve(preview.created_by, BudgetEntry.Kind.PREVIEW, preview.pk, amount, label, force=force)


def settle_preview(preview: Preview) -> bool:
    """What an ended preview was billed, else nothing."""
    cost = preview.cost_usd
    return settle(BudgetEntry.Kind.PREVIEW, preview.pk, cost or NOTHING, ran=cost is not None)


def _warn(row: BudgetMonth, ceiling: Ceiling) -> None:
    """Tells the person and the studio that a threshold is reached, each once a month."""
    usage = _usage(row, ceiling)
    reached = max((threshold for threshold in WARN_AT if usage.percent >= threshold), default=0)
    if reached <= row.warned:
        return
    row.warned = reached
    row.save(update_fields=["warned"])
    name = row.user.get_full_name() or row.user.get_username()
    month = f"{row.month:%B %Y}"
    state = "is used up" if reached == 100 else f"is used to {usage.percent} %"
    page = settings.SITE_URL + reverse("account-budget")
    outbox.post_all(outbox.BUDGET, lambda: _facts(row, usage, reached))
    text = f"{name} has used {usage.words} in {month}.\n\nAn admin can raise the ceiling.\n\n{page}\n"
    to = [row.user.email, *settings.NOTIFY_EMAILS]
    Letter.write(
        f"budget {row.user_id} {row.month:%Y-%m} {reached}", to, f"The budget of {name} {state}", text
    )


def _facts(row: BudgetMonth, usage: Usage, threshold: int) -> dict[str, object]:
    """What webhooks are told of a threshold."""
    return {
        "person": row.user.get_username(),
        "month": f"{row.month:%Y-%m}",
        "threshold": threshold,
        "percent": usage.percent,
        "used": str(usage.used),
        "ceiling": None if usage.ceiling.dollars is None else str(usage.ceiling.dollars),
        "trainings": usage.trainings,
        "trainingsCeiling": usage.ceiling.trainings,
    }


def usages(month: date) -> list[tuple[User, Usage]]:
    """Every active person who may train or has used something, by name; for the admins' page."""
    used = BudgetMonth.objects.filter(month=month)
    people = User.objects.filter(Q(is_active=True) | Q(pk__in=used.values("user"))).prefetch_related("groups")
    rows = {row.user_id: row for row in used}
    ceilings = ceilings_of(people)
    return [
        (
            person,
            _usage(rows[person.pk], ceilings[person.pk])
            if person.pk in rows
            else Usage(month, ceilings[person.pk]),
        )
        for person in people.order_by("username")
    ]
