"""Where a training stands in the endpoint's queue, and whether a worker must start for it first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from training.endpoints import EndpointState
from training.models import Status, TrainingVersion


@dataclass(frozen=True)
class Place:
    """``position`` counts from 1 among this site's trainings; ``waiting`` is the endpoint's whole queue."""

    position: int
    waiting: int
    cold: bool
    trouble: str = ""

    @property
    def words(self) -> str:
        """One line for the page."""
        if self.trouble:
            return f"The endpoint has trouble: {self.trouble}"
        line = "Next in the queue." if self.position == 1 else f"Number {self.position} in the queue."
        if self.waiting > self.position:
            line += f" {self.waiting} jobs wait at the endpoint."
        return f"{line} A worker has to start first: a cold start." if self.cold else line


def place_of(version: TrainingVersion) -> Place | None:
    """``None`` when it is not in the queue. Two queries, no call to the endpoint."""
    return places_of([version]).get(version.pk)


def places_of(versions: Iterable[TrainingVersion]) -> dict[int, Place]:
    """The places of those that are in the queue, by key. Two queries, however many."""
    asked = [each for each in versions if each.status == Status.QUEUED and each.submitted_at]
    if not asked:
        return {}
    queues: dict[str, list[int]] = defaultdict(list)
    waiting = TrainingVersion.objects.filter(status=Status.QUEUED, submitted_at__isnull=False)
    for endpoint_id, pk in waiting.order_by("submitted_at", "pk").values_list("endpoint_id", "pk"):
        queues[endpoint_id].append(pk)
    state = EndpointState.current()
    places = {}
    for version in asked:
        queue = queues[version.endpoint_id]
        position = queue.index(version.pk) + 1 if version.pk in queue else 1
        if state is None or state.endpoint_id != version.endpoint_id:
            places[version.pk] = Place(position, position, cold=False)
        else:
            seen = max(position, state.count("jobs", "inQueue"))
            places[version.pk] = Place(position, seen, state.is_cold, state.trouble)
    return places
