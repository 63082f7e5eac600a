"""Where a training stands in the endpoint's queue, and whether a worker must start for it first."""

from __future__ import annotations

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
    if version.status != Status.QUEUED or version.submitted_at is None:
        return None
    ahead = TrainingVersion.objects.filter(
        status=Status.QUEUED, endpoint_id=version.endpoint_id, submitted_at__lt=version.submitted_at
    ).count()
    state = EndpointState.current()
    if state is None or state.endpoint_id != version.endpoint_id:
        return Place(ahead + 1, ahead + 1, cold=False)
    waiting = max(ahead + 1, state.count("jobs", "inQueue"))
    return Place(ahead + 1, waiting, state.is_cold, state.trouble)
