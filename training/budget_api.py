"""Budgets for other systems: the visitor's own month, and for admins everybody's ceilings."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.filters import OrderingFilter
from rest_framework.mixins import CreateModelMixin, DestroyModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from actors.history import changing
from actors.rest import LockedUpdate, described, said_by
from training import budgets
from training.budget_models import BudgetRule


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


class BudgetRuleSerializer(serializers.ModelSerializer[BudgetRule]):
    """A ceiling for each month. With neither person nor role it is everybody's; the narrower rule counts."""

    person = serializers.SlugRelatedField[Any](
        source="user",
        slug_field="username",
        queryset=User.objects.filter(is_active=True),
        allow_null=True,
        default=None,
        help_text="The name they sign in with.",
        error_messages={"does_not_exist": "Nobody who is active signs in as {value}."},
    )
    role = serializers.SlugRelatedField[Any](
        source="group",
        slug_field="name",
        queryset=Group.objects.all(),
        allow_null=True,
        default=None,
        help_text="Of several roles of a person the widest counts.",
        error_messages={"does_not_exist": "There is no role {value}."},
    )
    whose = serializers.CharField(read_only=True, help_text="In words.")

    class Meta:
        model = BudgetRule
        fields = ("id", "person", "role", "whose", "dollars", "trainings", "updated_at")
        read_only_fields = ("id", "updated_at")
        extra_kwargs = {"trainings": {"min_value": 0, "max_value": 2_000_000_000}}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One rule for each, which stays with whom it is for."""
        whose = {name: attrs[name] for name in ("user", "group") if name in attrs}
        if self.instance is not None:
            if any(getattr(self.instance, name) != value for name, value in whose.items()):
                raise serializers.ValidationError(
                    {"whose": ["A rule stays with whom it is for: delete it and make another."]}
                )
        elif all(whose.values()):
            raise serializers.ValidationError({"role": ["Name a person or a role, not both."]})
        elif BudgetRule.objects.filter(**whose).exists():
            raise already(BudgetRule(**whose))
        return attrs


def already(rule: BudgetRule) -> exceptions.ValidationError:
    """There can be one for each."""
    return exceptions.ValidationError(
        {"whose": [f"There is a budget of {rule.whose} already: change that one."]}
    )


@described(
    "budget rule",
    examples={"Fifty dollars a month": {"dollars": "50.00", "trainings": None}},
    create="Make a budget rule",
)
class BudgetRuleViewSet(
    LockedUpdate, CreateModelMixin, DestroyModelMixin, viewsets.ReadOnlyModelViewSet[BudgetRule]
):
    """Ceilings of dollars and trainings a month: for everybody, a role, or one person."""

    queryset = BudgetRule.objects.select_related("user", "group")
    serializer_class = BudgetRuleSerializer
    filter_backends = (OrderingFilter,)
    ordering_fields = ("id",)
    ordering = ("id",)
    lookup_value_converter = "int"
    required_actions = dict.fromkeys(("list", "retrieve", "create", "partial_update", "destroy"), "admin")

    def write(self, serializer: serializers.ModelSerializer[Any]) -> object:
        """A change is history."""
        with changing(said_by(self.request)):
            return serializer.save()

    def perform_create(self, serializer: Any) -> None:
        """Of two at once one is told that there is a rule by now."""
        try:
            with transaction.atomic():
                self.write(serializer)
        except IntegrityError as error:
            raise already(BudgetRule(**serializer.validated_data)) from error

    @extend_schema(summary="Delete a budget rule", responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """The wider rule counts again."""
        with changing(said_by(request)):
            self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
