"""Previews in the admin, to look at: they begin, end and go by their pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from actors.admin_parts import ReadOnlyAdmin
from training.models import Checkpoint, Preview, PreviewImage, PreviewSettings, PromptSet


class PreviewImageInline(admin.TabularInline):  # type: ignore[type-arg]
    """The pictures of a preview."""

    model = PreviewImage
    fields = ("position", "prompt", "seed", "strength", "steps", "checkpoint_step", "drawn_at")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        """They come with their order."""
        return False


@admin.register(Preview)
class PreviewAdmin(ReadOnlyAdmin):
    """One generation job each."""

    list_display = ("__str__", "status", "automatic", "created_by", "created_at", "cost_usd", "error")
    list_filter = ("status", "automatic")
    search_fields = ("title", "=job_id", "=version__actor__id", "version__actor__name")
    list_select_related = ("version__actor", "created_by")
    inlines = (PreviewImageInline,)


@admin.register(PromptSet)
class PromptSetAdmin(ReadOnlyAdmin):
    """Edited on their own pages, which read prompts line by line."""

    list_display = ("name", "subject", "is_standard", "created_by", "updated_at")
    list_filter = ("subject",)
    search_fields = ("name", "description")
    list_select_related = ("created_by",)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    """LoRAs of the steps in between."""

    list_display = ("version", "step", "size_bytes")
    search_fields = ("=version__actor__id", "version__actor__name")
    list_select_related = ("version__actor",)


@admin.register(PreviewSettings)
class PreviewSettingsAdmin(ReadOnlyAdmin):
    """Switched on the page of the prompt sets."""

    list_display = ("__str__", "automatic", "with_base", "keep_checkpoints", "updated_by", "updated_at")
