"""The three addresses that the old system's clients know, with its JSON and its ``{"error": …}``."""

from __future__ import annotations

from typing import Any

from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from actors.models import Actor
from actors.parsers import StrictJSONParser
from actors.rest import said_by
from training import merge
from training.models import NotCompleted, TrainingVersion
from training.wire import WireError, to_wire

IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag of the GET.")


class WireVersionSerializer(serializers.Serializer[Any]):
    """A version in the old system's words. Unknown keys of imported versions come back unchanged."""

    id = serializers.CharField(max_length=200)
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(required=False)
    timestamp = serializers.CharField(required=False, help_text="ISO 8601; now, when it is left out")
    parameters = serializers.DictField(required=False)
    status = serializers.ChoiceField(["pending", "training", "completed", "failed", "cancelled"])
    loraUrl = serializers.CharField(required=False, allow_null=True)  # noqa: N815  # the wire's spelling
    error = serializers.CharField(required=False)
    imageCount = serializers.IntegerField(required=False)  # noqa: N815
    isGood = serializers.BooleanField(required=False)  # noqa: N815
    completedAt = serializers.CharField(required=False)  # noqa: N815
    failedAt = serializers.CharField(required=False)  # noqa: N815


class VersionListSerializer(serializers.Serializer[Any]):
    """All versions of an actor, newest first."""

    versions = WireVersionSerializer(many=True)


class SuccessSerializer(serializers.Serializer[Any]):
    """It is done."""

    success = serializers.BooleanField()


class MarkGoodSerializer(serializers.Serializer[Any]):
    """Which version is the good one."""

    versionId = serializers.CharField()  # noqa: N815
    reason = serializers.CharField(required=False, help_text="Why; shown in the history.")


class MarkedSerializer(SuccessSerializer):
    """All versions after the mark."""

    versions = WireVersionSerializer(many=True)


class AnyTypeParser(StrictJSONParser):
    """The old server read any body as JSON, whatever its Content-Type: ``curl -d`` says it is a form."""

    media_type = "*/*"


class OldPath(APIView):
    """Errors as the old clients expect them."""

    parser_classes = (AnyTypeParser,)

    def handle_exception(self, error: Exception) -> Response:
        """``{"error": "what is wrong"}``."""
        match error:
            case WireError():
                error = exceptions.ValidationError(str(error))
            case merge.MergeConflict() | NotCompleted():
                error = Problem(str(error), status.HTTP_409_CONFLICT)
            case merge.ListChanged():
                error = Problem(str(error), status.HTTP_412_PRECONDITION_FAILED)
        response = super().handle_exception(error)
        response.data = {"error": _sentence(response.data)}
        return response

    def actor(self, pk: int) -> Actor:
        """The actor, or 404."""
        actor = Actor.objects.filter(pk=pk).first()
        if actor is None:
            raise exceptions.NotFound("Actor not found")
        return actor


class Problem(exceptions.APIException):
    """An error with its status."""

    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.status_code = status_code


def _sentence(detail: Any) -> str:
    """The first message in whatever shape the framework gives it."""
    while isinstance(detail, dict | list) and detail:
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    return str(detail)


class TrainingVersionsView(OldPath):
    """``/api/actors/{id}/training-versions``."""

    required_actions = {"POST": "curate"}

    @extend_schema(
        summary="Versions of an actor, in the old system's words",
        responses=VersionListSerializer,
        examples=[
            OpenApiExample(
                "One version",
                value={
                    "versions": [
                        {
                            "id": "3c2e-e2",
                            "name": "V1",
                            "timestamp": "2026-01-31T09:30:00.000Z",
                            "parameters": {"learning_rate": 0.0002, "max_train_steps": 1500},
                            "status": "completed",
                            "loraUrl": "https://bucket.s3.amazonaws.com/loras/actor_7_V1.safetensors",
                            "imageCount": 15,
                            "isGood": True,
                            "completedAt": "2026-01-31T10:02:00.000Z",
                        }
                    ]
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request, pk: int) -> Response:
        """Newest first; the ETag is for If-Match."""
        versions = [to_wire(version) for version in TrainingVersion.objects.filter(actor__id=pk)]
        if not versions:
            self.actor(pk)
        tag = merge.list_tag(versions)
        if tag in parse_etags(request.headers.get("If-None-Match", "")):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": tag})
        return Response({"versions": versions}, headers={"ETag": tag})

    @extend_schema(
        summary="Save a list of versions",
        description=(
            "Adds versions whose id is unknown, and takes name, description and a new isGood from the rest. "
            "It never changes the state of a training of this site, and deletes nothing. With If-Match the "
            "list becomes exactly this one, or 412 when it has changed since it was read."
        ),
        parameters=[IF_MATCH],
        request={"application/json": VersionListSerializer},
        responses=SuccessSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Merges, or replaces with If-Match."""
        actor, versions, by = self.actor(pk), merge.read(request.data), said_by(request)
        if known := request.headers.get("If-Match"):
            merge.replace(actor, versions, parse_etags(known), by)
        else:
            merge.merge(actor, versions, by)
        return Response({"success": True})


class MarkGoodView(OldPath):
    """``/api/actors/{id}/mark-good``."""

    required_actions = {"POST": "curate"}

    @extend_schema(
        summary="Mark a version good",
        description="The actor's former good version loses the mark; actors.json follows at once.",
        request={"application/json": MarkGoodSerializer},
        responses=MarkedSerializer,
        examples=[OpenApiExample("Mark", value={"versionId": "3c2e-e2"}, request_only=True)],
    )
    def post(self, request: Request, pk: int) -> Response:
        """Exactly one version of an actor is good."""
        body = request.data if isinstance(request.data, dict) else {}
        public_id, reason = body.get("versionId"), body.get("reason") or ""
        if not public_id:
            raise exceptions.ValidationError("Missing versionId")
        if not isinstance(public_id, str) or not isinstance(reason, str):
            name = "reason" if isinstance(public_id, str) else "versionId"
            raise exceptions.ValidationError(f"{name}: must be a text")
        version = TrainingVersion.objects.filter(actor__id=pk, public_id=public_id).first()
        if version is None:
            self.actor(pk)
            raise exceptions.NotFound("Version not found")
        version.mark_good(said_by(request), reason)
        return Response({"success": True, "versions": merge.current_list(version.actor_id)})
