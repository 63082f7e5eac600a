"""Batches as the API shows and takes them."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from rest_framework import serializers

from actors.serializers import one_line
from training.batch_events import BatchEvent
from training.batch_models import MOST_ACTORS, MOST_AT_ONCE, Batch, BatchItem, ItemState, Order
from training.planning_models import Asked, Planning
from training.serializers import MAX_ID, PersonField


def known_zone(name: str) -> None:
    """An IANA name."""
    if name not in available_timezones():
        raise serializers.ValidationError("This is no time zone. Write it like Europe/Berlin.")


SETTINGS = (
    "name",
    "preset",
    "parameters",
    "concurrency",
    "ceiling",
    "order",
    "starts_at",
    "stops_at",
    "daily_from",
    "daily_until",
    "time_zone",
    "good_threshold",
)


class SettingsSerializer(serializers.ModelSerializer[Batch]):
    """How a batch is trained, and within which limits."""

    name = serializers.CharField(required=False, allow_blank=True, max_length=200, validators=[one_line])
    preset = serializers.CharField(required=False, max_length=40)
    parameters = serializers.DictField(
        required=False, help_text="Any of the eleven, for every actor, instead of the preset's."
    )
    concurrency = serializers.IntegerField(required=False, min_value=1, max_value=MOST_AT_ONCE)
    order = serializers.ChoiceField(Order.choices, required=False)
    ceiling = serializers.DecimalField(
        required=False,
        allow_null=True,
        max_digits=12,
        decimal_places=2,
        help_text="US dollars above 0, as text; launches that might cross it wait or pause the batch.",
    )
    time_zone = serializers.CharField(required=False, max_length=60, validators=[known_zone])
    good_threshold = serializers.FloatField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=100,
        help_text="From which score a version is marked good by itself; null: people decide. Needs curate.",
    )

    class Meta:
        model = Batch
        fields = SETTINGS

    def validate_ceiling(self, value: Any) -> Any:
        """A ceiling of nothing would be no batch."""
        if value is not None and value <= 0:
            raise serializers.ValidationError("The ceiling must be above 0, or null for none.")
        return value


class PlanningSerializer(serializers.ModelSerializer[Planning]):
    """What the task queue is asked to do with the actors of a batch, and how far it is."""

    asked = serializers.ChoiceField(
        Asked.choices, allow_blank=True, read_only=True, help_text="Empty once it is done."
    )

    class Meta:
        model = Planning
        fields = ("asked", "total", "looked", "ready", "trouble")
        read_only_fields = fields


class BatchSerializer(SettingsSerializer):
    """A batch, how far it is, and what it has cost."""

    planning = PlanningSerializer(read_only=True)

    counts = serializers.DictField(
        source="picture.counts", child=serializers.IntegerField(), read_only=True, help_text="Items by state."
    )
    committed = serializers.DecimalField(
        source="picture.committed",
        max_digits=12,
        decimal_places=4,
        read_only=True,
        help_text="US dollars spent, and reserved for what trains now.",
    )
    created_by = PersonField(source="created_by.username")
    begun_by = PersonField(source="begun_by.username")

    class Meta:
        model = Batch
        fields = (
            "id",
            *SETTINGS,
            "state",
            "planning",
            "note",
            "counts",
            "committed",
            "created_by",
            "created_at",
            "planned_at",
            "begun_by",
            "begun_at",
            "ended_at",
        )
        read_only_fields = tuple(set(fields) - set(SETTINGS))


class ChoiceSerializer(SettingsSerializer):
    """Which actors, and how. One of ``actors``, ``fit_without_good`` and ``query`` is needed."""

    actors = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=MAX_ID),
        max_length=MOST_ACTORS,
        required=False,
        help_text="Registry ids, in the order in which they are to be trained.",
    )
    fit_without_good = serializers.BooleanField(
        default=False,
        help_text="Everyone who can train, has no good version and none that waits for a decision.",
    )
    query = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=2000,
        help_text="The library's filters: sex=male&state=fit",
    )

    class Meta:
        model = Batch
        fields = ("actors", "fit_without_good", "query", *SETTINGS)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One way to choose."""
        if ("actors" in attrs) + attrs["fit_without_good"] + ("query" in attrs) != 1:
            raise serializers.ValidationError({"actors": ["Send one of actors, fit_without_good and query."]})
        return attrs


class NewBatchSerializer(ChoiceSerializer):
    """A plan; with ``begin`` it runs by itself once it is made."""

    begin = serializers.BooleanField(default=False, help_text="Whether it begins as soon as it is planned.")

    class Meta:
        model = Batch
        fields = (*ChoiceSerializer.Meta.fields, "begin")


class ItemSerializer(serializers.ModelSerializer[BatchItem]):
    """One actor of a batch."""

    state = serializers.ChoiceField(ItemState.choices, read_only=True)

    class Meta:
        model = BatchItem
        fields = (
            "actor",
            "position",
            "state",
            "reason",
            "image_count",
            "parameters",
            "own_values",
            "seconds",
            "cost",
            "version",
            "attempts",
            "reserved",
            "spent",
            "judged_at",
        )
        read_only_fields = fields


class ItemChangeSerializer(serializers.Serializer[Any]):
    """What a person says about one actor of a plan."""

    own_values = serializers.DictField(
        required=False,
        help_text="Any of the eleven, for this actor, over the batch's; an empty object takes them back.",
    )
    left_out = serializers.BooleanField(required=False, help_text="Whether it is not to be trained.")


class PlannedItemSerializer(serializers.ModelSerializer[BatchItem]):
    """What a plan says about an actor: ``planned``, or ``blocked`` with the reason."""

    class Meta:
        model = BatchItem
        fields = ("actor", "position", "state", "reason", "image_count", "parameters", "seconds", "cost")
        read_only_fields = fields


class BatchPlanSerializer(serializers.Serializer[Any]):
    """A plan that is not kept."""

    ready = serializers.IntegerField(help_text="How many can start.")
    blocked = serializers.IntegerField(help_text="How many can't.")
    seconds = serializers.FloatField(help_text="Of training, one after another.")
    cost = serializers.DecimalField(
        max_digits=14,
        decimal_places=4,
        allow_null=True,
        help_text="US dollars expected; null without a price.",
    )
    items = PlannedItemSerializer(many=True)


class BatchEventSerializer(serializers.ModelSerializer[BatchEvent]):
    """One line of the timeline."""

    by = PersonField(source="by.username")

    class Meta:
        model = BatchEvent
        fields = ("at", "message", "by")
