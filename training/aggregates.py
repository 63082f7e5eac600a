"""What the database hands over and Django has no words for: moments as numbers, and whole columns."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import Aggregate, BinaryField, FloatField, Func, Value
from django.db.models.functions import Cast, Coalesce

#: A column: NaN where nothing is known.
Numbers = npt.NDArray[np.float64]


class Moment(Func):
    """A moment as seconds since 1970; NULL stays NULL."""

    output_field = FloatField()
    arity = 1

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """``DATE_PART`` answers a float; ``EXTRACT`` goes by way of a slow decimal."""
        return self.as_sql(compiler, connection, template="DATE_PART('epoch', %(expressions)s)", **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Text there, cut off after a millisecond and not rounded: no moment may fall into the next day."""
        seconds, text = self.copy(), "%(expressions)s"
        seconds.template = (
            f"((STRFTIME('%%%%s', SUBSTR({text}, 1, 19)) * 1000 + SUBSTR({text}, 21, 3)) / 1000.0)"
        )
        return seconds.as_sql(compiler, connection, **context)


class Column(Aggregate):
    """The values of all rows in one cell, which becomes one array: no row is ever a Python object.

    Columns of one query have their rows in the same order.
    """

    name = "Column"
    output_field = BinaryField()
    allow_distinct = False

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Eight bytes each, as PostgreSQL sends a float."""
        value, *rest = self.get_source_expressions()
        packed = self.copy()
        known = Coalesce(Cast(value, FloatField()), Value(float("nan"), FloatField()))
        packed.set_source_expressions([known, *rest])
        packed.template = "STRING_AGG(FLOAT8SEND(%(expressions)s), ''::BYTEA)"
        return packed.as_sql(compiler, connection, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """A JSON list."""
        return self.as_sql(compiler, connection, function="JSON_GROUP_ARRAY", **context)

    def convert_value(self, value: Any, expression: Any, connection: Any) -> Numbers:
        """Whichever way it came; an empty one without rows."""
        if isinstance(value, str):
            return np.array(json.loads(value), np.float64)
        return np.frombuffer(value or b"", ">f8").astype(np.float64)
