"""Previews and prompt sets for other systems."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import exceptions, status, viewsets
from rest_framework.decorators import action
from rest_framework.filters import OrderingFilter, SearchFilter
from rest_framework.mixins import CreateModelMixin, DestroyModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from actors.rest import Conflict, LockedUpdate, described, said_by
from training import preview_tasks, previews
from training.api import CONFLICT, IDEMPOTENCY_KEY, made_once
from training.models import Preview, PromptSet, TrainingVersion
from training.preview_models import PreviewStatus
from training.preview_serializers import (
    CheckedPreviewSerializer,
    PreviewOrderSerializer,
    PreviewSerializer,
    PromptSetSerializer,
)
from training.prompt_sets import PromptLine

ORDER = OpenApiExample(
    "A grid of strengths",
    value={
        "version": 7,
        "prompt": "portrait of {trigger}, smiling",
        "seed": 5,
        "strengths": [0, 0.5, 1],
        "count": 2,
    },
    request_only=True,
)


class PreviewFilters(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """Which previews, across versions."""

    version = filters.NumberFilter(field_name="version__id")
    actor = filters.NumberFilter(field_name="version__actor__id")
    status = filters.MultipleChoiceFilter(choices=PreviewStatus.choices)

    class Meta:
        model = Preview
        fields = ("automatic",)


@extend_schema_view(
    list=extend_schema(summary="List previews"), retrieve=extend_schema(summary="Read a preview")
)
class PreviewViewSet(viewsets.ReadOnlyModelViewSet[Preview]):
    """Pictures drawn with finished LoRAs."""

    queryset = Preview.objects.select_related("version", "created_by").prefetch_related("images")
    serializer_class = PreviewSerializer
    filter_backends = (filters.DjangoFilterBackend, SearchFilter, OrderingFilter)
    filterset_class = PreviewFilters
    search_fields = ("title", "job_id", "version__actor__name")
    ordering_fields = ("id", "created_at")
    ordering = ("-created_at", "-id")
    lookup_value_converter = "int"
    required_actions = {
        "create": "train",
        "cancel": "train",
        "check_status": "train",
        "destroy": "curate",
    }

    def shown(self, preview: Preview) -> Any:
        """The preview as it is now."""
        return self.get_serializer(self.get_queryset().get(pk=preview.pk)).data

    @extend_schema(
        summary="Draw a preview",
        parameters=[IDEMPOTENCY_KEY],
        request=PreviewOrderSerializer,
        responses={201: PreviewSerializer, 409: CONFLICT, 422: OpenApiResponse(description="Key reused.")},
        examples=[ORDER],
    )
    def create(self, request: Request) -> Response:
        """Orders the pictures and submits the job. Only a completed version within reach can draw."""
        asked = PreviewOrderSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted: dict[str, Any] = asked.validated_data
        version, prompt_set = found_version(wanted["version"]), chosen_set(wanted)

        def order() -> Any:
            lines = (
                prompt_set.prompt_lines() if prompt_set else [PromptLine(wanted["prompt"], wanted["seed"])]
            )
            pictures = previews.pictures(
                lines,
                strengths=wanted["strengths"],
                checkpoints=wanted["checkpoints"],
                count=wanted["count"],
                steps=wanted.get("steps"),
            )
            title = prompt_set.name if prompt_set else wanted["prompt"]
            preview = previews.order(
                version, pictures, title=title, by=said_by(request), prompt_set=prompt_set
            )
            return dict(self.shown(preview))

        return made_once(request, order)

    @extend_schema(summary="Cancel", request=None, responses={200: PreviewSerializer, 409: CONFLICT})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """Ends the preview and stops its job. What was drawn stays."""
        preview = self.get_object()
        if not preview.cancel():
            raise Conflict(f"The preview is {preview.status} already.")
        return Response(self.shown(preview))

    @extend_schema(
        summary="Check status now",
        request=None,
        responses={
            200: CheckedPreviewSerializer,
            502: OpenApiResponse(description="The endpoint can't say."),
        },
    )
    @action(detail=True, methods=["post"], url_path="check-status")
    def check_status(self, request: Request, pk: int) -> Response:
        """Asks the endpoint about the job, without waiting for the next sweep."""
        preview = self.get_object()
        changed = preview_tasks.refresh(preview.pk)
        return Response({"changed": changed, "preview": self.shown(preview)})

    @extend_schema(summary="Delete a preview", responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Deletes it with its pictures, and stops its job."""
        previews.remove(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


@described(
    "prompt set",
    examples={"Other prompts": {"lines": [{"prompt": "portrait of {trigger}, smiling", "seed": 2000}]}},
    create="Make a prompt set",
)
class PromptSetViewSet(
    LockedUpdate, CreateModelMixin, DestroyModelMixin, viewsets.ReadOnlyModelViewSet[PromptSet]
):
    """Prompts with fixed seeds that the whole studio draws with."""

    queryset = PromptSet.objects.select_related("created_by")
    serializer_class = PromptSetSerializer
    filter_backends = (SearchFilter, OrderingFilter)
    search_fields = ("name", "description")
    ordering_fields = ("id", "name")
    ordering = ("name", "id")
    lookup_value_converter = "int"
    required_actions = {
        "create": "curate",
        "partial_update": "curate",
        "destroy": "curate",
        "make_standard": "curate",
    }

    def perform_create(self, serializer: Any) -> None:
        """Whose it is."""
        serializer.save(created_by=said_by(self.request))

    @extend_schema(summary="Delete a prompt set", responses={204: None, 409: CONFLICT})
    def destroy(self, request: Request, pk: int) -> Response:
        """What was drawn with it stays. The standard set can't be deleted."""
        with transaction.atomic():
            found = PromptSet.objects.select_for_update().get(pk=self.get_object().pk)
            if found.is_standard:
                raise Conflict("This is the standard set: make another one the standard first.")
            found.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(summary="Make it the standard", request=None, responses=PromptSetSerializer)
    @action(detail=True, methods=["post"], url_path="make-standard")
    def make_standard(self, request: Request, pk: int) -> Response:
        """From now on it is drawn for every completed version of its subject."""
        found = self.get_object()
        found.make_standard()
        return Response(self.get_serializer(found).data)


def found_version(pk: int) -> TrainingVersion:
    """The version that a body names, or 400."""
    version = TrainingVersion.objects.select_related("actor").filter(pk=pk).first()
    if version is None:
        raise exceptions.ValidationError({"version": [f"There is no version {pk}."]})
    return version


def chosen_set(wanted: dict[str, Any]) -> PromptSet | None:
    """The set that a body names; without set and prompt the standard one, or 400."""
    if "prompt" in wanted:
        return None
    if "prompt_set" in wanted:
        found = PromptSet.objects.filter(pk=wanted["prompt_set"]).first()
        if found is None:
            raise exceptions.ValidationError(
                {"prompt_set": [f"There is no prompt set {wanted['prompt_set']}."]}
            )
        return found
    version = found_version(wanted["version"])
    standard = PromptSet.standard(version.base_model)
    if standard is None:
        raise exceptions.ValidationError({"prompt_set": ["There is no standard set: name one, or a prompt."]})
    return standard
