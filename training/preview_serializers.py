"""Previews and prompt sets, as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from training.models import Preview, PreviewImage, PromptSet
from training.previews import COUNT_MOST, STEPS_MOST, STRENGTH_MOST
from training.prompt_sets import LINES_MOST, PROMPT_LONGEST, SEED_MOST
from training.serializers import MAX_ID, PersonField


class PromptLineSerializer(serializers.Serializer[Any]):
    """A prompt and the seed of its first picture."""

    prompt = serializers.CharField(max_length=PROMPT_LONGEST, help_text="{trigger} is the trigger token.")
    seed = serializers.IntegerField(min_value=0, max_value=SEED_MOST)


class PromptSetSerializer(serializers.ModelSerializer[PromptSet]):
    """Prompts with fixed seeds, shared by the studio."""

    lines = serializers.ListField(
        child=PromptLineSerializer(), allow_empty=False, max_length=LINES_MOST, help_text="Each line once."
    )
    created_by = PersonField(source="created_by.username")

    class Meta:
        model = PromptSet
        fields = (
            "id",
            "name",
            "description",
            "subject",
            "lines",
            "is_standard",
            "created_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "is_standard", "created_at", "updated_at")

    def validate_lines(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """No line twice."""
        for number, line in enumerate(value, 1):
            if line in value[: number - 1]:
                raise serializers.ValidationError(f"Line {number} is there twice, with the same seed.")
        return [dict(line) for line in value]

    def validate_subject(self, value: str) -> str:
        """The standard set stays with its subject."""
        if self.instance is not None and self.instance.is_standard and value != self.instance.subject:
            raise serializers.ValidationError(
                "This is the standard set: make another one the standard first."
            )
        return value


class PreviewImageSerializer(serializers.ModelSerializer[PreviewImage]):
    """One picture. ``link`` is signed and empty until it is drawn."""

    link = serializers.CharField(read_only=True)

    class Meta:
        model = PreviewImage
        fields = (
            "id",
            "position",
            "prompt",
            "with_trigger",
            "seed",
            "strength",
            "steps",
            "checkpoint_step",
            "url",
            "link",
            "drawn_at",
        )
        read_only_fields = fields


class PreviewSerializer(serializers.ModelSerializer[Preview]):
    """A generation job of one version, and its pictures."""

    actor = serializers.IntegerField(source="version.actor_id", read_only=True)
    images = PreviewImageSerializer(many=True, read_only=True)
    created_by = PersonField(source="created_by.username")

    class Meta:
        model = Preview
        fields = (
            "id",
            "version",
            "actor",
            "title",
            "prompt_set",
            "automatic",
            "status",
            "error",
            "stage",
            "job_id",
            "images",
            "execution_ms",
            "cost_usd",
            "created_by",
            "created_at",
            "submitted_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields


class PreviewOrderSerializer(serializers.Serializer[Any]):
    """What to draw: a prompt set, or one prompt and its seed; without either the standard set."""

    version = serializers.IntegerField(min_value=1, max_value=MAX_ID)
    prompt_set = serializers.IntegerField(required=False, min_value=1, max_value=MAX_ID)
    prompt = serializers.CharField(required=False, max_length=PROMPT_LONGEST)
    seed = serializers.IntegerField(default=1, min_value=0, max_value=SEED_MOST)
    strengths = serializers.ListField(
        child=serializers.FloatField(min_value=0, max_value=STRENGTH_MOST),
        default=lambda: [1.0],
        min_length=1,
        max_length=8,
        help_text="0 is the base alone.",
    )
    checkpoints = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=2**31 - 1, allow_null=True),
        default=lambda: [None],
        min_length=1,
        max_length=16,
        help_text="Training steps whose LoRA was kept; null is the finished one.",
    )
    steps = serializers.IntegerField(
        required=False, min_value=1, max_value=STEPS_MOST, help_text="The base model's own when left out."
    )
    count = serializers.IntegerField(
        default=1, min_value=1, max_value=COUNT_MOST, help_text="Pictures of each, by rising seeds."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Not both."""
        if "prompt_set" in attrs and "prompt" in attrs:
            raise serializers.ValidationError({"prompt": ["Send prompt_set or prompt, not both."]})
        return attrs


class CheckedPreviewSerializer(serializers.Serializer[Any]):
    """What "Check status" found."""

    changed = serializers.BooleanField()
    preview = PreviewSerializer()
