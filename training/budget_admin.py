"""Budgets in the admin: rules to change, the ledger to look at."""

from __future__ import annotations

from django.contrib import admin

from actors.admin_parts import AdminsHistoryAdmin, ReadOnlyAdmin
from training.models import BudgetEntry, BudgetMonth, BudgetRule


@admin.register(BudgetRule)
class BudgetRuleAdmin(AdminsHistoryAdmin):
    """Ceilings a month: for everybody (neither person nor role), a role, or a person."""

    list_display = ("whose", "dollars", "trainings", "updated_at")
    list_select_related = ("user", "group")
    autocomplete_fields = ("user",)
    search_fields = ("user__username", "group__name")


@admin.register(BudgetMonth)
class BudgetMonthAdmin(ReadOnlyAdmin):
    """Sums, written from the entries."""

    list_display = ("user", "month", "spent", "reserved", "trainings", "warned")
    list_filter = ("month",)
    search_fields = ("user__username",)
    list_select_related = ("user",)


@admin.register(BudgetEntry)
class BudgetEntryAdmin(ReadOnlyAdmin):
    """What was reserved and settled."""

    list_display = ("label", "kind", "month", "reserved", "spent", "counts", "created_at", "settled_at")
    list_filter = ("kind", "month__month")
    search_fields = ("label", "month__user__username")
    list_select_related = ("month__user",)
