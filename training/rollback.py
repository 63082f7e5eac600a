"""Back to the version that was good before: one step, for the case that the new one disappoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from actors.models import Actor
from training.models import Status, TrainingVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class NothingToRollBack(Exception):
    """No other version of this actor was good before."""


def former_good(actor: Actor) -> TrainingVersion | None:
    """The version that was good before the present one, as far as it can be good again."""
    now = actor.versions.filter(is_good=True).values_list("pk", flat=True).first()
    marked = TrainingVersion.history.filter(actor_id=actor.pk, is_good=True).exclude(id=now)
    completed = actor.versions.filter(status=Status.COMPLETED).in_bulk()
    for pk in marked.order_by("-history_date", "-history_id").values_list("id", flat=True).iterator():
        if pk in completed:
            return completed[pk]
    return None


def roll_back(
    actor: Actor, by: User | None = None, *, instead_of: int | None = None, reason: str = ""
) -> TrainingVersion:
    """Makes the former good version good again. Raises ``NothingToRollBack``.

    ``instead_of`` is the good version that the person saw: of two clicks the second must not undo the first.
    """
    with transaction.atomic():
        Actor.objects.select_for_update().get(pk=actor.pk)  # the same lock as ``mark_good``
        if instead_of is not None and not actor.versions.filter(pk=instead_of, is_good=True).exists():
            raise NothingToRollBack("Another version is good by now. Look again before you roll back.")
        former = former_good(actor)
        if former is None:
            raise NothingToRollBack(f"No other version of {actor} has been good before.")
        former.mark_good(by, reason or "Rolled back to the former good version")
    return former
