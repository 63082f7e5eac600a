"""LoRAs of the steps in between: kept with the version, to see when a training had learned enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import models

from training import payload
from training.preview_settings import PreviewSettings

if TYPE_CHECKING:
    from training.models import TrainingVersion
    from training.progress import KeptCheckpoint


class Checkpoint(models.Model):
    """The LoRA as it was at a step of its training, kept with the version."""

    version = models.ForeignKey(
        "training.TrainingVersion", on_delete=models.CASCADE, related_name="checkpoints"
    )
    step = models.PositiveIntegerField()
    url = models.CharField(max_length=1200)
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        app_label = "training"
        ordering = ("step",)
        constraints = [
            models.UniqueConstraint(fields=["version", "step"], name="one_checkpoint_per_version_and_step")
        ]

    def __str__(self) -> str:
        return f"step {self.step}"


def key_of(version: TrainingVersion, step: int) -> str:
    """Where the LoRA of a step lies in the object store, beside the finished one."""
    return version.lora_key.removesuffix(".safetensors") + f"_step{step:05d}.safetensors"


def wanted_steps(version: TrainingVersion) -> list[int]:
    """Those that have samples, but for the first and the last; none if the studio wants none."""
    if not PreviewSettings.current().keep_checkpoints:
        return []
    last = version.max_train_steps or 0
    return [step for step in payload.sample_steps(last) if 0 < step < last]


def save(version: TrainingVersion, kept: Iterable[KeptCheckpoint]) -> int:
    """Adds those that are not here yet; returns how many were new."""
    known = set(version.checkpoints.values_list("step", flat=True))
    new = [Checkpoint(version=version, **each) for each in kept if each["step"] not in known]
    Checkpoint.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)
