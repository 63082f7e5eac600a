"""Batches for other systems: plan, begin, follow, stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.response import Response

from actors.rest import CursorPages, LockedUpdate, described, said_by
from training import batch_choice, batch_plan, batches
from training.api import CONFLICT, IDEMPOTENCY_KEY, made_once
from training.batch_models import Batch, BatchState, ItemState
from training.batch_picture import picture, pictures
from training.batch_recipe import Recipe
from training.batch_serializers import (
    BatchEventSerializer,
    BatchPlanSerializer,
    BatchSerializer,
    ChoiceSerializer,
    ItemChangeSerializer,
    ItemSerializer,
    NewBatchSerializer,
)

TONIGHT = OpenApiExample(
    "Tonight, for at most 50 dollars",
    value={
        "fit_without_good": True,
        "concurrency": 4,
        "ceiling": "50.00",
        "daily_from": "22:00",
        "daily_until": "06:00",
        "time_zone": "Europe/Berlin",
        "begin": True,
    },
    request_only=True,
)
#: More than these are not planned while somebody waits.
MOST_AT_ONCE = 500
ITEM_STATE = OpenApiParameter("state", str, enum=ItemState.values, description="Only items in this state.")


class ByPosition(CursorPages):
    """Items in the order in which they were chosen."""

    ordering = ("position", "id")


class BatchFilters(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """Which batches."""

    state = filters.MultipleChoiceFilter(choices=BatchState.choices)

    class Meta:
        model = Batch
        fields = ()


@described("batch", examples={"More at once": {"concurrency": 8}})
class BatchViewSet(LockedUpdate, mixins.ListModelMixin, viewsets.GenericViewSet[Batch]):
    """Batches: many actors, one after another, within limits."""

    queryset = Batch.objects.select_related("created_by", "begun_by", "planning").defer("planning__chosen")
    serializer_class = BatchSerializer
    filter_backends = (filters.DjangoFilterBackend, OrderingFilter)
    filterset_class = BatchFilters
    lookup_value_converter = "int"
    ordering_fields = ("id", "created_at")
    ordering = ("-created_at", "-id")
    required_actions = dict.fromkeys(
        (
            "create",
            "plan",
            "partial_update",
            "destroy",
            "look_again",
            "begin",
            "pause",
            "resume",
            "cancel",
            "retry",
            "edit_item",
        ),
        "train",
    )

    def get_object(self) -> Batch:
        """With its counts."""
        batch: Batch = super().get_object()
        batch.picture = picture(batch)  # type: ignore[attr-defined]  # for the serializer
        return batch

    def paginate_queryset(self, queryset: Any) -> Any:
        """A page of batches gets its counts in one query."""
        page = super().paginate_queryset(queryset)
        if page and isinstance(page[0], Batch):
            for each in pictures(page):
                each.batch.picture = each  # type: ignore[attr-defined]
        return page

    def shown(self, batch: Batch, status_code: int = status.HTTP_200_OK) -> Response:
        """The batch as it is now."""
        fresh = self.get_queryset().get(pk=batch.pk)
        fresh.picture = picture(fresh)  # type: ignore[attr-defined]
        return Response(BatchSerializer(fresh).data, status_code)

    def write(self, serializer: Any) -> object:
        """By the verb, which checks the state, and plans anew where it has to."""
        batches.change(serializer.instance, said_by(self.request), **serializer.validated_data)
        return None

    @extend_schema(
        summary="Plan a batch, and begin it if asked",
        parameters=[IDEMPOTENCY_KEY],
        request=NewBatchSerializer,
        responses={201: BatchSerializer, 409: CONFLICT, 422: OpenApiResponse(description="Key reused.")},
        examples=[TONIGHT],
    )
    def create(self, request: Request) -> Response:
        """Answers at once with the state `planning`: the task queue looks at the actors.

        Read the batch again until `planning.asked` is empty: then it is `planned`, or `running` where it was
        asked to begin, or `planning.trouble` says why not. Unknown ids are refused by name; actors that
        can't start stay in the plan with the reason.
        """
        asked = NewBatchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted: dict[str, Any] = asked.validated_data
        begin = wanted.pop("begin")

        def make() -> Any:
            batch = batch_plan.make(ids_of(wanted), by=said_by(request), **wanted)
            if begin:
                batches.begin(batch, said_by(request))
            return dict(self.shown(batch).data)

        return made_once(request, make)

    @extend_schema(summary="Plan without keeping it", request=ChoiceSerializer, responses=BatchPlanSerializer)
    @action(detail=False, methods=["post"])
    def plan(self, request: Request) -> Response:
        """Parameters, time and cost of each actor, or why it can't start. Changes nothing.

        For at most 500 actors: it is made while you wait. Of more, make a batch and delete it again.
        """
        asked = ChoiceSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted: dict[str, Any] = asked.validated_data
        ids, batch = ids_of(wanted), Batch(**wanted)
        if len(ids) > MOST_AT_ONCE:
            raise batch_plan.CannotPlan(
                f"{len(ids)} actors are too many to plan while you wait: choose at most {MOST_AT_ONCE}, or "
                "POST /api/batches, which plans in the background, and DELETE the plan afterwards."
            )
        batch_plan.check_limits(batch)
        items = batch_plan.evaluate(ids, Recipe(batch.preset, batch.parameters))
        ready = [item for item in items if item.state == ItemState.PLANNED]
        costs = [item.cost for item in ready if item.cost is not None]
        found = {
            "ready": len(ready),
            "blocked": len(items) - len(ready),
            "seconds": sum(item.seconds for item in ready),
            "cost": sum(costs) if costs else None,
            "items": items,
        }
        return Response(BatchPlanSerializer(found).data)

    @extend_schema(summary="Discard a plan", responses={204: None, 409: CONFLICT})
    def destroy(self, request: Request, pk: int) -> Response:
        """Only before it has begun; afterwards its history stays."""
        batches.discard(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _do(self, request: Request, verb: Callable[[Batch, Any], object]) -> Response:
        batch = self.get_object()
        verb(batch, said_by(request))
        return self.shown(batch)

    @extend_schema(summary="Begin", request=None, responses={200: BatchSerializer, 409: CONFLICT})
    @action(detail=True, methods=["post"])
    def begin(self, request: Request, pk: int) -> Response:
        """Every actor is looked at once more; then it launches by itself.

        Answers with the state `planning`; where nothing can begin it is `planned` again, with
        `planning.trouble`.
        """
        return self._do(request, batches.begin)

    @extend_schema(summary="Look at all again", request=None, responses={200: BatchSerializer, 409: CONFLICT})
    @action(detail=True, methods=["post"], url_path="look-again")
    def look_again(self, request: Request, pk: int) -> Response:
        """Makes the plan anew, with the actors as they are now."""
        return self._do(request, batches.look_again)

    @extend_schema(summary="Pause", request=None, responses={200: BatchSerializer, 409: CONFLICT})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: int) -> Response:
        """Nothing more is launched; trainings that run go on."""
        return self._do(request, batches.pause)

    @extend_schema(summary="Resume", request=None, responses={200: BatchSerializer, 409: CONFLICT})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: int) -> Response:
        """Goes on where it paused."""
        return self._do(request, batches.resume)

    @extend_schema(summary="Cancel", request=None, responses={200: BatchSerializer, 409: CONFLICT})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """Ends the batch and stops what it trains."""
        return self._do(request, batches.cancel)

    @extend_schema(
        summary="Try the failed again", request=None, responses={200: BatchSerializer, 409: CONFLICT}
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: int) -> Response:
        """Failed and blocked actors are looked at anew, and those that can start wait for their turn.

        Answers while they are looked at: `planning.asked` is `retry` until it is done.
        """
        return self._do(request, batches.retry_failed)

    @extend_schema(summary="Items", parameters=[ITEM_STATE], responses=ItemSerializer(many=True))
    @action(detail=True, filter_backends=(), pagination_class=ByPosition)
    def items(self, request: Request, pk: int) -> Response:
        """One for each actor, in the order in which they were chosen."""
        found = self.get_object().items.all()
        if state := request.query_params.get("state"):
            if state not in ItemState.values:
                raise exceptions.ValidationError({"state": [f"One of {', '.join(ItemState.values)}."]})
            found = found.filter(state=state)
        page = self.paginate_queryset(found)
        return self.get_paginated_response(ItemSerializer(page, many=True).data)

    @extend_schema(summary="Read an item", responses=ItemSerializer)
    @action(detail=True, filter_backends=(), pagination_class=None, url_path="items/<int:actor_id>")
    def item(self, request: Request, pk: int, actor_id: int) -> Response:
        """One actor of the batch."""
        return Response(ItemSerializer(get_object_or_404(self.get_object().items, actor__id=actor_id)).data)

    @extend_schema(
        summary="Change an actor of a plan",
        request=ItemChangeSerializer,
        responses={200: ItemSerializer, 409: CONFLICT},
        examples=[
            OpenApiExample("Longer", value={"own_values": {"max_train_steps": 600}}, request_only=True)
        ],
    )
    @item.mapping.patch
    def edit_item(self, request: Request, pk: int, actor_id: int) -> Response:
        """Values of its own, or left out. Both outlive a new plan; once it has begun they are fixed."""
        found = get_object_or_404(self.get_object().items.select_related("batch"), actor__id=actor_id)
        said = ItemChangeSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        item = batches.edit_item(found.batch, actor_id, said_by(request), **said.validated_data)
        return Response(ItemSerializer(item).data)

    @extend_schema(summary="Timeline", responses=BatchEventSerializer(many=True))
    @action(detail=True, pagination_class=None, filter_backends=())
    def events(self, request: Request, pk: int) -> Response:
        """What happened, oldest first."""
        return Response(BatchEventSerializer(self.get_object().events.select_related("by"), many=True).data)


def ids_of(wanted: dict[str, Any]) -> list[int]:
    """Takes the choice out of the body: the rest are settings."""
    actors, everyone = wanted.pop("actors", None), wanted.pop("fit_without_good")
    query = wanted.pop("query", None)
    if everyone:
        return batch_choice.fit_without_good().ids
    if query is not None:
        return batch_choice.by_filters(query).ids
    chosen = batch_choice.by_words([str(actor) for actor in actors])
    if chosen.complaint:
        raise exceptions.ValidationError({"actors": [chosen.complaint]})
    return chosen.ids
