"""What the database works out and Django has no words for: seconds between two moments, and the median."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

from django.db.models import Aggregate, FloatField, Func


class SecondsBetween(Func):
    """``SecondsBetween(end, start)``: the end minus the start; NULL when one is missing."""

    output_field = FloatField()
    arity = 2

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """A difference is an interval there."""
        return self.as_sql(
            compiler,
            connection,
            template="EXTRACT(EPOCH FROM (%(expressions)s))::float8",
            arg_joiner=" - ",
            **context,
        )

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Moments are text there; a Julian day is exact to 0.1 ms, so what is below one is noise."""
        return self.as_sql(
            compiler,
            connection,
            template="ROUND((JULIANDAY(%(expressions)s)) * 86400.0, 3)",
            arg_joiner=") - JULIANDAY(",
            **context,
        )


class Median(Aggregate):
    """The middle value. SQLite, which has no such thing, hands its values over as one JSON list."""

    name = "Median"
    output_field = FloatField()
    allow_distinct = False

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Exact: halfway between the two middle values when they are even in number."""
        ordered = self.copy()  # a filter's clause is put behind the template of the object, not of the call
        ordered.template = "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
        return ordered.as_sql(compiler, connection, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """NULLs come along and are left out when it is read."""
        return self.as_sql(compiler, connection, function="JSON_GROUP_ARRAY", **context)

    def convert_value(self, value: Any, expression: Any, connection: Any) -> float | None:
        """The number, whichever way it came."""
        if isinstance(value, str):
            numbers = [number for number in json.loads(value) if number is not None]
            return float(median(numbers)) if numbers else None
        return None if value is None else float(value)
