"""Actors, datasets and images for other systems, and who asks."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.utils.cache import get_conditional_response
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import exceptions, mixins, viewsets
from rest_framework.decorators import action
from rest_framework.filters import OrderingFilter, SearchFilter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, ModelSerializer
from rest_framework.views import APIView

from actors import edits, storage
from actors.models import (
    Actor,
    TrainingDataset,
    TrainingImage,
    Verdict,
    ensure_dataset,
    prefetch_good_version,
)
from actors.permissions import ROLES, SCOPES, can
from actors.rest import LockedUpdate, described, entity_tag, locked_update, said_by
from actors.serializers import ActorSerializer, DatasetSerializer, ImageSerializer, MeSerializer


class ActorFilters(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """What the library filters by."""

    sex = filters.CharFilter(lookup_expr="iexact")
    ethnicity = filters.CharFilter(lookup_expr="iexact")
    age_min = filters.NumberFilter(field_name="age", lookup_expr="gte")
    age_max = filters.NumberFilter(field_name="age", lookup_expr="lte")
    retired = filters.BooleanFilter(
        field_name="retired_at", lookup_expr="isnull", exclude=True, label="true: the retired only"
    )
    has_good_version = filters.BooleanFilter(method="filter_good", label="Whether a version is marked good")
    verdict = filters.ChoiceFilter(
        choices=Verdict.choices, label="What the inspection of the dataset says: fit, warnings, not_fit …"
    )

    class Meta:
        model = Actor
        fields: tuple[str, ...] = ()

    def filter_good(
        self,
        queryset: QuerySet[Actor],
        name: str,
        value: bool,  # noqa: FBT001  # django-filter calls it so
    ) -> QuerySet[Actor]:
        """The partial unique index answers this."""
        good = Q(pk__in=Actor.objects.filter(versions__is_good=True).values("pk"))
        return queryset.filter(good if value else ~good)


class WordSearch(SearchFilter):
    """``?search=``: every word in number, name, description or ethnicity, as in the library."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        """Pages and API search alike."""
        words = " ".join(self.get_search_terms(request))
        found = Actor.objects.search(words).values("pk")
        return queryset.filter(pk__in=found) if words else queryset


def count_images(only: Q) -> Coalesce:
    """A count per row of a page; joins would count the whole table first."""
    images = TrainingImage.objects.filter(only, dataset__actor=OuterRef("pk"), included=True)
    counted = images.order_by().values("dataset").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted, output_field=models.IntegerField()), 0)


@described(
    "actor",
    create="Create an actor",
    examples={"A new actor": {"name": "0031_nordic_41_female", "age": 41, "sex": "female"}},
)
class ActorViewSet(LockedUpdate, mixins.CreateModelMixin, viewsets.ReadOnlyModelViewSet[Actor]):
    """The registry's actors. Nothing is ever deleted: an actor can be retired and restored."""

    serializer_class = ActorSerializer
    filter_backends = (filters.DjangoFilterBackend, WordSearch, OrderingFilter)
    filterset_class = ActorFilters
    search_fields = ("name",)  # shown in the schema; WordSearch looks at more
    ordering_fields = ("position", "id", "name", "created_at")
    ordering = ("position", "id")
    lookup_value_converter = "int"
    required_actions = dict.fromkeys(("create", "partial_update", "retire", "restore"), "curate")

    def get_queryset(self) -> QuerySet[Actor]:
        """With counts and the good version; retired actors only when asked for, or by their id."""
        everyone = Actor.objects.annotate(
            images=count_images(Q()),
            synced_images=count_images(Q(state=TrainingImage.State.SYNCED)),
            verdict=Coalesce("dataset__verdict", Value(Verdict.NOT_INSPECTED)),
        ).prefetch_related(prefetch_good_version())
        if self.action == "list" and "retired" not in self.request.query_params:
            return everyone.filter(retired_at=None)
        return everyone

    def perform_create(self, serializer: BaseSerializer[Actor]) -> None:
        """The answer shows the counts, too."""
        serializer.instance = self.get_queryset().get(pk=serializer.save().pk)

    @extend_schema(summary="Retire an actor", request=None, responses=ActorSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: int) -> Response:
        """Takes the actor out of the library and actors.json; everything is kept."""
        self.get_object().retire()
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(summary="Bring a retired actor back", request=None, responses=ActorSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: int) -> Response:
        """The opposite of retire."""
        self.get_object().restore()
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        summary="The good version's LoRA",
        description=(
            "A stable address for consumers. Redirects to the file with a signed link; the ETag names the "
            "version, so If-None-Match tells whether there is a newer one."
        ),
        responses={
            302: OpenApiResponse(description="Location is the file."),
            304: OpenApiResponse(description="Still the version that If-None-Match names."),
        },
    )
    @action(detail=True, methods=["get"])
    def lora(self, request: Request, pk: int) -> HttpResponseBase:
        """Where the file of the one good version lies."""
        actor = self.get_object()
        good = next(iter(actor.versions.all()), None)
        if good is None:
            raise exceptions.NotFound(f"{actor.name} has no good version yet. Mark one as good first.")
        # A link that this store can't sign may still be public.
        link = storage.download_link(good.lora_url) or good.lora_address
        if not link.startswith(("https://", "http://", "/")):
            raise exceptions.NotFound(f"{good.name} of {actor.name} is good, but its LoRA can't be reached.")
        tag = f'"{entity_tag(good)[1:17]}"'
        asked = request._request  # noqa: SLF001  # Django's own, which DRF wraps and has no public name for
        answer = get_conditional_response(asked, etag=tag) or HttpResponseRedirect(link)
        answer["ETag"], answer["Cache-Control"] = tag, "private, no-cache"
        return answer


