"""The stages of a training: which is over, which is now, and when each began and is likely to begin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from training.models import Status, TrainingVersion

STAGES = {
    "queued": "Queued",
    "starting": "Worker starts",
    "downloading": "Images",
    "training": "Training",
    "uploading": "Upload",
    "done": "Done",
}
_KEYS = list(STAGES)
#: How the stage looks in which a version has ended.
_ENDS = {Status.FAILED: "failed", Status.CANCELLED: "cancelled", Status.COMPLETED: "done"}


@dataclass(frozen=True)
class Stage:
    """One part of the rail; ``state`` is ``done``, ``now``, ``failed``, ``cancelled`` or ``ahead``."""

    key: str
    label: str
    state: str
    at: datetime | None = None
    seconds: float | None = None
    expected: datetime | None = None


def rail_of(version: TrainingVersion, now: datetime, ends_at: datetime | None) -> list[Stage]:
    """Six stages with their true times; what is over stays as it was."""
    current, times = current_stage(version), stage_times(version)
    here = _KEYS.index(current)
    expected = {"done": ends_at}
    if current == "training":
        expected["uploading"] = ends_at  # an upload takes seconds

    def state(place: int) -> str:
        if place == here:
            return _ENDS.get(Status(version.status), "now")
        return "done" if place < here else "ahead"

    return [
        Stage(
            key,
            label,
            state(place),
            times.get(key),
            stage_seconds(key, times, end_of(version, now)),
            expected.get(key),
        )
        for place, (key, label) in enumerate(STAGES.items())
    ]


def end_of(version: TrainingVersion, now: datetime) -> datetime | None:
    """Now, while it goes on; old registries tell of no end."""
    return now if version.is_active else version.finished_at


def stage_seconds(key: str, times: dict[str, datetime], end: datetime | None) -> float | None:
    """How long a stage took, or has taken so far; for the last one the whole."""
    start = times.get(key)
    if start is None:
        return None
    if key == "done":
        return (start - times["queued"]).total_seconds()
    later = [times[each] for each in _KEYS[_KEYS.index(key) + 1 :] if each in times]
    until = later[0] if later else end
    return (until - start).total_seconds() if until else None


def stage_times(version: TrainingVersion) -> dict[str, datetime]:
    """When each stage began, as far as it is known."""
    times = {"queued": version.submitted_at or version.created_at}
    for entry in version.stages:
        times.setdefault(entry["stage"], datetime.fromisoformat(entry["started_at"]))
    if version.started_at:
        times.setdefault("starting", version.started_at)
    times.pop("done", None)
    if version.status == Status.COMPLETED and version.finished_at:
        times["done"] = version.finished_at
    return times


def current_stage(version: TrainingVersion) -> str:
    """Where it is, or where it ended."""
    if version.status == Status.COMPLETED:
        return "done"
    if version.stage in STAGES:
        return "uploading" if version.stage == "done" else version.stage
    if version.step:  # a container that reports steps, and no stages
        return "training"
    return "starting" if version.started_at else "queued"
