"""The training app."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """How a dataset becomes a validated LoRA."""

    name = "training"