class DatasetView(APIView):
    """The dataset of one actor; its images are at ``/api/images?actor=7``."""

    required_actions = {"PATCH": "curate"}

    def dataset(self, pk: int) -> TrainingDataset:
        """The dataset, made when missing."""
        actor = Actor.objects.filter(pk=pk).first()
        if actor is None:
            raise exceptions.NotFound("There is no such actor.")
        return ensure_dataset(actor)

    def answer(self, dataset: TrainingDataset) -> Response:
        """The dataset and its ETag."""
        return Response(DatasetSerializer(dataset).data, headers={"ETag": entity_tag(dataset)})

    @extend_schema(summary="The dataset of an actor", responses=DatasetSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """One dataset."""
        return self.answer(self.dataset(pk))

    @extend_schema(
        summary="Change a dataset", request=DatasetSerializer(partial=True), responses=DatasetSerializer
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Kind and local path; If-Match is required."""
        locked_update(request, self.dataset(pk), DatasetSerializer, self.write)
        return self.answer(self.dataset(pk))

    def write(self, serializer: ModelSerializer[Any]) -> None:
        """The kind is an edit that people can undo, and what was found is judged by it anew."""
        dataset = serializer.instance
        assert isinstance(dataset, TrainingDataset)
        if kind := serializer.validated_data.pop("kind", None):
            edits.set_kind(dataset, kind, by=said_by(self.request))
        if serializer.validated_data:
            serializer.save()


class ImageFilters(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """Which images."""

    actor = filters.NumberFilter(field_name="dataset__actor__id")
    included = filters.BooleanFilter()
    state = filters.ChoiceFilter(choices=TrainingImage.State.choices)
    captioned = filters.BooleanFilter(field_name="caption", lookup_expr="exact", method="filter_captioned")
    verdict = filters.ChoiceFilter(
        field_name="dataset__verdict", choices=Verdict.choices, label="Of the dataset it belongs to"
    )

    class Meta:
        model = TrainingImage
        fields: tuple[str, ...] = ()

    def filter_captioned(
        self,
        queryset: QuerySet[TrainingImage],
        name: str,
        value: bool,  # noqa: FBT001  # django-filter calls it so
    ) -> QuerySet[TrainingImage]:
        """Whether there is a caption."""
        return queryset.exclude(caption="") if value else queryset.filter(caption="")


@described("image", examples={"Left out": {"included": False, "notes": "blurred"}})
class ImageViewSet(LockedUpdate, viewsets.ReadOnlyModelViewSet[TrainingImage]):
    """Training images: their captions, notes, order, and whether trainings read them."""

    queryset = TrainingImage.objects.select_related("dataset")
    serializer_class = ImageSerializer
    filter_backends = (filters.DjangoFilterBackend, SearchFilter, OrderingFilter)
    filterset_class = ImageFilters
    search_fields = ("file_name", "caption", "notes")
    ordering_fields = ("id", "position", "created_at")
    ordering = ("id",)
    lookup_value_converter = "int"
    required_actions = {"partial_update": "curate"}

    def partial_update(self, request: Request, *args: Any, **options: Any) -> Response:
        """Changes the fields that the body names. Wants If-Match: 428 without, 412 when it is outdated."""
        with transaction.atomic():
            # Datasets are locked before their images, everywhere: or two edits would wait for each other.
            self.get_object().dataset.lock()
            return super().partial_update(request, *args, **options)

    def write(self, serializer: ModelSerializer[Any]) -> object:
        """As one change that people can undo on the dataset's page."""
        image = serializer.instance
        assert isinstance(image, TrainingImage)
        values = {image.pk: dict(serializer.validated_data)}
        by = said_by(self.request)
        return edits.change(image.dataset, values, f"{image.file_name}, by the API", by=by)


class MeView(APIView):
    """Who asks."""

    @extend_schema(
        summary="Who am I, and what may I do?",
        responses=MeSerializer,
        examples=[
            OpenApiExample(
                "A trainer with a token",
                value={
                    "id": 3,
                    "username": "ines",
                    "email": "ines@example.com",
                    "roles": ["Trainer"],
                    "may": ["view", "train"],
                    "scopes": ["read", "train"],
                },
            )
        ],
    )
    def get(self, request: Request) -> Response:
        """The person, the role, and what the token in use allows of it."""
        user, scopes = request.user, getattr(request.auth, "scopes", None)
        may = [each for each in ROLES["Admin"] if can(user, each)]
        if scopes is not None:
            may = [each for each in may if each in {SCOPES[scope] for scope in scopes}]
        return Response(
            {
                "id": user.pk,
                "username": user.get_username(),
                "email": getattr(user, "email", ""),
                "roles": sorted(user.groups.values_list("name", flat=True)),
                "may": may,
                "scopes": scopes,
            }
        )


@extend_schema(exclude=True)
class NowhereView(APIView):
    """Every other address below ``/api/``: programs get JSON, not a page."""

    permission_classes = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
        """404, in the words of old and new clients."""
        says = "There is no such address. GET /api/schema lists all."
        return JsonResponse({"detail": says, "error": says}, status=404)
