"""Training versions for other systems: launch, follow, judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, status, viewsets
from rest_framework.decorators import action
from rest_framework.filters import OrderingFilter, SearchFilter
from rest_framework.request import Request
from rest_framework.response import Response

from actors.models import Actor
from actors.rest import Conflict, LockedUpdate, described, said_by
from training import idempotency, tasks
from training.launch import launch, retry, studio_base
from training.models import Status, TrainingVersion
from training.presets import preset_named, recommend
from training.score_queue import measure_later
from training.serializers import (
    CheckedSerializer,
    EventSerializer,
    LaunchSerializer,
    MetricsSerializer,
    ReasonSerializer,
    SampleSerializer,
    VersionSerializer,
)

LAUNCH = OpenApiExample(
    "Recommended, but longer",
    value={"actor": 7, "preset": "balanced", "parameters": {"max_train_steps": 600}},
    request_only=True,
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Any text of your own, at most 200 characters. Sent again with the same body within two "
    "days it brings the first answer and starts nothing; with another body it is refused with 422.",
)
CONFLICT = OpenApiResponse(description="Not possible now; detail says why and what to do.")


class VersionFilters(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """Which versions, across actors."""

    actor = filters.NumberFilter(field_name="actor__id")
    status = filters.MultipleChoiceFilter(choices=Status.choices)
    active = filters.BooleanFilter(method="filter_active", label="Whether it still has an end before it")
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = TrainingVersion
        fields = ("is_good", "base_model")

    def filter_active(
        self,
        queryset: QuerySet[TrainingVersion],
        name: str,
        value: bool,  # noqa: FBT001
    ) -> QuerySet[TrainingVersion]:
        """One of the active states."""
        active = TrainingVersion.objects.active().values("pk")
        return queryset.filter(pk__in=active) if value else queryset.exclude(pk__in=active)


@described("version", examples={"A better name": {"name": "calm light"}})
class VersionViewSet(LockedUpdate, viewsets.ReadOnlyModelViewSet[TrainingVersion]):
    """Training versions across actors."""

    queryset = TrainingVersion.objects.select_related(
        "actor", "good_by", "created_by", "score__dataset_revision", "preset_revision__preset"
    )
    serializer_class = VersionSerializer
    filter_backends = (filters.DjangoFilterBackend, SearchFilter, OrderingFilter)
    filterset_class = VersionFilters
    search_fields = ("name", "description", "actor__name", "public_id", "job_id")
    ordering_fields = ("id", "created_at", "updated_at")
    ordering = ("-created_at", "-id")
    lookup_value_converter = "int"
    required_actions = {
        "create": "train",
        "cancel": "train",
        "retry": "train",
        "check_status": "train",
        "partial_update": "curate",
        "mark_good": "curate",
        "unmark_good": "curate",
        "measure": "curate",
    }

    def shown(self, version: TrainingVersion, status_code: int = status.HTTP_200_OK) -> Response:
        """The version as it is now."""
        return Response(self.get_serializer(self.get_queryset().get(pk=version.pk)).data, status_code)

    @extend_schema(
        summary="Launch a training",
        parameters=[IDEMPOTENCY_KEY],
        request=LaunchSerializer,
        responses={201: VersionSerializer, 409: CONFLICT, 422: OpenApiResponse(description="Key reused.")},
        examples=[LAUNCH],
    )
    def create(self, request: Request) -> Response:
        """Creates the actor's next version and submits it. One training per actor at a time."""
        asked = LaunchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted: dict[str, Any] = asked.validated_data

        def start() -> Any:
            actor = get_actor(wanted["actor"])
            parameters = recommended(actor, wanted["preset"]) | wanted["parameters"]
            version = launch(
                actor,
                parameters,
                by=said_by(request),
                description=wanted["description"],
                preset=wanted["preset"],
            )
            return dict(self.shown(version).data)

        return made_once(request, start)

    @extend_schema(summary="Cancel", request=None, responses={200: VersionSerializer, 409: CONFLICT})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """Ends the training and stops its job."""
        version = self.get_object()
        if not version.cancel(said_by(request)):
            raise Conflict(f"{version.name} is {version.status} already.")
        return self.shown(version)

    @extend_schema(summary="Train again", request=None, responses={201: VersionSerializer, 409: CONFLICT})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: int) -> Response:
        """A new version with the parameters of an ended one, on the dataset as it is now."""
        version = self.get_object()
        if version.is_active:
            raise Conflict(f"{version.name} is {version.status}: it has not ended yet.")
        return self.shown(retry(version, by=said_by(request)), status.HTTP_201_CREATED)

    @extend_schema(
        summary="Check status now",
        request=None,
        responses={200: CheckedSerializer, 502: OpenApiResponse(description="The endpoint can't say.")},
    )
    @action(detail=True, methods=["post"], url_path="check-status")
    def check_status(self, request: Request, pk: int) -> Response:
        """Asks the endpoint about the job, without waiting for the next sweep."""
        version = self.get_object()
        changed = tasks.refresh(version.pk)
        return Response({"changed": changed, "version": self.shown(version).data})

    @extend_schema(
        summary="Mark good", request=ReasonSerializer, responses={200: VersionSerializer, 409: CONFLICT}
    )
    @action(detail=True, methods=["post"], url_path="mark-good")
    def mark_good(self, request: Request, pk: int) -> Response:
        """Makes it the actor's one good version."""
        why = ReasonSerializer(data=request.data)
        why.is_valid(raise_exception=True)
        version = self.get_object()
        version.mark_good(said_by(request), why.validated_data["reason"])
        return self.shown(version)

    @extend_schema(summary="Take the mark away", request=None, responses=VersionSerializer)
    @action(detail=True, methods=["post"], url_path="unmark-good")
    def unmark_good(self, request: Request, pk: int) -> Response:
        """The actor has no good version until another is marked."""
        version = self.get_object()
        version.unmark_good(said_by(request))
        return self.shown(version)

    @extend_schema(
        summary="Measure the likeness", request=None, responses={202: VersionSerializer, 409: CONFLICT}
    )
    @action(detail=True, methods=["post"])
    def measure(self, request: Request, pk: int) -> Response:
        """Orders it anew; ``score`` has it a moment later. Completed versions are measured by themselves."""
        version = self.get_object()
        if version.status != Status.COMPLETED:
            raise Conflict(f"{version.name} is {version.status}: only a completed version can be measured.")
        measure_later(version.pk)
        return self.shown(version, status.HTTP_202_ACCEPTED)

    @extend_schema(summary="Timeline", responses=EventSerializer(many=True))
    @action(detail=True, pagination_class=None, filter_backends=())
    def events(self, request: Request, pk: int) -> Response:
        """What happened, oldest first."""
        return Response(EventSerializer(self.get_object().events.select_related("by"), many=True).data)

    @extend_schema(summary="Loss and times", responses=MetricsSerializer)
    @action(detail=True)
    def metrics(self, request: Request, pk: int) -> Response:
        """At most 500 points of the loss."""
        version = self.get_object()
        names = ("step", "seconds_per_step", "delay_ms", "execution_ms", "stages", "loss_history")
        numbers = {name: getattr(version, name) for name in names}
        return Response(numbers | {"total_steps": version.max_train_steps})

    @extend_schema(summary="Samples", responses=SampleSerializer(many=True))
    @action(detail=True, pagination_class=None, filter_backends=())
    def samples(self, request: Request, pk: int) -> Response:
        """By step and prompt."""
        return Response(SampleSerializer(self.get_object().samples.all(), many=True).data)


def made_once(request: Request, make: Callable[[], Any]) -> Response:
    """201 with what ``make`` answers; with an ``Idempotency-Key`` it runs once, and its answer is kept."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return Response(make(), status.HTTP_201_CREATED)
    if len(key) > 200 or not key.isprintable():
        raise exceptions.ValidationError({"Idempotency-Key": ["At most 200 printable characters."]})
    answer, repeated = idempotency.once(request.user, key, request.data, make)
    headers = {"Idempotency-Replayed": "true"} if repeated else {}
    return Response(answer, status.HTTP_201_CREATED, headers=headers)


def get_actor(pk: int) -> Actor:
    """The actor that a body names, or 400."""
    actor = Actor.objects.filter(pk=pk).select_related("dataset").first()
    if actor is None:
        raise exceptions.ValidationError({"actor": [f"There is no actor {pk}."]})
    return actor


def recommended(actor: Actor, preset: str) -> dict[str, Any]:
    """The recommended parameters for an actor's dataset; none without images (the launch says why)."""
    count = len(actor.dataset.trainable_images()) if hasattr(actor, "dataset") else 0
    if not count:
        preset_named(preset)
        return {}
    return dict(recommend(count, studio_base(), preset, actor.trigger_token)[0].to_dict())
