"""How this studio previews."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class PreviewSettings(models.Model):
    """How this studio previews: one row."""

    automatic = models.BooleanField(
        default=True,
        verbose_name="draw the standard set for every completed version",
        help_text="Once per version, by itself. Each preview costs a short job on the endpoint.",
    )
    with_base = models.BooleanField(
        default=True,
        verbose_name="and the same with the base alone",
        help_text="Every prompt is drawn at strength 0 too, so that bleed can be measured.",
    )
    keep_checkpoints = models.BooleanField(
        default=True,
        verbose_name="keep the LoRA of the steps in between",
        help_text="For grids of strength and checkpoint. Each takes as much room as the finished LoRA.",
    )
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "training"
        verbose_name_plural = "preview settings"
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_row_of_preview_settings")]

    def __str__(self) -> str:
        return "Preview settings"

    @classmethod
    def current(cls) -> PreviewSettings:
        """The studio's settings; the defaults until somebody has saved others."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)
