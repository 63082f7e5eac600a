"""What every API view shares: pages, optimistic locking, and errors that say what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import exceptions, status
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.views import APIView

Row = TypeVar("Row", bound=models.Model)


class Conflict(exceptions.APIException):
    """The state of things does not allow it now."""

    status_code = status.HTTP_409_CONFLICT


class PreconditionFailed(exceptions.APIException):
    """Somebody else was faster."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "This has changed since you read it. Read it again, then change it."


class Unprocessable(exceptions.APIException):
    """An Idempotency-Key came again with another body."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


class PreconditionRequired(exceptions.APIException):
    """A change without If-Match."""

    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_detail = "Send If-Match with the ETag of what you read, so that nobody's change is lost."


class BadGateway(exceptions.APIException):
    """The endpoint that trains does not answer as it should."""

    status_code = status.HTTP_502_BAD_GATEWAY


class CursorPages(CursorPagination):
    """Pages that neither skip nor repeat while rows come and go. ``?page_size=`` up to 200."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        """A cursor is opaque; one that somebody wrote by hand is refused, not looked up."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValidationError, ValueError, exceptions.NotFound) as error:
            raise exceptions.ValidationError(
                {"cursor": ["This cursor is not valid. Start without one."]}
            ) from error


def entity_tag(row: models.Model) -> str:
    """The ETag of a row's own fields: what ``If-Match`` protects."""
    values = {field.attname: field.value_from_object(row) for field in row._meta.concrete_fields}
    return f'"{hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:32]}"'


def require_match(request: Request, row: models.Model) -> None:
    """428 without ``If-Match``, 412 when the row is no longer what the client read."""
    sent = request.headers.get("If-Match")
    if not sent:
        raise PreconditionRequired
    tags = parse_etags(sent)
    if "*" not in tags and entity_tag(row) not in tags:
        raise PreconditionFailed


def locked_update(
    request: Request,
    row: Row,
    serializer_class: type[ModelSerializer[Row]],
    write: Callable[[ModelSerializer[Row]], object] = ModelSerializer.save,
) -> None:
    """Locks the row, checks that the client knows it as it is, and writes what the body says."""
    with transaction.atomic():
        rows = type(row)._default_manager.select_for_update()  # noqa: SLF001  # Django's public name for it
        row = rows.get(pk=row.pk)
        require_match(request, row)
        serializer = serializer_class(row, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        write(serializer)


class LockedUpdate:
    """``PATCH`` for a viewset, with ``If-Match``; answers carry the row's ETag."""

    def write(self, serializer: ModelSerializer[Any]) -> object:
        """How a checked change is written."""
        return serializer.save()

    def partial_update(self: Any, request: Request, *_: Any, **__: Any) -> Response:
        """Changes the fields that the body names. Wants If-Match: 428 without, 412 when it is outdated."""
        locked_update(request, self.get_object(), self.get_serializer_class(), self.write)
        return self.retrieve(request)  # type: ignore[no-any-return]  # a mixin

    def retrieve(self: Any, request: Request, *_: Any, **__: Any) -> Response:
        """One row and its ETag."""
        row = self.get_object()
        return Response(self.get_serializer(row).data, headers={"ETag": entity_tag(row)})


IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag of what was read."
)


def described(noun: str, examples: Mapping[str, Any], **summaries: str) -> Callable[[Any], Any]:
    """Summaries, and examples of a change, for the standard actions of a viewset."""
    article = "an" if noun[0] in "aeiou" else "a"
    shown = [OpenApiExample(name, value=value, request_only=True) for name, value in examples.items()]
    return extend_schema_view(
        list=extend_schema(summary=f"List {noun}s"),
        retrieve=extend_schema(summary=f"Read {article} {noun}"),
        partial_update=extend_schema(
            summary=f"Change {article} {noun}", parameters=[IF_MATCH], examples=shown
        ),
        **{name: extend_schema(summary=summary, examples=shown) for name, summary in summaries.items()},
    )


def said_by(request: Request) -> Any:
    """The person behind the request, for verbs that keep who did it."""
    return request.user if request.user.is_authenticated else None
