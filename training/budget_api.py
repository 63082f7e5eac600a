"""The visitor's own budget for other systems."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from training import budgets


def money(**options: Any) -> serializers.DecimalField:
    """US dollars as text, so that no cent is rounded away."""
    return serializers.DecimalField(max_digits=12, decimal_places=4, **options)


class BudgetSerializer(serializers.Serializer[Any]):
    """A month in US dollars and trainings. A ceiling that is null does not limit."""

    month = serializers.DateField(help_text="Its first day, in the studio's time zone.")
    spent = money(help_text="What has ended.")
    reserved = money(help_text="Estimates of what runs or waits.")
    used = money(help_text="Both.")
    left = money(allow_null=True)
    dollars = money(source="ceiling.dollars", allow_null=True, help_text="The ceiling.")
    trainings = serializers.IntegerField()
    most_trainings = serializers.IntegerField(source="ceiling.trainings", allow_null=True)
    percent = serializers.IntegerField(help_text="Of the ceiling that is nearer; 0 without one.")
    rule_of = serializers.CharField(source="ceiling.whose", help_text="Whose rule it is; empty without one.")


class BudgetView(APIView):
    """The visitor's month."""

    @extend_schema(summary="My budget this month", responses=BudgetSerializer)
    def get(self, request: Request) -> Response:
        """A launch that would cross the ceiling is refused with 409, and its detail says so."""
        assert isinstance(request.user, User)  # the role was checked
        return Response(BudgetSerializer(budgets.usage_of(request.user)).data)
