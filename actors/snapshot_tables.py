"""What the published registry is kept in: one row of JSON per actor, and who has changed since.

Database triggers (``snapshot_triggers.py``) write a ``RegistryChange`` inside the very transaction that
changes an actor, its dataset, its images or its good version. Whoever reads the registry next turns the
changes into new fragments (``snapshot.py``). So writers share no row, nothing can be forgotten, bulk
updates, the admin and plain SQL included, and what a rolled-back transaction did never shows.
"""

from __future__ import annotations

import uuid
from typing import Self

from django.db import connection, models


class RegistryChange(models.Model):
    """A changed actor. Rows are only added and taken, never shared: see ``take_all``."""

    actor_id = models.BigIntegerField()

    class Meta:
        app_label = "actors"

    def __str__(self) -> str:
        return str(self.actor_id)

    @classmethod
    def take_all(cls) -> list[int]:
        """Removes what is visible now and returns whom it names; read their data only afterwards.

        One statement, so that a change that commits meanwhile keeps its row for the next reader,
        whatever the order of ids and commits.
        """
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {cls._meta.db_table} RETURNING actor_id")  # noqa: S608  # own name
            return sorted({row[0] for row in cursor.fetchall()})


class RegistryFragment(models.Model):
    """One actor as ``actors.json`` shows it; empty for those it no longer shows."""

    actor_id = models.BigIntegerField(primary_key=True)
    position = models.PositiveBigIntegerField()
    json = models.TextField()
    revision = models.PositiveBigIntegerField(db_index=True)

    class Meta:
        app_label = "actors"

    def __str__(self) -> str:
        return f"actor {self.actor_id}, revision {self.revision}"


class RegistryState(models.Model):
    """The one row that names what the registry holds now."""

    revision = models.PositiveBigIntegerField(default=0)
    #: Differs for every revision of every database, also when one is restored from a backup.
    tag = models.UUIDField(default=uuid.uuid4)
    #: Revisions of one epoch follow each other.
    epoch = models.UUIDField(default=uuid.uuid4)

    class Meta:
        app_label = "actors"

    def __str__(self) -> str:
        return f"revision {self.revision}"

    @classmethod
    def lock(cls) -> Self:
        """The row, made when missing, for one transaction at a time."""
        rows = cls.objects.select_for_update().filter(pk=1)
        if row := rows.first():
            return row
        cls.objects.bulk_create([cls(pk=1)], ignore_conflicts=True)
        return rows.get()

    def advance(self) -> None:
        """The next revision."""
        self.revision, self.tag = self.revision + 1, uuid.uuid4()
        self.save(update_fields=["revision", "tag"])
