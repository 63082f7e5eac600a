"""Scores in the admin, to look at and to have measured again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actors.admin_parts import ReadOnlyAdmin
from actors.permissions import can
from training.models import VersionScore
from training.score_queue import measure_later


class MeasuredFilter(admin.SimpleListFilter):
    """With a number, or with the reason why there is none."""

    title = "likeness"
    parameter_name = "measured"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Two answers."""
        return [("yes", "Measured"), ("no", "Can't be measured")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the number itself."""
        if self.value() in ("yes", "no"):
            return queryset.filter(value__isnull=self.value() == "no")
        return queryset


@admin.register(VersionScore)
class VersionScoreAdmin(ReadOnlyAdmin):
    """What was measured of each version, on what, and when."""

    list_display = ("__str__", "likeness", "bled", "pictures", "scorer", "at", "page")
    list_filter = (MeasuredFilter, "scorer")
    search_fields = ("=version__actor__id", "version__actor__name", "version__name")
    list_select_related = ("version__actor",)
    actions = ("measure_again",)
    readonly_fields = ("page", "in_admin")

    @admin.display(description="likeness", ordering="value")
    def likeness(self, score: VersionScore) -> str:
        """``91 % ± 4``, or why there is none."""
        return score.words if score.is_measured else score.reason

    @admin.display(description="bleed", ordering="bleed")
    def bled(self, score: VersionScore) -> str:
        """``3 % ± 2``."""
        return score.bleed_words or "–"

    @admin.display(description="on the site")
    def page(self, score: VersionScore) -> SafeString:
        """Where people see it beside the pictures."""
        address = reverse("versions", args=[score.version.actor_id])
        return format_html('<a href="{}">versions of {}</a>', address, score.version.actor.number)

    @admin.display(description="version in the admin")
    def in_admin(self, score: VersionScore) -> SafeString:
        """What was measured."""
        address = reverse("admin:training_trainingversion_change", args=[score.version_id])
        return format_html('<a href="{}">{}</a>', address, score.version)

    def has_measure_permission(self, request: HttpRequest) -> bool:
        """Who may have it measured on the site."""
        return can(request.user, "curate")

    @admin.action(description="Measure again", permissions=["measure"])
    def measure_again(self, request: HttpRequest, scores: QuerySet[VersionScore]) -> None:
        """By task, against the datasets as they are now."""
        chosen = list(scores.values_list("version", flat=True))
        for pk in chosen:
            measure_later(pk)
        versions = "1 version is" if len(chosen) == 1 else f"{len(chosen)} versions are"
        self.message_user(request, f"{versions} being measured. Load the page again in a moment.")
