"""Faces beside numbers and names: who is meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from actors.models import Actor, TrainingImage
from training.library import Library
from training.standing import with_standing
from training.standing_rows import ActorStanding

#: Faces of a state.
MOST = 6


def faces_of(actor_ids: Collection[int]) -> dict[int, str]:
    """A link to the small picture of each actor that has one. Two queries, however many."""
    shown: QuerySet[Any, Any] = with_standing(Actor.objects.filter(pk__in=actor_ids))
    covers = dict(shown.order_by().values_list("pk", "cover_id"))
    images = TrainingImage.objects.in_bulk({cover for cover in covers.values() if cover})
    links = {pk: image.thumbnail_link() or image.link() for pk, image in images.items()}
    return {actor: links[cover] for actor, cover in covers.items() if links.get(cover or -1)}


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
    links = faces_of(states)
    found: dict[str, list[str]] = defaultdict(list)
    for actor, state in states.items():
        found[state].append(links.get(actor, ""))
    return found
