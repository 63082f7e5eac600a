"""The eleven parameters as columns: of a version, and of a draft that a person has not started yet."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from actors.models import Actor


class TrainingParameters(models.Model):
    """The eleven parameters, by the names that the form, the API and the payload use.

    Nullable, because versions imported from the old system lack some; a launch sets all.
    """

    learning_rate = models.FloatField(null=True)
    max_train_steps = models.PositiveIntegerField(null=True)
    network_dim = models.PositiveIntegerField(null=True)
    network_alpha = models.FloatField(null=True)
    class_tokens = models.CharField(max_length=300, blank=True)
    batch_size = models.PositiveIntegerField(null=True)
    num_repeats = models.PositiveIntegerField(null=True)
    lr_scheduler = models.CharField(max_length=60, blank=True)
    lr_warmup_steps = models.PositiveIntegerField(null=True)
    optimizer_type = models.CharField(max_length=60, blank=True)
    gradient_dtype = models.CharField(max_length=20, blank=True)

    class Meta:
        abstract = True

    def parameters(self) -> dict[str, Any]:
        """The eleven by name; those this row lacks are left out. Whole numbers come out whole."""
        values = {name: getattr(self, name) for name in PARAMETER_NAMES}
        if isinstance(values["network_alpha"], float) and values["network_alpha"].is_integer():
            values["network_alpha"] = int(values["network_alpha"])
        return {name: value for name, value in values.items() if value not in (None, "")}


PARAMETER_NAMES = tuple(field.name for field in TrainingParameters._meta.local_fields)


class ParameterDraft(TrainingParameters):
    """Parameters a person has edited for an actor but not started yet."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    actor = models.ForeignKey(Actor, on_delete=models.CASCADE, related_name="drafts")
    #: As typed, because a value that can't be read yet is no less a person's work.
    texts = models.JSONField(default=dict, editable=False)
    preset = models.CharField(max_length=100, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "actor"], name="one_draft_per_person_and_actor")
        ]

    def __str__(self) -> str:
        return f"Draft of {self.user} for {self.actor}"
