"""Batches in the admin: to look at. What can be done with one stands on its own page."""

from __future__ import annotations

from django.contrib import admin

from actors.admin_parts import ReadOnlyAdmin
from training.models import Batch


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    """Limits and state; "View on site" leads to the actors."""

    list_display = ("name", "state", "concurrency", "ceiling", "created_by", "begun_at", "ended_at")
    list_filter = ("state",)
    search_fields = ("name",)
    list_select_related = ("created_by",)
