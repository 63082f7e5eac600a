"""What the page of a training shows: stages with true times, the meter, loss, samples and console."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from actors.models import TrainingImage
from training import launch
from training.base_models import base_model
from training.charts import loss_chart
from training.models import PARAMETER_NAMES, SampleImage, Status, TrainingVersion
from training.parameters import SPECS
from training.payload import sample_steps

#: The worker's stages as the rail shows them; "queued" is the site's own.
RAIL = {
    "queued": "Queued",
    "starting": "Worker starts",
    "downloading": "Images",
    "training": "Training",
    "uploading": "Upload",
    "done": "Done",
}


@dataclass
class Stage:
    """One station of the rail."""

    key: str
    label: str
    state: str  # done, now, later, failed
    started_at: datetime | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Line:
    """One line of the console."""

    at: datetime
    level: str
    message: str
    by: str = ""


@dataclass
class Strip:
    """The samples of one step; ``None`` where a picture is missing."""

    step: int
    samples: list[SampleImage | None] = field(default_factory=list)


def context(version: TrainingVersion) -> dict[str, Any]:
    """Everything of the fragment that updates itself. Seven queries, whatever the length."""
    now = timezone.now()
    prompts = version.sample_prompts()
    strips = sample_strips(version, len(prompts))
    reference = TrainingImage.objects.filter(
        dataset__actor=version.actor_id, included=True, state=TrainingImage.State.SYNCED
    ).first()
    estimate = launch.estimate_of(version)
    seconds = seconds_left(version, estimate.seconds, now)
    return {
        "version": version,
        "actor": version.actor,
        "base": base_model(version.base_model),
        "stages": rail(version, now),
        "estimate": estimate,
        "left_seconds": seconds,
        "ends_at": now + timedelta(seconds=seconds) if seconds is not None else None,
        "elapsed_seconds": elapsed(version, now),
        "estimated_step": estimated_step(version, estimate.seconds, now),
        "cost": launch.cost_so_far(version, now),
        "sample_marks": [step for step in sample_steps(version.max_train_steps or 0) if step],
        "chart": loss_chart(version.loss_history, version.max_train_steps),
        "log_chart": loss_chart(version.loss_history, version.max_train_steps, log=True),
        "prompts": [prompt.prompt for prompt in prompts],
        "strips": strips,
        "next_strip": next_strip(version, strips),
        "reference": reference,
        "console": console(version),
        "parameters": [(SPECS[name], getattr(version, name)) for name in PARAMETER_NAMES],
    }


def rail(version: TrainingVersion, now: datetime) -> list[Stage]:
    """The stations with their true times; how long each took is known from the next one's start."""
    starts = {mark["stage"]: parse_datetime(mark["started_at"]) for mark in version.stages}
    starts["queued"] = version.submitted_at or version.created_at
    if "starting" not in starts and version.started_at:
        starts["starting"] = version.started_at
    reached = [key for key in RAIL if starts.get(key)]
    stages = []
    for key, label in RAIL.items():
        began = starts.get(key)
        if began is None:
            passed = version.status == Status.COMPLETED
            stages.append(Stage(key, label, "done" if passed else "later"))
            continue
        following = [starts[after] for after in reached[reached.index(key) + 1 :]]
        ended = following[0] if following else version.finished_at or (now if version.is_active else None)
        seconds = (ended - began).total_seconds() if ended and key != "done" else None
        stages.append(Stage(key, label, "done" if following else "now", began, max(0.0, seconds or 0.0)))
    current = next((stage for stage in stages if stage.state == "now"), None)
    if current and not version.is_active:
        current.state = "done" if version.status == Status.COMPLETED else "failed"
    return stages


def elapsed(version: TrainingVersion, now: datetime) -> float:
    """Seconds from the start of the worker to the end, or to now."""
    began = version.started_at or version.submitted_at or version.created_at
    return max(0.0, ((version.finished_at or now) - began).total_seconds())


def seconds_left(version: TrainingVersion, estimated: float, now: datetime) -> float | None:
    """From the pace of this run where it has one, else from the estimate; ``None`` when it has ended."""
    if not version.is_active:
        return None
    if version.step and version.seconds_per_step and version.max_train_steps:
        return max(0.0, (version.max_train_steps - version.step) * version.seconds_per_step)
    if version.started_at is None:
        return estimated
    return max(0.0, estimated - (now - version.started_at).total_seconds())


def estimated_step(version: TrainingVersion, estimated: float, now: datetime) -> int | None:
    """For containers that report no steps: where the bar stands by the clock, never at its end."""
    if version.status != Status.TRAINING or version.step or version.stages or not version.started_at:
        return None
    share = min(0.97, (now - version.started_at).total_seconds() / max(1.0, estimated))
    return int(share * (version.max_train_steps or 0))


def sample_strips(version: TrainingVersion, prompts: int) -> list[Strip]:
    """Newest step first, each with a place for every prompt."""
    strips: dict[int, Strip] = {}
    for sample in version.samples.all():
        strip = strips.setdefault(sample.step, Strip(sample.step, [None] * prompts))
        if sample.prompt_index < len(strip.samples):
            strip.samples[sample.prompt_index] = sample
    return [strips[step] for step in sorted(strips, reverse=True)]


def next_strip(version: TrainingVersion, strips: list[Strip]) -> tuple[int, float | None] | None:
    """Step of the next samples and the seconds until then, while it trains."""
    if not version.is_active or version.stage in ("uploading", "done"):
        return None
    done = strips[0].step if strips else -1
    coming = next((step for step in sample_steps(version.max_train_steps or 0) if step > done), None)
    if coming is None:
        return None
    pace = version.seconds_per_step
    return coming, max(0.0, (coming - version.step) * pace) if pace else None


def console(version: TrainingVersion) -> list[Line]:
    """The version's events and the worker's own lines in the order of time."""
    events = [
        Line(event.at, event.level, event.message, event.by.get_username() if event.by else "")
        for event in version.events.select_related("by")
    ]
    lines = [
        Line(at, line["level"], line["message"])
        for line in version.log
        if (at := parse_datetime(line["at"])) is not None
    ]
    return sorted([*events, *lines], key=lambda line: line.at)


def timeline(versions: Iterable[TrainingVersion]) -> list[tuple[TrainingVersion, list[tuple[str, Any, Any]]]]:
    """Each version with the parameters in which it differs from the one before it: label, before, now."""
    newest_first = list(versions)
    rows = []
    for version, before in zip(newest_first, [*newest_first[1:], None], strict=True):
        changes = [
            (SPECS[name].label, getattr(before, name), getattr(version, name))
            for name in PARAMETER_NAMES
            if before is not None and getattr(before, name) != getattr(version, name)
        ]
        rows.append((version, changes))
    return rows
