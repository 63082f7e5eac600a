"""What the trainer tells the handler: one JSON object a line on standard output.

``train.py`` calls :func:`emit`; ``handler.py`` gives every line to :func:`parse`, which answers
``None`` for a line that is no event (a library's own print).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import ClassVar, Literal, get_args

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Stage:
    """A stage of the contract has begun; the trainer itself only knows ``training``."""

    event: ClassVar[str] = "stage"
    stage: str


@dataclass(frozen=True)
class Step:
    """One optimiser step is done. ``seconds_per_step`` is the mean of the training so far."""

    event: ClassVar[str] = "step"
    step: int
    total_steps: int
    loss: float
    learning_rate: float
    seconds_per_step: float


@dataclass(frozen=True)
class Validation:
    """Loss on the training images with noise and times that never change: comparable over steps."""

    event: ClassVar[str] = "validation"
    step: int
    loss: float


@dataclass(frozen=True)
class Sample:
    """A sample lies at ``path`` (PNG). ``prompt`` is its index in the job's ``sample_prompts``."""

    event: ClassVar[str] = "sample"
    step: int
    prompt: int
    seed: int
    path: str


@dataclass(frozen=True)
class Checkpoint:
    """The LoRA as it is at this step lies at ``path``."""

    event: ClassVar[str] = "checkpoint"
    step: int
    path: str


@dataclass(frozen=True)
class Picture:
    """A picture of a preview lies at ``path`` (PNG). ``image`` is its index in the job's ``images``."""

    event: ClassVar[str] = "picture"
    image: int
    path: str


@dataclass(frozen=True)
class Drawn:
    """The last event of a good preview."""

    event: ClassVar[str] = "drawn"
    images: int
    seconds: float
    peak_memory_mb: int


@dataclass(frozen=True)
class Refused:
    """The preview can't be drawn, and why. The process itself is well and waits for the next one."""

    event: ClassVar[str] = "refused"
    message: str


@dataclass(frozen=True)
class Heldback:
    """Denoising loss on images that were not trained on, of the base alone and with the LoRA."""

    event: ClassVar[str] = "heldback"
    images: int
    base_loss: float
    lora_loss: float


@dataclass(frozen=True)
class Log:
    """A line for a person to read."""

    event: ClassVar[str] = "log"
    level: Level
    message: str


@dataclass(frozen=True)
class Done:
    """The last event of a good run: the LoRA lies at ``path``."""

    event: ClassVar[str] = "done"
    path: str
    size_bytes: int
    sha256: str
    seconds: float
    peak_memory_mb: int


@dataclass(frozen=True)
class Error:
    """The last event of a failed run: what is wrong and what to do, in one line."""

    event: ClassVar[str] = "error"
    message: str


Event = (
    Stage
    | Step
    | Validation
    | Sample
    | Checkpoint
    | Picture
    | Drawn
    | Refused
    | Heldback
    | Log
    | Done
    | Error
)
KINDS: dict[str, type[Event]] = {kind.event: kind for kind in get_args(Event)}


def emit(event: Event) -> None:
    """Prints ``event`` at once, so that a reader of the pipe sees it when it happens."""
    print(json.dumps({"event": event.event, **asdict(event)}, ensure_ascii=False), flush=True)


def parse(line: str) -> Event | None:
    """The event in ``line``; ``None`` when the line holds none. Unknown keys are left out."""
    try:
        data = json.loads(line)
        kind = KINDS[data["event"]]
        return kind(**{field.name: data[field.name] for field in fields(kind)})
    except (ValueError, KeyError, TypeError):
        return None
