"""Training versions and what belongs to them, as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from actors.serializers import one_line
from training.base_models import DEFAULT_PRESET
from training.models import PresetRevision, SampleImage, TrainingEvent, TrainingVersion, VersionScore

MAX_ID = 2**63 - 1


class PersonField(serializers.CharField):
    """A login name; null where no person did it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default=None, allow_null=True, read_only=True, **options)


class ScoreSerializer(serializers.ModelSerializer[VersionScore]):
    """How like its actor a version draws, in percent; ``value`` is null when it can't be measured.

    100 is as near to the training images as these are to each other, 0 is a stranger.
    """

    dataset_revision = serializers.StringRelatedField[Any](
        read_only=True, allow_null=True, help_text="r1, r2, …"
    )

    class Meta:
        model = VersionScore
        fields = (
            "value",
            "low",
            "high",
            "pictures",
            "compared_with",
            "reason",
            "bleed",
            "bleed_low",
            "bleed_high",
            "bleed_pictures",
            "bleed_reason",
            "scorer",
            "measured_on",
            "dataset_revision",
            "at",
        )
        read_only_fields = fields


class PresetUsedSerializer(serializers.Serializer[PresetRevision]):
    """The preset that a version's parameters come from."""

    key = serializers.CharField(source="preset.name")
    revision = serializers.IntegerField(source="number")


class VersionSerializer(serializers.ModelSerializer[TrainingVersion]):
    """A training version. People change its name and description; everything else happens to it."""

    parameters = serializers.DictField(read_only=True)
    progress = serializers.FloatField(source="progress_fraction", read_only=True, help_text="0 to 1")
    lora_url = serializers.CharField(source="lora_address", read_only=True)
    preset = PresetUsedSerializer(source="preset_revision", read_only=True, allow_null=True)
    score = ScoreSerializer(read_only=True, allow_null=True, default=None, help_text="Null until measured.")
    cost_usd = serializers.DecimalField(
        max_digits=12,
        decimal_places=4,
        read_only=True,
        allow_null=True,
        help_text="US dollars that it was billed. Null before its end, and where nothing had a price.",
    )
    preview_cost_usd = serializers.DecimalField(
        max_digits=12,
        decimal_places=4,
        read_only=True,
        allow_null=True,
        help_text="Of all its previews that have ended.",
    )
    good_by = serializers.CharField(source="good_by.username", default=None, allow_null=True, read_only=True)
    created_by = serializers.CharField(
        source="created_by.username", default=None, allow_null=True, read_only=True
    )

    class Meta:
        model = TrainingVersion
        fields = (
            "id",
            "actor",
            "number",
            "public_id",
            "name",
            "description",
            "status",
            "error",
            "base_model",
            "seed",
            "parameters",
            "image_count",
            "dataset_fingerprint",
            "preset",
            "preset_edited",
            "repeats",
            "job_id",
            "stage",
            "step",
            "progress",
            "lora_url",
            "lora_name",
            "lora_bytes",
            "score",
            "cost_usd",
            "preview_cost_usd",
            "is_good",
            "good_at",
            "good_by",
            "good_reason",
            "created_by",
            "created_at",
            "submitted_at",
            "started_at",
            "finished_at",
            "updated_at",
        )
        read_only_fields = tuple(set(fields) - {"name", "description"})
        extra_kwargs = {"name": {"validators": [one_line], "allow_blank": False}}


PRESET_KEY = "A key of /api/presets."


class LaunchSerializer(serializers.Serializer[Any]):
    """What to train. Parameters that are left out are the recommended ones for the dataset."""

    actor = serializers.IntegerField(min_value=0, max_value=MAX_ID)
    preset = serializers.CharField(default=DEFAULT_PRESET, max_length=40, help_text=PRESET_KEY)
    parameters = serializers.DictField(default=dict, help_text="Any of the eleven, by name.")
    description = serializers.CharField(default="", allow_blank=True, max_length=10_000)


