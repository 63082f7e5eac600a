"""Budgets on pages: everybody sees their own month, admins everybody's, and change the ceilings."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from actors import studio_time
from actors.history import changing
from actors.permissions import can, requires, signed_in_only
from actors.requests import PageRequest
from actors.undo import done
from training import budgets, costs
from training.budget_models import BudgetEntry, BudgetMonth, BudgetRule
from training.models import Preview, TrainingVersion

#: Entries of a month that one page shows, the newest first.
MOST_ENTRIES = 200


@never_cache
@require_safe
@signed_in_only
def own(request: PageRequest) -> HttpResponse:
    """The visitor's month: what is left, and what it went to."""
    months = BudgetMonth.objects.filter(user=request.user)
    usage = budgets.usage_of(request.user)
    entries = list(
        BudgetEntry.objects.filter(month__user=request.user, month__month=usage.month)[:MOST_ENTRIES]
    )
    named = {kind: [entry.object_id for entry in entries if entry.kind == kind] for kind in BudgetEntry.Kind}
    trainings = TrainingVersion.objects.filter(pk__in=named[BudgetEntry.Kind.TRAINING])
    drawn = Preview.objects.filter(pk__in=named[BudgetEntry.Kind.PREVIEW])
    there = {
        (str(kind), pk): reverse(kind.value, args=[pk])
        for kind, rows in ((BudgetEntry.Kind.TRAINING, trainings), (BudgetEntry.Kind.PREVIEW, drawn))
        for pk in rows.values_list("pk", flat=True)
    }
    context = {
        "usage": usage,
        "priced": costs.price() is not None,
        "entries": [(entry, there.get((entry.kind, entry.object_id))) for entry in entries],
        "former": months.exclude(month=usage.month)[:12],
        "begins": studio_time.next_month(usage.month),
        "may_administer": can(request.user, "admin"),
    }
    return render(request, "account/budget.html", context)


class RuleForm(forms.Form):
    """Whose ceiling, and how much; both empty lifts it."""

    whose = forms.ChoiceField(label="For")
    dollars = forms.DecimalField(
        label="Dollars a month", required=False, min_value=0, max_digits=10, decimal_places=2
    )
    trainings = forms.IntegerField(
        label="Trainings a month", required=False, min_value=0, max_value=2_000_000_000
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        people = User.objects.filter(is_active=True).order_by("username")
        self.fields["whose"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            ("everybody", "Everybody"),
            ("Roles", [(f"role-{group.pk}", group.name) for group in Group.objects.order_by("name")]),
            ("People", [(f"person-{person.pk}", person.get_username()) for person in people]),
        ]

    def rule(self) -> BudgetRule:
        """The rule of whom the form names, as it is or new."""
        kind, _, key = self.cleaned_data["whose"].partition("-")
        whose = {
            "user_id": int(key) if kind == "person" else None,
            "group_id": int(key) if kind == "role" else None,
        }
        return BudgetRule.objects.filter(**whose).first() or BudgetRule(**whose)

    def write(self, by: User) -> str:
        """Sets the ceiling; what has changed, for people."""
        rule = self.rule()
        rule.dollars, rule.trainings = self.cleaned_data["dollars"], self.cleaned_data["trainings"]
        rule.full_clean()
        with changing(by):
            rule.save()
        return f"Changed: the budget of {rule.whose}."


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@requires("admin")
def all_budgets(request: PageRequest) -> HttpResponse:
    """Everybody's month, and the rules; POST sets or removes one."""
    form = RuleForm(request.POST if "whose" in request.POST else None)
    if request.method == "POST" and "remove" in request.POST:
        return remove(request)
    if request.method == "POST" and form.is_valid():
        try:
            messages.success(request, form.write(request.user))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect("budgets")
    month = studio_time.this_month()
    rules = BudgetRule.objects.select_related("user", "group").order_by("user__username", "group__name")
    context = {
        "form": form,
        "month": month,
        "people": budgets.usages(month),
        "rules": sorted(rules, key=lambda rule: (bool(rule.user_id), bool(rule.group_id))),
        "priced": costs.price() is not None,
    }
    return render(request, "training/budgets.html", context, status=400 if form.errors else 200)


def key_of(rule: BudgetRule) -> str:
    """Whom a rule is for, as the form's choice."""
    if rule.user_id:
        return f"person-{rule.user_id}"
    return f"role-{rule.group_id}" if rule.group_id else "everybody"


def remove(request: PageRequest) -> HttpResponse:
    """Takes a rule away: the wider one counts again."""
    key = request.POST.get("remove", "")
    rule = BudgetRule.objects.filter(pk=int(key)).first() if key.isdecimal() and len(key) < 19 else None
    if rule is None:
        messages.error(request, "That rule is gone already.")
    else:
        removed = f"Removed: the budget of {rule.whose}. The wider rule counts again."
        again = {"whose": key_of(rule), "dollars": rule.dollars, "trainings": rule.trainings}
        with changing(request.user):
            rule.delete()
        fields = {name: "" if value is None else str(value) for name, value in again.items()}
        done(request, removed, reverse("budgets"), **fields)
    return redirect("budgets")
