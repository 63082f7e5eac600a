"""Actors, datasets and images as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from actors.edits import MAX_CAPTION
from actors.models import Actor, TrainingDataset, TrainingImage, Verdict


def one_line(text: str) -> None:
    """Names stand in file names, prompts and lists."""
    if any(ord(char) < 32 for char in text):
        raise serializers.ValidationError("Must be one line, without control characters.")


class ActorSerializer(serializers.ModelSerializer[Actor]):
    """An actor with what a list needs to know about dataset and good version."""

    images = serializers.IntegerField(read_only=True, help_text="Images that trainings include.")
    synced_images = serializers.IntegerField(read_only=True, help_text="Those the object store has.")
    good_version = serializers.SerializerMethodField()
    verdict = serializers.ChoiceField(
        Verdict.choices, read_only=True, help_text="Whether a training on the dataset makes sense."
    )

    class Meta:
        model = Actor
        fields = (
            "id",
            "name",
            "age",
            "sex",
            "ethnicity",
            "description",
            "position",
            "images",
            "synced_images",
            "verdict",
            "good_version",
            "retired_at",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "position", "retired_at", "created_at", "updated_at")
        extra_kwargs = {"name": {"validators": [one_line]}}

    @extend_schema_field({"type": "string", "nullable": True, "example": "V3"})
    def get_good_version(self, actor: Actor) -> str | None:
        """The name of the good version."""
        good = next((version for version in actor.versions.all() if version.is_good), None)
        return good.name if good else None

    def validate_name(self, name: str) -> str:
        """Names are unique."""
        others = Actor.objects.filter(name=name)
        if self.instance is not None:
            others = others.exclude(pk=self.instance.pk)
        if holder := others.values_list("pk", flat=True).first():
            raise serializers.ValidationError(f"Actor {holder} has this name already.")
        return name

    def create(self, validated_data: dict[str, Any]) -> Actor:
        """New actors stand last in ``actors.json``."""
        return Actor.objects.register(**validated_data)


class ImageSerializer(serializers.ModelSerializer[TrainingImage]):
    """A training image; caption, notes, order and whether it counts can be changed."""

    actor = serializers.IntegerField(source="dataset.actor_id", read_only=True)
    link = serializers.CharField(
        read_only=True, help_text="A signed link that expires; empty when out of reach."
    )
    findings = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta:
        model = TrainingImage
        fields = (
            "id",
            "actor",
            "position",
            "file_name",
            "url",
            "link",
            "state",
            "included",
            "caption",
            "notes",
            "width",
            "height",
            "size_bytes",
            "sha256",
            "findings",
            "accepted",
            "checked_at",
            "inspected_at",
            "created_at",
            "updated_at",
        )
        read_only_fields = tuple(set(fields) - {"included", "caption", "notes", "position"})
        extra_kwargs = {"caption": {"max_length": MAX_CAPTION}, "notes": {"max_length": 10_000}}


class DatasetSerializer(serializers.ModelSerializer[TrainingDataset]):
    """The dataset of an actor, as far as it is more than its images."""

    images = serializers.SerializerMethodField()
    synced_images = serializers.SerializerMethodField()
    fingerprint = serializers.CharField(read_only=True, help_text="Equal datasets have equal fingerprints.")
    warnings = serializers.ListField(source="claim_warnings", child=serializers.CharField(), read_only=True)
    findings = serializers.ListField(
        child=serializers.DictField(),
        read_only=True,
        help_text="Of the set as a whole; those of an image are with the image.",
    )

    class Meta:
        model = TrainingDataset
        fields = (
            "kind",
            "local_path",
            "images",
            "synced_images",
            "verdict",
            "findings",
            "inspected_at",
            "synced_at",
            "fingerprint",
            "warnings",
            "updated_at",
        )
        read_only_fields = ("verdict", "inspected_at", "synced_at", "updated_at")

    def get_images(self, dataset: TrainingDataset) -> int:
        """How many images trainings include."""
        return len(dataset.included_images())

    def get_synced_images(self, dataset: TrainingDataset) -> int:
        """How many of these a training can read."""
        return len(dataset.trainable_images())


class PlanSerializer(serializers.Serializer[Any]):
    """What an import would do, or did."""

    dry_run = serializers.BooleanField()
    created = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    lines = serializers.ListField(child=serializers.CharField(), help_text="At most 1,000, for people.")


class MeSerializer(serializers.Serializer[Any]):
    """Who asks."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    may = serializers.ListField(child=serializers.CharField(), help_text="view, train, curate, admin")
    scopes = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="Of the token in use; null without one."
    )
