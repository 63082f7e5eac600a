"""JSON bodies from outside: bounded, and text throughout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.http import UnreadablePostError
from rest_framework import exceptions, status
from rest_framework.parsers import BaseParser

MAX_BODY = 40 * 1024 * 1024
MAX_DEPTH = 50


class TooLarge(exceptions.APIException):
    """The body is too large."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"The body is larger than {MAX_BODY // 2**20} MiB."


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
