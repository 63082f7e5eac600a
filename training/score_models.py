"""How like its actor a version draws: a number with its spread, or the reason why there is none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from training.preview_models import Preview, PreviewImage
from training.states import Status
from training.timeline import SampleImage

#: How long a finished preview is looked for.
LOOK_BACK = timedelta(days=7)


class VersionScore(models.Model):
    """Measured from samples and previews against the included training images; all numbers in percent.

    100 is as near to the training images as these are to each other, 0 is a stranger (``likeness.py``).
    """

    version = models.OneToOneField("training.TrainingVersion", on_delete=models.CASCADE, related_name="score")
    value = models.FloatField(null=True, help_text="Likeness in percent; null when it can't be measured.")
    low = models.FloatField(null=True, help_text="Lower end of the 95 % interval; null with two pictures.")
    high = models.FloatField(null=True, help_text="Upper end of the 95 % interval.")
    pictures = models.PositiveIntegerField(
        default=0, help_text="Pictures with the trigger that were measured."
    )
    compared_with = models.PositiveIntegerField(
        default=0, help_text="Training images they were compared with."
    )
    reason = models.CharField(max_length=400, blank=True, help_text="Why there is no likeness.")

    bleed = models.FloatField(
        null=True,
        help_text="How far prompts without the trigger moved towards the actor, in percent of the way there.",
    )
    bleed_low = models.FloatField(null=True)
    bleed_high = models.FloatField(null=True)
    bleed_pictures = models.PositiveIntegerField(default=0)
    bleed_reason = models.CharField(max_length=400, blank=True, help_text="Why there is no bleed.")

    scorer = models.CharField(max_length=100, blank=True, help_text="Name and version of what measured.")
    measured_on = models.CharField(max_length=400, blank=True, help_text="Which pictures, in words.")
    dataset_revision = models.ForeignKey(
        "actors.DatasetRevision", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    yardstick = models.CharField(
        max_length=64, blank=True, help_text="Hash of the training images: scores of one yardstick compare."
    )
    inputs = models.CharField(max_length=64, blank=True, help_text="Hash of everything that was looked at.")
    at = models.DateTimeField(default=timezone.now)
    retry_at = models.DateTimeField(
        null=True, blank=True, db_index=True, help_text="When the object store is asked again."
    )

    class Meta:
        app_label = "training"
        constraints = [
            models.CheckConstraint(condition=Q(value__isnull=False) | ~Q(reason=""), name="score_or_reason")
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.words}"

    @property
    def is_measured(self) -> bool:
        """Whether there is a likeness."""
        return self.value is not None

    @property
    def spread(self) -> float | None:
        """Half of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def bleed_spread(self) -> float | None:
        """Half of the bleed's interval."""
        if self.bleed_low is None or self.bleed_high is None:
            return None
        return (self.bleed_high - self.bleed_low) / 2

    @property
    def words(self) -> str:
        """``91 % ± 4``."""
        return spoken(self.value, self.spread) or "can't be measured"

    @property
    def bleed_words(self) -> str:
        """``3 % ± 2``, or that there is none to see."""
        return spoken(self.bleed, self.bleed_spread)


def spoken(value: float | None, spread: float | None) -> str:
    """A percentage with its spread as people read it, from 0 to 100; empty without a value."""
    if value is None:
        return ""
    return f"{min(100.0, max(0.0, value)):.0f} %" + (f" ± {spread:.0f}" if spread is not None else "")


def unscored(versions: models.QuerySet[Any]) -> models.QuerySet[Any]:
    """Completed versions with pictures that nobody has measured, or not since a preview ended.

    Also those whose pictures were out of reach when they were looked at. Previews are looked at for a week:
    what was lost is found within a minute, and a studio has many.
    """
    now = timezone.now()
    samples = SampleImage.objects.filter(version=OuterRef("pk"))
    drawn = PreviewImage.objects.filter(preview__version=OuterRef("pk")).exclude(url="")
    newer = Preview.objects.filter(finished_at__gte=now - LOOK_BACK, finished_at__gt=F("version__score__at"))
    due = VersionScore.objects.filter(retry_at__lte=now)
    return versions.filter(status=Status.COMPLETED).filter(
        Q(Exists(samples) | Exists(drawn), score=None)
        | Q(pk__in=newer.values("version"))
        | Q(pk__in=due.values("version"))
    )
