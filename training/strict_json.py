"""Strict readers for JSON from outside: each gives a value of its type within bounds, or None."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

#: What the database's integer columns hold.
MAX_INT = 2**31 - 1
MAX_BIG_INT = 2**63 - 1


class UnreadableReportError(ValueError):
    """Not what it should be at all: no JSON object, no id."""


def json_object(body: bytes | str) -> dict[str, Any]:
    """A JSON object that every database takes: without NaN, NUL and lone surrogates."""
    try:
        words = body if isinstance(body, str) else body.decode(json.detect_encoding(body), "surrogatepass")
        data = json.loads(words, parse_constant=_no_number, parse_float=_finite_float)
        if "\\u" in words or not words.isascii():  # otherwise no text in it can need it
            data = _clean(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableReportError("The answer is not JSON.") from error
    if not isinstance(data, dict):
        raise UnreadableReportError("The answer is not a JSON object.")
    return data


def _no_number(name: str) -> None:
    """``NaN`` and ``Infinity`` say nothing."""


def _finite_float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _clean(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
        case list():
            return [_clean(item) for item in value]
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case _:
            return value


def at(value: object, *path: str) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def text(value: object, longest: int) -> str | None:
    return value[:longest] if isinstance(value, str) and value else None


def address(value: object) -> str | None:
    """Pages link to it, so ``javascript:`` and the like must not get through."""
    known = isinstance(value, str) and value.startswith(("https://", "http://", "s3://"))
    return str(value) if known and len(str(value)) <= 1200 else None


def integer(value: object, most: int = MAX_INT) -> int | None:
    """A whole number from 0; JSON writers may say ``120.0``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= most else None


def finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        return None
    return float(value)


def positive(value: object) -> float | None:
    number = finite(value)
    return number if number is not None and number >= 0 else None


def time(value: object) -> str | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        return at.astimezone(UTC).isoformat() if at and at.tzinfo else None
    except (ValueError, OverflowError):
        return None
