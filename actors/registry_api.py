"""``/actors.json`` and what belongs to it: its schema, import and export."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import FileResponse, HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from actors import registry, snapshot
from actors.parsers import RawJSONParser
from actors.permissions import RolePermission
from actors.serializers import PlanSerializer

#: Lines of a difference that an answer shows.
MAX_LINES = 1000


@login_not_required
@require_safe
def registry_json(request: HttpRequest) -> HttpResponseBase:
    """``/actors.json``: every actor that is not retired, as one JSON list."""
    if not settings.ACTORS_JSON_PUBLIC and (refused := refuse(request)):
        return refused
    state, packed = snapshot.current_state(), "gzip" in request.headers.get("Accept-Encoding", "")
    tag = etag(state, packed=packed)
    # A 304 loads nothing.
    answer: HttpResponseBase | None = get_conditional_response(request, etag=tag)
    if answer is None:
        current = snapshot.current(state)
        tag = etag(current.state, packed=packed)
        parts: Iterable[bytes] = current.packed() if packed else current.plain()
        answer = StreamingHttpResponse(parts, content_type="application/json")
        answer["Content-Length"] = str(current.packed_length if packed else current.plain_length)
        if packed:
            answer["Content-Encoding"] = "gzip"
    answer["ETag"] = tag
    answer["Cache-Control"] = "no-cache" if settings.ACTORS_JSON_PUBLIC else "private, no-cache"
    patch_vary_headers(answer, ["Accept-Encoding"])
    return answer


def etag(state: snapshot.State, *, packed: bool) -> str:
    """A strong tag: the two encodings are two texts."""
    return f'"r{state.revision}-{state.tag.replace("-", "")[:16]}{"-gzip" if packed else ""}"'


def refuse(request: HttpRequest) -> JsonResponse | None:
    """401 or 403 for who may not view actors, in the words of the old clients."""
    asking = Request(request, authenticators=APIView().get_authenticators())
    permission = RolePermission()
    try:
        if permission.has_permission(asking, APIView()):
            return None
        known = asking.user.is_authenticated
        message = permission.message if known else "Sign in, or send a token: Authorization: Bearer at_…"
    except exceptions.AuthenticationFailed as error:
        known, message = False, str(error.detail)
    answer = JsonResponse({"error": message}, status=403 if known else 401)
    if not known:
        answer["WWW-Authenticate"] = "Bearer"
    return answer


@login_not_required
@require_safe
def schema_json(request: HttpRequest) -> FileResponse:
    """The JSON Schema of ``actors.json``; the importer checks with the same file."""
    return FileResponse(registry.SCHEMA_FILE.open("rb"), content_type="application/schema+json")


class ExportView(APIView):
    """The registry as a file."""

    @extend_schema(
        summary="Export the registry",
        description="What /actors.json says, indented, as a download. Importing it again changes nothing.",
        responses={200: {"type": "array", "items": {"type": "object"}}},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Streams, an actor at a time."""
        return StreamingHttpResponse(
            registry.write_json(registry.export_records()),
            content_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="actors.json"'},
        )


class ImportView(APIView):
    """A registry comes in."""

    parser_classes = (RawJSONParser,)
    required_actions = {"POST": "curate"}

    @extend_schema(
        summary="Import a registry",
        description=(
            "The body is an actors.json. All of it is taken in, or nothing and the answer names the record "
            "and the field. Sending it twice changes nothing. The JSON Schema is at /api/schemas/actors.json."
        ),
        parameters=[
            OpenApiParameter("dry_run", OpenApiTypes.BOOL, description="Only say what would change.")
        ],
        request={"application/json": {"type": "array", "items": {"type": "object"}}},
        responses=PlanSerializer,
        examples=[
            OpenApiExample(
                "One new actor",
                value=[{"id": 7, "name": "0007_nordic_41_female", "age": 41, "sex": "female"}],
                request_only=True,
            ),
            OpenApiExample(
                "What it did",
                value={
                    "dry_run": False,
                    "created": 1,
                    "changed": 0,
                    "unchanged": 0,
                    "lines": ["+ 7 0007_nordic_41_female"],
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Plans, and writes unless it is a dry run."""
        dry_run = request.query_params.get("dry_run", "false").lower()
        if dry_run not in ("true", "false", "1", "0"):
            raise exceptions.ValidationError({"dry_run": ["Must be true or false."]})
        body: Any = request.data  # bytes; without a body an empty dictionary
        try:
            records = registry.parse(body or b"")
            if dry_run in ("true", "1"):
                plan = registry.plan_import(records)
            else:
                plan = registry.import_records(records)
        except registry.RegistryError as error:
            raise exceptions.ValidationError({"registry": [str(error)]}) from error
        return Response(
            {
                "dry_run": dry_run in ("true", "1"),
                "created": len(plan.created),
                "changed": len(plan.changed),
                "unchanged": plan.unchanged,
                "lines": list(islice(plan.lines(), MAX_LINES)),
            }
        )
