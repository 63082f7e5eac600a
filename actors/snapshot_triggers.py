"""Triggers that note every actor whose place in ``actors.json``, or in another list, may have changed.

They are installed after each ``migrate`` rather than by a migration, because SQLite's schema changes
rebuild tables and silently drop their triggers.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

CHANGES = "actors_registrychange"


@dataclass(frozen=True)
class Watched:
    """A table, and the SELECT that names the actors whom one of its rows (``{row}``) is about.

    ``notes`` is the table that keeps them, ``when`` says which updates count (all, when empty).
    """

    table: str
    select: str
    notes: str = CHANGES
    purpose: str = "registry"
    when: str = ""

    def statements(self, vendor: str) -> list[str]:
        """SQL that installs the three triggers, new or again."""
        of_new, of_old = self.select.format(row="NEW"), self.select.format(row="OLD")
        update = f"SELECT * FROM ({of_old} UNION {of_new}) AS named"  # noqa: S608  # own names
        if self.when:
            update += f" WHERE {self.when}"
        events = {"insert": of_new, "update": update, "delete": of_old}
        make = _on_postgresql if vendor == "postgresql" else _on_sqlite
        return [sql for event, select in events.items() for sql in make(self, event, select)]


ACTORS = (
    Watched("actors_actor", "SELECT {row}.id"),
    Watched("actors_trainingdataset", "SELECT {row}.actor_id"),
    Watched(
        "actors_trainingimage", "SELECT actor_id FROM actors_trainingdataset WHERE id = {row}.dataset_id"
    ),
)

RIGHTS = Watched("actors_likenessrights", "SELECT {row}.actor_id")


def install(*watched: Watched) -> None:
    """Installs the triggers, and has every actor written again: the code that writes may have changed."""
    tables = set(connection.introspection.table_names())
    notes = {each.notes for each in watched}
    if not {*notes, "actors_actor", *(each.table for each in watched)} <= tables:
        return  # migrated back to before these tables
    with connection.cursor() as cursor:
        for each in watched:
            for statement in each.statements(connection.vendor):
                cursor.execute(statement)
        for table in notes:
            cursor.execute(f"INSERT INTO {table} (actor_id) SELECT id FROM actors_actor")  # noqa: S608  # own name


def _on_sqlite(watched: Watched, event: str, select: str) -> list[str]:
    name = f"{watched.table}_{watched.purpose}_{event}"
    return [
        f"DROP TRIGGER IF EXISTS {name}",
        f"CREATE TRIGGER {name} AFTER {event} ON {watched.table} BEGIN "
        f"INSERT INTO {watched.notes} (actor_id) {select}; END",
    ]


def _on_postgresql(watched: Watched, event: str, select: str) -> list[str]:
    name = f"{watched.table}_{watched.purpose}_{event}"
    return [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"INSERT INTO {watched.notes} (actor_id) {select}; RETURN NULL; END $$",
        f"CREATE OR REPLACE TRIGGER {name} AFTER {event} ON {watched.table} "
        f"FOR EACH ROW EXECUTE FUNCTION {name}()",
    ]
