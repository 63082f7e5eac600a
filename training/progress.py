"""The worker's progress picture of ``docs/contract.md``, parsed strictly.

A malformed part is dropped with a note and the rest is used: a stray container must not be able to
keep a paid training from finishing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict, TypeVar

from training import strict_json as read

STAGES = ("starting", "downloading", "training", "uploading", "done")
LEVELS = ("info", "warning", "error")

_MAX_POINTS = 1000
_MAX_LINES = 500
_MAX_SAMPLES = 1000
_MAX_CHECKPOINTS = 100

T = TypeVar("T")


class StageStart(TypedDict):
    stage: str
    started_at: str


class Sample(TypedDict):
    """A picture that lies at ``url`` already. ``prompt`` is an index into the payload's prompts."""

    step: int
    prompt: int
    url: str
    seed: int


class KeptCheckpoint(TypedDict):
    """The LoRA of a step in between, which lies at ``url`` already."""

    step: int
    url: str
    size_bytes: int | None


class LogLine(TypedDict):
    at: str
    level: str
    message: str


@dataclass(frozen=True)
class Progress:
    """The worker's full picture. The parts are JSON values already, and times ISO 8601 in UTC."""

    stage: str | None = None
    step: int | None = None
    total_steps: int | None = None
    seconds_per_step: float | None = None
    stages: tuple[StageStart, ...] = ()
    loss_history: tuple[tuple[int, float], ...] = ()
    samples: tuple[Sample, ...] = ()
    checkpoints: tuple[KeptCheckpoint, ...] = ()
    log: tuple[LogLine, ...] = ()


def parse_progress(value: object) -> tuple[Progress | None, list[str]]:
    """The contract's progress picture, and what of it was dropped. None when it is no such picture."""
    if not isinstance(value, Mapping) or not value.keys() & {"stage", "step", "total_steps"}:
        return None, []
    notes: list[str] = []

    def one(key: str, reader: Callable[[object], T | None]) -> T | None:
        raw = value.get(key)
        result = None if raw is None else reader(raw)
        if raw is not None and result is None:
            notes.append(f"progress: {key} was dropped")
        return result

    def many(key: str, reader: Callable[[object], T | None], most: int) -> tuple[T, ...]:
        raw = value.get(key)
        parts: Iterable[object] = raw[-most:] if isinstance(raw, list) else ()
        kept = tuple(part for part in map(reader, parts) if part is not None)
        dropped = len(raw) - len(kept) if isinstance(raw, list) else int(raw is not None)
        if dropped:
            notes.append(f"progress: {dropped} of {key} dropped")
        return kept

    return (
        Progress(
            stage=one("stage", lambda raw: raw if isinstance(raw, str) and raw in STAGES else None),
            step=one("step", read.integer),
            total_steps=one("total_steps", read.integer),
            seconds_per_step=one("seconds_per_step", read.positive),
            stages=many("stages", _stage_start, len(STAGES) * 4),
            loss_history=many("loss_history", _loss, _MAX_POINTS),
            samples=many("samples", _sample, _MAX_SAMPLES),
            checkpoints=many("checkpoints", _checkpoint, _MAX_CHECKPOINTS),
            log=many("log", _log_line, _MAX_LINES),
        ),
        notes,
    )


def _stage_start(value: object) -> StageStart | None:
    stage, at = read.at(value, "stage"), read.time(read.at(value, "started_at"))
    return {"stage": stage, "started_at": at} if isinstance(stage, str) and stage in STAGES and at else None


def _loss(value: object) -> tuple[int, float] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    step, loss = read.integer(value[0]), read.finite(value[1])
    return None if step is None or loss is None else (step, loss)


def _sample(value: object) -> Sample | None:
    step, prompt = read.integer(read.at(value, "step")), read.integer(read.at(value, "prompt"))
    url, seed = read.address(read.at(value, "url")), read.integer(read.at(value, "seed"), read.MAX_BIG_INT)
    if step is None or prompt is None or url is None:
        return None
    return {"step": step, "prompt": prompt, "url": url, "seed": seed or 0}


def _checkpoint(value: object) -> KeptCheckpoint | None:
    step, url = read.integer(read.at(value, "step")), read.address(read.at(value, "url"))
    if step is None or url is None:
        return None
    size = read.integer(read.at(value, "size_bytes"), read.MAX_BIG_INT)
    return {"step": step, "url": url, "size_bytes": size}


def log_lines(value: object) -> list[LogLine]:
    """The readable lines of a console."""
    lines = value[-_MAX_LINES:] if isinstance(value, list) else ()
    return [line for line in map(_log_line, lines) if line is not None]


def _log_line(value: object) -> LogLine | None:
    at, message = read.time(read.at(value, "at")), read.text(read.at(value, "message"), 2000)
    level = read.at(value, "level")
    if at is None or message is None:
        return None
    return {
        "at": at,
        "level": level if isinstance(level, str) and level in LEVELS else "info",
        "message": message,
    }
