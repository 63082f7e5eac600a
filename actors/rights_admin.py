"""Likeness rights and letters in the admin, to look at: rights are recorded on each actor's page."""

from __future__ import annotations

from django.contrib import admin

from actors.admin_parts import AdminsHistoryAdmin, HistoryAdmin, ReadOnlyAdmin
from actors.models import Letter, LikenessRights, RightsPolicy


@admin.register(LikenessRights)
class LikenessRightsAdmin(ReadOnlyAdmin, HistoryAdmin):
    """Rows, and their history."""

    list_display = ("actor", "basis", "valid_from", "expires_on", "document_name", "updated_by", "updated_at")
    list_filter = ("basis",)
    search_fields = ("=actor__id", "actor__name", "reference")
    list_select_related = ("actor", "updated_by")
    date_hierarchy = "expires_on"
    exclude = ("document",)


@admin.register(RightsPolicy)
class RightsPolicyAdmin(ReadOnlyAdmin, AdminsHistoryAdmin):
    """The studio's rule, and who switched it when."""

    list_display = ("__str__", "updated_by", "updated_at")
    list_select_related = ("updated_by",)


@admin.register(Letter)
class LetterAdmin(ReadOnlyAdmin):
    """What was sent to whom."""

    list_display = ("subject", "to", "written_at", "sent_at")
    search_fields = ("subject",)
