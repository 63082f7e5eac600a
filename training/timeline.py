"""What happened during a training: its events and the samples drawn on the way."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from actors import storage


class TrainingEvent(models.Model):
    """One line of a version's timeline: a state it entered, or a note."""

    version = models.ForeignKey("training.TrainingVersion", on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=20)
    level = models.CharField(max_length=10, default="info")
    message = models.TextField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ("at", "id")

    def __str__(self) -> str:
        return self.message


class SampleImage(models.Model):
    """A picture drawn during training: always the same prompts and seeds, so steps compare."""

    version = models.ForeignKey("training.TrainingVersion", on_delete=models.CASCADE, related_name="samples")
    step = models.PositiveIntegerField()
    prompt_index = models.PositiveIntegerField()
    prompt = models.TextField(blank=True)
    seed = models.PositiveBigIntegerField(default=0)
    url = models.CharField(max_length=1200)

    class Meta:
        ordering = ("step", "prompt_index")
        constraints = [
            models.UniqueConstraint(
                fields=["version", "step", "prompt_index"], name="one_sample_per_step_and_prompt"
            )
        ]

    def __str__(self) -> str:
        return f"step {self.step}, prompt {self.prompt_index}"

    def link(self) -> str:
        """A signed link for a page."""
        return storage.download_link(self.url)
