"""The timeline of a batch."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from training.batch_models import Batch


class BatchEvent(models.Model):
    """One line of a batch's timeline."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    message = models.TextField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        app_label = "training"
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return self.message
