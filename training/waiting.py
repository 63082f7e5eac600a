"""Who waits for a person: some of each kind, for the dashboard."""

from __future__ import annotations

from django.db.models import Case, F, When, Window
from django.db.models.functions import RowNumber

from training.library import Library
from training.standing import Standing, standings, with_standing
from training.standing_rows import ActorStanding

#: States in which nothing goes on until somebody does something, the nearest to a good version first.
WAITING = ("choose", "failed", "unfit")
#: Of each state; the library shows all.
MOST = 2


def waiting() -> list[Standing]:
    """Those that have waited longest, at most two of each state; six queries for any number of actors."""
    place = Window(
        RowNumber(),
        partition_by="state",
        order_by=(F("last_training").asc(nulls_first=True), F("actor_id").asc()),
    )
    order = Case(*(When(state=state, then=number) for number, state in enumerate(WAITING)))
    rows = (
        ActorStanding.objects.filter(actor__in=Library.base(), state__in=WAITING)
        .annotate(place=place)
        .filter(place__lte=MOST)
    )
    keys = list(rows.order_by(order, "place").values_list("actor_id", flat=True))
    people = {each.actor.pk: each for each in standings(with_standing(Library.base().filter(pk__in=keys)))}
    return [people[key] for key in keys if key in people]
