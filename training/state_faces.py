"""A few faces of each state for the dashboard: who is meant by a number."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from actors.models import TrainingImage
from training.library import Library
from training.standing import with_standing
from training.standing_rows import ActorStanding

#: Faces of a state.
MOST = 6


def faces() -> dict[str, list[str]]:
    """Links to pictures by state, the latest trainings first; an actor without a picture is an empty link.

    Three queries, however many actors there are.
    """
    place = Window(
        RowNumber(),
        partition_by="state",
        order_by=(F("last_training").desc(nulls_last=True), F("actor_id").asc()),
    )
    rows = (
        ActorStanding.objects.filter(actor__in=Library.base()).annotate(place=place).filter(place__lte=MOST)
    )
    states = dict(rows.order_by("state", "place").values_list("actor_id", "state"))
    shown: QuerySet[Any, Any] = with_standing(Library.base().filter(pk__in=states))
    covers = dict(shown.order_by().values_list("pk", "cover_id"))
    images = TrainingImage.objects.in_bulk({cover for cover in covers.values() if cover})
    found: dict[str, list[str]] = defaultdict(list)
    for actor, state in states.items():
        cover = images.get(covers.get(actor) or -1)
        found[state].append((cover.thumbnail_link() or cover.link()) if cover else "")
    return found