class AdjustSerializer(serializers.Serializer[Any]):
    """What to recommend for: an actor's dataset, or a number of images."""

    actor = serializers.IntegerField(min_value=0, max_value=MAX_ID, required=False)
    image_count = serializers.IntegerField(min_value=0, max_value=100_000, required=False)
    preset = serializers.CharField(default=DEFAULT_PRESET, max_length=40, help_text=PRESET_KEY)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two is needed."""
        if "actor" not in attrs and "image_count" not in attrs:
            raise serializers.ValidationError({"actor": ["Name an actor, or an image_count."]})
        return attrs


class EstimateRequestSerializer(AdjustSerializer):
    """Parameters that are left out are the recommended ones."""

    parameters = serializers.DictField(default=dict, help_text="Any of the eleven, by name.")


class AdjustedSerializer(serializers.Serializer[Any]):
    """Recommended parameters, and what to mind."""

    parameters = serializers.DictField()
    warnings = serializers.ListField(child=serializers.CharField())


class EstimateSerializer(serializers.Serializer[Any]):
    """How long the run will take, without the queue."""

    seconds = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    source = serializers.ChoiceField(["rule", "learned"])  # type: ignore[assignment]  # the API's word
    runs = serializers.IntegerField(help_text="Finished trainings it was learned from.")
    explanation = serializers.CharField()


class PresetSerializer(serializers.Serializer[Any]):
    """A choice between time and likeness."""

    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the API's word
    description = serializers.CharField()
    revision = serializers.IntegerField(help_text="Each edit of a preset is a revision that stays.")
    steps = serializers.FloatField(help_text="Factor on the recommended steps.")
    learning_rate = serializers.FloatField(help_text="Factor on the recommended learning rate.")
    warmup = serializers.FloatField(help_text="Share of the steps over which the learning rate rises.")
    fixed = serializers.DictField(help_text="Values that do not depend on the dataset, by parameter.")


class ParameterSpecSerializer(serializers.Serializer[Any]):
    """One of the eleven parameters and what it may be."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the API's word
    kind = serializers.ChoiceField(["float", "int", "choice", "text"])
    allowed = serializers.CharField()
    why = serializers.CharField()
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField())
    default = serializers.JSONField()


class PresetsSerializer(serializers.Serializer[Any]):
    """What this site trains, and what it allows."""

    base_model = serializers.CharField()
    presets = PresetSerializer(many=True)
    parameters = ParameterSpecSerializer(many=True)


class HealthSerializer(serializers.Serializer[Any]):
    """The endpoint in RunPod's own words."""

    endpoint = serializers.CharField()
    can_work = serializers.BooleanField(help_text="Whether a worker is there, or starting.")
    jobs = serializers.DictField(child=serializers.IntegerField())
    workers = serializers.DictField(child=serializers.IntegerField())


class ReasonSerializer(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(default="", allow_blank=True, max_length=10_000)


class CheckedSerializer(serializers.Serializer[Any]):
    """What looking at the job brought."""

    changed = serializers.BooleanField()
    version = VersionSerializer()


class EventSerializer(serializers.ModelSerializer[TrainingEvent]):
    """One line of the timeline."""

    by = PersonField(source="by.username")

    class Meta:
        model = TrainingEvent
        fields = ("at", "kind", "level", "message", "by")


class MetricsSerializer(serializers.Serializer[Any]):
    """Numbers of the run."""

    step = serializers.IntegerField()
    total_steps = serializers.IntegerField(allow_null=True)
    seconds_per_step = serializers.FloatField(allow_null=True)
    delay_ms = serializers.IntegerField(allow_null=True)
    execution_ms = serializers.IntegerField(allow_null=True)
    stages = serializers.ListField(child=serializers.DictField())
    loss_history = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()), help_text="Pairs of step and loss."
    )


class SampleSerializer(serializers.ModelSerializer[SampleImage]):
    """A picture drawn during training."""

    link = serializers.CharField(read_only=True, help_text="A signed link that expires.")

    class Meta:
        model = SampleImage
        fields = ("step", "prompt_index", "prompt", "seed", "url", "link")
