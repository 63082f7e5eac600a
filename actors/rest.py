"""What every API view shares: pages, optimistic locking, and errors that say what to do."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.http import parse_etags
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
        self, queryset: models.QuerySet[Row], request: Request, view: APIView | None = None
    ) -> list[Row] | None:
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


class LockedUpdate:
    """``PATCH`` for a viewset, with ``If-Match``; answers carry the row's ETag."""

    @staticmethod
    def change(request: Request, row: Row, serializer_class: type[ModelSerializer[Row]]) -> Row:
        """Locks the row, checks that the client knows it as it is, and writes what the body says."""
        with transaction.atomic():
            row = type(row)._default_manager.select_for_update().get(pk=row.pk)
            require_match(request, row)
            serializer = serializer_class(row, data=request.data, partial=True)
            serializer.is_valid(raise_exception=True)
            return serializer.save()

    def changed(self, row: Any) -> None:
        """What follows from a change, in its transaction."""

    def partial_update(self: Any, request: Request, *_: Any, **__: Any) -> Response:
        """Changes the fields that the body names. Wants If-Match: 428 without, 412 when it is outdated."""
        with transaction.atomic():
            row = LockedUpdate.change(request, self.get_object(), self.get_serializer_class())
            self.changed(row)
        return self.retrieve(request)

    def retrieve(self: Any, request: Request, *_: Any, **__: Any) -> Response:
        """One row and its ETag."""
        row = self.get_object()
        return Response(self.get_serializer(row).data, headers={"ETag": entity_tag(row)})


def said_by(request: Request) -> Any:
    """The person behind the request, for verbs that keep who did it."""
    return request.user if request.user.is_authenticated else None
