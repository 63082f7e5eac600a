"""What pages of both apps show of an actor's trainings."""

from __future__ import annotations

from django import template

from actors.models import Actor
from training.live import Picture
from training.models import TrainingVersion
from training.parameters import labelled
from training.standing import Standing, standing

register = template.Library()
register.filter(labelled)


@register.simple_tag
def standing_of(actor: Actor) -> Standing | None:
    """The actor's state, picture and versions."""
    return standing(actor.pk)


@register.filter
def look_of(version: TrainingVersion) -> str:
    """The version's state as the look names it."""
    return Picture(version).look


@register.filter
def words_of(version: TrainingVersion) -> str:
    """The version's state in words."""
    return Picture(version).words
