"""What every API view shares: bodies, pages, optimistic locking, and errors that say what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import IO, Any, NoReturn, TypeVar

from django.core.exceptions import ValidationError
from django.db import models
from django.http import UnreadablePostError
from django.utils.http import parse_etags
from rest_framework import exceptions, status
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.views import APIView

MAX_BODY = 40 * 1024 * 1024
MAX_DEPTH = 50
Row = TypeVar("Row", bound=models.Model)


class Conflict(exceptions.APIException):
    """The state of things does not allow it now."""

    status_code = status.HTTP_409_CONFLICT


class PreconditionFailed(exceptions.APIException):
    """Somebody else was faster."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "This has changed since you read it. Read it again, then change it."


class TooLarge(exceptions.APIException):
    """The body is too large."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body is larger than {MAX_BODY // 2**20} MiB."


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


class RawJSONParser(BaseParser):
    """A JSON body as bytes, for readers with checks of their own."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The bytes; 413 above the limit."""
        try:
            body = stream.read(MAX_BODY + 1)
        except UnreadablePostError as error:
            raise exceptions.ParseError("The body broke off. Send it again.") from error
        if len(body) > MAX_BODY:
            raise TooLarge
        return body


class StrictJSONParser(RawJSONParser):
    """JSON that every database takes: no NaN, no NUL, no half characters, no abyss."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The value; 400 with the field's name when it is not one."""
        body = super().parse(stream, media_type, parser_context)
        try:
            value = json.loads(body, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise exceptions.ParseError("This JSON is nested too deeply.") from error
        except ValueError as error:
            raise exceptions.ParseError(f"This is not JSON: {error}.") from error
        check_text(value)
        return value


def check_text(value: Any, where: str = "", depth: int = 0) -> None:
    """Raises ``ParseError`` naming the field whose text can't be stored."""
    if depth > MAX_DEPTH:
        raise exceptions.ParseError("This JSON is nested too deeply.")
    match value:
        case str() if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise exceptions.ParseError(f"{where or 'The body'}: holds characters that are not text.")
        case dict():
            for key, item in value.items():
                check_text(key, f"{where}.(key)" if where else "(key)", depth + 1)
                check_text(item, f"{where}.{key}" if where else key, depth + 1)
        case list():
            for index, item in enumerate(value):
                check_text(item, f"{where}.{index}" if where else str(index), depth + 1)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


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


def said_by(request: Request) -> Any:
    """The person behind the request, for verbs that keep who did it."""
    return request.user if request.user.is_authenticated else None
