"""Keeps automatic ids above the ids that imports have set."""

from __future__ import annotations

from django.core.management.color import no_style
from django.db import connection, models


def continue_after_highest_id(model: type[models.Model]) -> None:
    """The next new row follows the highest id. SQLite does so by itself; PostgreSQL must be told."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [model]):
            cursor.execute(statement)
