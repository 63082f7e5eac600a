"""Where each actor stands, one row each, so that a library of ten thousand is filtered and counted at once.

``training/standing.py`` says what a state is; this only keeps it. Database triggers note every actor whose
images or versions have changed, inside the very transaction that changes them, and whoever opens the
library next works the notes off. So no verb can forget it, bulk updates, the admin and plain SQL included.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, models, transaction

from actors.models import Actor
from actors.snapshot_triggers import Watched

#: Actors written in one go.
BATCH = 500


class StandingChange(models.Model):
    """An actor whose row is out of date. Rows are only added and taken, never shared."""

    actor_id = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.actor_id)


class ActorStanding(models.Model):
    """What the library filters, counts and sorts by."""

    actor = models.OneToOneField(
        Actor, primary_key=True, on_delete=models.CASCADE, related_name="standing_row"
    )
    state = models.CharField(max_length=20)
    images = models.PositiveIntegerField(default=0)
    last_training = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.actor_id}: {self.state}"


NOTES = StandingChange._meta.db_table
#: Progress writes a version every few seconds and changes nothing that the library shows by its rows.
_MOVED = " OR ".join(
    [
        "OLD.status <> NEW.status",
        "OLD.is_good <> NEW.is_good",
        *(
            f"COALESCE(CAST(OLD.{moment} AS TEXT), '') <> COALESCE(CAST(NEW.{moment} AS TEXT), '')"
            for moment in ("good_at", "finished_at", "created_at")
        ),
    ]
)
WATCHED = (
    Watched("actors_actor", "SELECT {row}.id", notes=NOTES, purpose="standing", when="OLD.id <> NEW.id"),
    Watched("actors_trainingdataset", "SELECT {row}.actor_id", notes=NOTES, purpose="standing"),
    Watched(
        "actors_trainingimage",
        "SELECT actor_id FROM actors_trainingdataset WHERE id = {row}.dataset_id",
        notes=NOTES,
        purpose="standing",
    ),
    Watched(
        "training_trainingversion", "SELECT {row}.actor_id", notes=NOTES, purpose="standing", when=_MOVED
    ),
)


def refresh() -> None:
    """Brings every row up to date that a note names."""
    if not StandingChange.objects.exists():
        return
    with transaction.atomic():
        actors = _take_all()
        for start in range(0, len(actors), BATCH):
            _rewrite(actors[start : start + BATCH])


def _take_all() -> list[int]:
    """Removes the notes that are visible now and returns whom they name; their data is read afterwards.

    One statement: a second reader waits here for the first one's end, so an older state never comes last.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {NOTES} RETURNING actor_id")  # noqa: S608
        return sorted({row[0] for row in cursor.fetchall()})


def _rewrite(actors: list[int]) -> None:
    from training.standing import with_standing  # it asks the models, which are loaded after this

    rows: models.QuerySet[Any, Any] = with_standing(Actor.objects.filter(pk__in=actors))
    ActorStanding.objects.bulk_create(
        (
            ActorStanding(actor_id=pk, state=state, images=images, last_training=last)
            for pk, state, images, last in rows.values_list("pk", "state", "included_count", "last_created")
        ),
        update_conflicts=True,
        unique_fields=["actor"],
        update_fields=["state", "images", "last_training"],
    )
