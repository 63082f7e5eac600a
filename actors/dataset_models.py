"""What happens to a dataset over time: uploads on their way in, changes that can be undone, revisions."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from actors.models import TrainingDataset, TrainingImage


class ImageUpload(models.Model):
    """One file on its way into a dataset. It survives a reload of the page, and says how it ended."""

    class State(models.TextChoices):
        """``waiting`` for the bytes, ``working`` on them, or one of three ends."""

        WAITING = "waiting"
        WORKING = "working"
        DONE = "done"
        SKIPPED = "skipped"
        REFUSED = "refused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset: models.ForeignKey[TrainingDataset] = models.ForeignKey(
        "actors.TrainingDataset", on_delete=models.CASCADE, related_name="uploads"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    file_name = models.CharField(max_length=300)
    source_url = models.CharField(max_length=2000, blank=True, help_text="For imports by URL.")
    size_bytes = models.PositiveBigIntegerField(default=0, help_text="As announced.")
    caption = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    message = models.TextField(blank=True, help_text="Why it was skipped or refused, or what came of a ZIP.")
    image: models.ForeignKey[TrainingImage | None] = models.ForeignKey(
        "actors.TrainingImage", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created_at", "id")
        indexes = [models.Index(fields=["dataset", "state"])]

    def __str__(self) -> str:
        return self.file_name

    @property
    def key(self) -> str:
        """Where the bytes arrive. The name on disk is ours, so a file name can't lead anywhere."""
        return f"incoming/{self.pk}"

    def end(self, state: str, message: str = "", image: TrainingImage | None = None) -> None:
        """Writes down how it ended."""
        self.state, self.message, self.image = state, message, image
        self.save(update_fields=["state", "message", "image"])


class InspectionRun(models.Model):
    """A dataset whose images are being inspected: the claim of the one task that is on it."""

    dataset: models.OneToOneField[TrainingDataset] = models.OneToOneField(
        "actors.TrainingDataset", on_delete=models.CASCADE, primary_key=True, related_name="inspection_run"
    )
    seen_at = models.DateTimeField(default=timezone.now, help_text="When its task was last heard of.")

    def __str__(self) -> str:
        return f"Inspection of dataset {self.pk}"

    @classmethod
    def begin(cls, dataset: TrainingDataset) -> bool:
        """Whether the caller may queue a task: nobody else has."""
        return cls.objects.get_or_create(dataset=dataset)[1]


class DatasetChange(models.Model):
    """One edit of a dataset, with what stood there before, so that it can be undone."""

    dataset = models.ForeignKey("actors.TrainingDataset", on_delete=models.CASCADE, related_name="changes")
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    summary = models.CharField(max_length=300)
    before: models.JSONField[dict[str, dict[str, Any]], dict[str, dict[str, Any]]] = models.JSONField(
        default=dict, help_text="Image id, “dataset” or “actor” to the fields' old values."
    )
    after: models.JSONField[dict[str, dict[str, Any]], dict[str, dict[str, Any]]] = models.JSONField(
        default=dict, help_text="As before, to the new values."
    )
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-at", "-id")

    def __str__(self) -> str:
        return self.summary


class DatasetRevision(models.Model):
    """The images and captions of a dataset at one moment: r1, r2, … One per fingerprint."""

    dataset = models.ForeignKey("actors.TrainingDataset", on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    fingerprint = models.CharField(max_length=80)
    images: models.JSONField[list[dict[str, str]], list[dict[str, str]]] = models.JSONField(
        default=list, help_text="URL, file name, hash and caption of each image."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="one_revision_per_number"),
            models.UniqueConstraint(fields=["dataset", "fingerprint"], name="one_revision_per_fingerprint"),
        ]

    def __str__(self) -> str:
        return f"r{self.number}"
