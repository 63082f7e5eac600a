"""What the admin pages of both apps share."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.paginator import Paginator
from django.db import connection
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from simple_history.admin import SimpleHistoryAdmin

from actors.models import TrainingImage
from actors.permissions import check


class EstimatedPaginator(Paginator):  # type: ignore[type-arg]  # not subscriptable at run time
    """Asks PostgreSQL's statistics for the size of a whole table, instead of counting every row."""

    @cached_property
    def count(self) -> int:
        """Exact for filtered lists, small tables and SQLite."""
        queryset: Any = self.object_list
        if connection.vendor == "postgresql" and not queryset.query.where:
            with connection.cursor() as cursor:
                table = queryset.model._meta.db_table
                cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", [table])
                row = cursor.fetchone()
            if row and row[0] > 10_000:
                return int(row[0])
        return int(super().count)


class HistoryAdmin(SimpleHistoryAdmin):  # type: ignore[misc]  # simple_history has no types
    """The history with its differences; nothing is reverted from here, verbs change things back."""

    object_history_list_template = "admin/history_list.html"
    show_full_result_count = False
    paginator = EstimatedPaginator
    list_per_page = 50

    def revert_disabled(self, request: Any, obj: Any = None) -> bool:
        """An old row written back would go around every rule that the verbs keep."""
        return True


class AdminsHistoryAdmin(HistoryAdmin):
    """The same for rows that only admins may see: whether a row exists is none of a curator's business."""

    def history_view(self, request: Any, object_id: str, extra_context: Any = None) -> Any:
        """Refused before the row is looked for."""
        check(request.user, "admin")
        return super().history_view(request, object_id, extra_context)

    def history_form_view(
        self, request: Any, object_id: str, version_id: str, extra_context: Any = None
    ) -> Any:
        """Refused before the row is looked for."""
        check(request.user, "admin")
        return super().history_form_view(request, object_id, version_id, extra_context)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Rows that only the site writes."""

    show_full_result_count = False
    paginator = EstimatedPaginator

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class ChoicesList(forms.TypedMultipleChoiceField):
    """Boxes to tick for a JSON list."""

    def __init__(self, choices: Any, **options: Any) -> None:
        super().__init__(choices=choices, widget=forms.CheckboxSelectMultiple, **options)


def thumbnail(image: TrainingImage | None) -> SafeString | str:
    """The small picture of an image, or a dash while there is none."""
    link = image.thumbnail_link() if image else ""
    if not link:
        return "–"
    return format_html('<img class="thumb" src="{}" alt="" loading="lazy" height="64">', link)
