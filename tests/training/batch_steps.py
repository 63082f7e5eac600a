"""Steps that tests of batches share."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from actors.models import Actor
from tests.factories import make_actor
from training import batch_launches, batch_plan, batch_planning, batches, paid
from training.models import Batch, BatchItem, Status, TrainingVersion


def plan(actors: int | list[Actor] = 3, **settings: Any) -> Batch:
    """A planned batch of so many actors that can start, or of these."""
    return looked_at(asked(actors, **settings))


def asked(actors: int | list[Actor] = 3, **settings: Any) -> Batch:
    """The choice alone: the task queue has not looked at anybody yet."""
    people = [make_actor() for _ in range(actors)] if isinstance(actors, int) else actors
    return batch_plan.make([actor.pk for actor in people], by=settings.pop("by", None), **settings)


def looked_at(batch: Batch) -> Batch:
    """What the task queue does with what was asked of it."""
    batch_planning.run(batch.pk)
    batch.refresh_from_db()
    return batch


def look_at_all() -> None:
    """The same for every batch."""
    for batch in Batch.objects.exclude(planning__asked=""):
        looked_at(batch)


def begin(batch: Batch, by: User | None = None) -> Batch:
    """Asked to begin, and begun."""
    batches.begin(batch, by)
    return looked_at(batch)


def retry(batch: Batch) -> int:
    """Asked to try the failed again; how many wait for it then."""
    batches.retry_failed(batch, None)
    return looked_at(batch).planning.ready


def begun(actors: int | list[Actor] = 3, **settings: Any) -> Batch:
    """A batch that runs; nothing is launched yet."""
    batch = plan(actors, **settings)
    return begin(batch, batch.created_by)


def end(item: BatchItem, status: str = Status.COMPLETED, **changes: Any) -> None:
    """The item's training ends now, as if the endpoint had said so."""
    versions = TrainingVersion.objects.filter(batch_item=item)
    versions.update(status=status, finished_at=timezone.now(), **changes)
    for version in versions:
        paid.keep_bill(version)


def end_all(batch: Batch, status: str = Status.COMPLETED, **changes: Any) -> None:
    """Everything that trains for the batch ends now."""
    for item in batch.items.filter(state="launched"):
        end(item, status, **changes)


def states(batch: Batch) -> list[str]:
    """The states of its items, in order."""
    return list(batch.items.order_by("position").values_list("state", flat=True))


def run_through(batch: Batch, status: str = Status.COMPLETED, rounds: int = 50, **changes: Any) -> None:
    """Round after round until it is no longer running."""
    for _ in range(rounds):
        batch_launches.advance()
        batch.refresh_from_db()
        if batch.state != "running":
            return
        end_all(batch, status, **changes)
    raise AssertionError(f"it still runs: {states(batch)}")
