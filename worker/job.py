"""The trainer's order: ``job.json`` read into typed values, each problem told in one sentence.

The handler reads the parameters by the same rules, so nothing here may import torch: that takes seconds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

#: The base model that comes with the worker.
EMBEDDED_BASE = Path(__file__).parent / "base"
SCHEDULERS = ("cosine", "cosine_with_restarts", "constant", "linear")
OPTIMIZERS = ("adamw8bit", "adafactor")
DTYPES = ("bf16", "fp16")


class JobError(Exception):
    """The job cannot be done; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Parameters:
    """The eleven. The site keeps to narrower ranges per base; these are what the trainer can do."""

    learning_rate: float
    max_train_steps: int
    network_dim: int
    network_alpha: int
    class_tokens: str
    batch_size: int
    num_repeats: int
    lr_scheduler: str
    lr_warmup_steps: int
    optimizer_type: str
    gradient_dtype: str

    def as_json(self) -> str:
        """For the LoRA's metadata."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True)
class JobImage:
    """One training image and what is written about it."""

    path: Path
    caption: str


@dataclass(frozen=True)
class SamplePrompt:
    """A sample's prompt and the seed of its noise."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class Job:
    """All that ``train.py`` needs to know."""

    images: list[JobImage]
    heldback: list[JobImage]
    parameters: Parameters
    base_model: str
    base: str | Path
    seed: int
    sample_prompts: list[SamplePrompt]
    sample_steps: frozenset[int]
    checkpoint_steps: frozenset[int]
    dataset_fingerprint: str
    model_name: str
    output: Path
    samples: Path


def load_job(directory: Path) -> Job:
    """Reads ``directory/job.json``. Relative paths in it start at ``directory``."""
    file = directory / "job.json"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JobError(f"There is no {file}: give the directory of a job.") from None
    except ValueError as error:
        raise JobError(f"{file} is not JSON ({error}).") from None
    if not isinstance(data, dict):
        raise JobError(f"{file} must hold one JSON object.")
    try:
        images = _images(data["images"], directory)
        base_model = str(data.get("base_model") or "embedded")
        job = Job(
            images=images,
            heldback=_images(data.get("heldback") or [], directory),
            parameters=read_parameters(data["parameters"]),
            base_model=base_model,
            base=EMBEDDED_BASE if base_model == "embedded" else base_model,
            seed=int(data.get("seed", 0)),
            sample_prompts=[
                SamplePrompt(str(item["prompt"]), int(item["seed"]))
                for item in data.get("sample_prompts") or []
            ],
            sample_steps=frozenset(int(step) for step in data.get("sample_steps") or []),
            checkpoint_steps=frozenset(int(step) for step in data.get("checkpoint_steps") or []),
            dataset_fingerprint=str(data.get("dataset_fingerprint") or ""),
            model_name=str(data.get("model_name") or "lora"),
            output=directory / data["output"],
            samples=directory / "samples",
        )
    except KeyError as error:
        raise JobError(f"{file} lacks {error}.") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise JobError(f"{file} has a value of the wrong kind ({error}).") from None
    if not images:
        raise JobError("The job has no images: add training images to the actor and launch again.")
    return job


def _images(items: list[dict[str, Any]], directory: Path) -> list[JobImage]:
    return [JobImage(directory / item["path"], str(item.get("caption") or "")) for item in items]


def read_parameters(values: dict[str, Any]) -> Parameters:
    """Checked parameters. Raises :class:`JobError` naming the parameter and what it may be."""
    steps = _whole(values, "max_train_steps", 1, 100_000)
    return Parameters(
        learning_rate=_rate(values),
        max_train_steps=steps,
        network_dim=_whole(values, "network_dim", 1, 256),
        network_alpha=_whole(values, "network_alpha", 1, 256),
        class_tokens=_text(values, "class_tokens"),
        batch_size=_whole(values, "batch_size", 1, 64),
        num_repeats=_whole(values, "num_repeats", 1, 1000),
        lr_scheduler=_choice(values, "lr_scheduler", SCHEDULERS),
        lr_warmup_steps=_whole(values, "lr_warmup_steps", 0, steps),
        optimizer_type=_choice(values, "optimizer_type", OPTIMIZERS),
        gradient_dtype=_choice(values, "gradient_dtype", DTYPES),
    )


def _refuse(name: str, wanted: str, value: Any) -> NoReturn:
    raise JobError(f"Parameter {name} must be {wanted}, not {value!r}: correct it and launch again.")


def _rate(values: dict[str, Any]) -> float:
    value = values.get("learning_rate")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        _refuse("learning_rate", "a number above 0 and at most 1", value)
    return float(value)


def _whole(values: dict[str, Any], name: str, lowest: int, highest: int) -> int:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        _refuse(name, "a whole number", value)
    if not lowest <= value <= highest:
        _refuse(name, f"between {lowest} and {highest}", value)
    return int(value)


def _text(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > 200:
        _refuse(name, "a text of 1 to 200 characters", value)
    return value.strip()


def _choice(values: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = values.get(name)
    if value not in choices:
        _refuse(name, "one of " + ", ".join(choices), value)
    return str(value)
