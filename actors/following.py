"""Following another registry: read it, show the difference, apply it by rule or ask."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone
from django.utils.text import Truncator
from django_q.models import Schedule
from django_q.tasks import async_task

from actors import registry
from actors.history import changing
from actors.management.reading import read_source
from actors.registry import Plan, RegistryError
from actors.sources import RegistryProposal, RegistrySource, Rule

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True)
class Difference:
    """One line of a difference: ``field`` is empty for a new actor."""

    id: int
    name: str
    field: str = ""
    ours: str = ""
    theirs: str = ""

    def __str__(self) -> str:
        line = f"{self.id} {self.name}"
        return f"~ {line}: {self.field}: {self.ours} → {self.theirs}" if self.field else f"+ {line}"


def differences(plan: Plan) -> Iterator[Difference]:
    """What applying the plan would change, key by key."""
    for record in plan.created:
        yield Difference(record["id"], record["name"])
    for actor, record, keys in plan.changed:
        ours = registry.export_record(actor)
        for key in keys:
            yield Difference(actor.pk, actor.name, key, show(ours.get(key)), show(record[key]))


def show(value: Any) -> str:
    """A JSON value, short enough for a line."""
    return Truncator(json.dumps(value, ensure_ascii=False)).chars(160) if value is not None else "nothing"


def narrow(plan: Plan, rule: str) -> Plan:
    """What the rule lets through."""
    if rule == Rule.OURS:
        return Plan(created=plan.created, unchanged=plan.unchanged + len(plan.changed))
    return plan


def follow(source: RegistrySource) -> str:
    """Reads a source and does what its rule says. The result in one line. Raises what reading raises."""
    return take_in(read_source(source.address).decode("utf-8-sig"), source.name, source.rule, source)


def take_in(text: str, title: str, rule: str, source: RegistrySource | None = None) -> str:
    """Applies a registry by rule, or stores it for a decision. The result in one line."""
    records = registry.parse(text)
    if rule == Rule.ASK:
        plan = registry.plan_import(records)
        if not plan.created and not plan.changed:
            return f"nothing new: {plan.summary()}."
        proposal = propose(text, title, plan, source=source)
        return f"waits for a decision in the admin (proposal {proposal.pk}): {plan.summary()}."
    with transaction.atomic(), changing(reason=f"Registry {title}: {rule} wins"):
        plan = narrow(registry.plan_import(records), rule)
        registry.apply_import(plan)
    return f"applied, {rule} wins: {plan.summary()}."


def propose(
    text: str, title: str, plan: Plan, *, source: RegistrySource | None = None, by: User | None = None
) -> RegistryProposal:
    """Stores a registry for a decision. The same one again is the same proposal; a newer one replaces it."""
    proposal = RegistryProposal(source=source, title=title, text=text, made_by=by, summary=plan.summary())
    with transaction.atomic():
        if source:
            pending = RegistryProposal.objects.select_for_update().filter(
                source=source, state=RegistryProposal.State.PENDING
            )
            for older in pending:
                if older.text == text:
                    return older
                older.decide(RegistryProposal.State.OUTDATED, None)
        proposal.save()
    return proposal


def apply(proposal: RegistryProposal, by: User | None, *, seen: str) -> Plan:
    """Writes a proposal, all or nothing. ``seen`` is the digest of the difference that the person saw.

    Raises ``RegistryError`` when the difference is another one by now, or when it was decided already.
    """
    with transaction.atomic(), changing(by, f"Import: {proposal.title}"):
        # The row is the lock: two people applying at once come one after the other.
        proposal = RegistryProposal.objects.select_for_update().get(pk=proposal.pk)
        plan = registry.plan_import(registry.parse(proposal.text))
        if proposal.state == RegistryProposal.State.PENDING and digest(plan) != seen:
            raise RegistryError("The registry has changed since you looked. Check the new difference first.")
        if not proposal.decide(RegistryProposal.State.APPLIED, by):
            raise RegistryError(f"This import is {proposal.get_state_display()} already.")
        registry.apply_import(plan)
    return plan


def digest(plan: Plan) -> str:
    """Names a difference, so that nobody applies another one than the one they saw."""
    return hashlib.sha256("\n".join(map(str, differences(plan))).encode()).hexdigest()[:20]


def run(pk: int) -> None:
    """The task: follows one source and writes down how it went."""
    source = RegistrySource.objects.get(pk=pk)
    try:
        source.finish(follow(source))
    except (RegistryError, CommandError, OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        source.finish(" ".join(str(error).split()) or type(error).__name__, failed=True)


def run_due() -> None:
    """Each minute: the sources whose time has come."""
    now = timezone.now()
    for source in RegistrySource.objects.filter(is_active=True):
        if source.claim(now):
            async_task("actors.following.run", source.pk, task_name=f"follow {source.name}"[:100])


def ensure_schedule() -> None:
    """Runs ``run_due`` each minute."""
    Schedule.objects.update_or_create(
        name="registry sources",
        defaults={
            "func": "actors.following.run_due",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
            "repeats": -1,
        },
    )
