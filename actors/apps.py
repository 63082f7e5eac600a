"""The registry app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ActorsConfig(AppConfig):
    """Who the actors are and which images they have."""

    name = "actors"

    def ready(self) -> None:
        """The published registry follows every change from the first migration on."""
        post_migrate.connect(_watch_tables, sender=self)
        post_migrate.connect(_ensure_schedule, sender=self)


def _watch_tables(**kwargs: object) -> None:
    from actors import snapshot_triggers

    if "plan" in kwargs:  # a test's flush keeps the triggers
        snapshot_triggers.install(*snapshot_triggers.ACTORS)
        snapshot_triggers.install(snapshot_triggers.RIGHTS)


def _ensure_schedule(**_: object) -> None:
    from actors import rights_letters, tasks

    tasks.ensure_schedule()
    rights_letters.ensure_schedule()
