"""The registry app."""

from django.apps import AppConfig


class ActorsConfig(AppConfig):
    """Who the actors are and which images they have."""

    name = "actors"
