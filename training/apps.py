"""The training app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TrainingConfig(AppConfig):
    """How a dataset becomes a validated LoRA."""

    name = "training"

    def ready(self) -> None:
        """The sweep is scheduled whenever the tables are there."""
        post_migrate.connect(_ensure_schedule, sender=self)


def _ensure_schedule(**_: object) -> None:
    from training.tasks import ensure_schedule

    ensure_schedule()
