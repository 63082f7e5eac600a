"""A preview's input, read into typed values and checked before anything is fetched or imported."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from typing import Any, NoReturn

from worker.order import JobFailedError, Upload, read_object, read_text, read_upload, read_url

MODE = "preview"
MAX_IMAGES = 256
MAX_LORAS = 32
MAX_STEPS = 100
MAX_STRENGTH = 2.0
MAX_PROMPT = 2000
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class LoraSource:
    """A LoRA to draw with. ``version`` (V3) and ``step`` are for people: messages and the files' notes."""

    download_url: str
    version: str
    step: int | None

    def __repr__(self) -> str:  # never the signed link
        return f"LoraSource({self.name})"

    @property
    def name(self) -> str:
        """As messages call it."""
        return self.version if self.step is None else f"{self.version} at step {self.step}"


@dataclass(frozen=True)
class OrderedImage:
    """One picture: ``lora`` is an index into the order's LoRAs, ``steps`` None the base's own number."""

    prompt: str
    seed: int
    strength: float
    steps: int | None
    lora: int
    target: Upload


@dataclass(frozen=True)
class DrawOrder:
    """A preview as the site ordered it."""

    request_id: str
    model_name: str
    base_model: str
    loras: list[LoraSource]
    images: list[OrderedImage]

    @property
    def key(self) -> str:
        """The same for every delivery of this job, whatever its links were signed with."""
        identity = json.dumps([MODE, self.request_id, *(image.target.url for image in self.images)])
        return hashlib.sha256(identity.encode()).hexdigest()

    @property
    def used_loras(self) -> list[int]:
        """Which LoRAs any picture needs: at strength 0 the base draws alone."""
        return sorted({image.lora for image in self.images if image.strength})


def is_preview(job_input: Any) -> bool:
    """Whether the input orders pictures, not a training."""
    config = job_input.get("training_config") if isinstance(job_input, dict) else None
    return isinstance(config, dict) and config.get("mode") == MODE


def read_draw_order(job_input: Any) -> DrawOrder:
    """Raises :class:`JobFailedError` naming what is missing or of the wrong kind."""
    config = read_object(job_input, "training_config")
    loras = [_lora(item, number) for number, item in enumerate(_list(config, "loras", MAX_LORAS), 1)]
    images = [_image(item, number) for number, item in enumerate(_list(config, "images", MAX_IMAGES), 1)]
    if not images:
        raise JobFailedError("training_config.images is empty: order at least one picture.")
    for number, image in enumerate(images, 1):
        if image.strength and image.lora >= len(loras):
            wanted = f"an index into training_config.loras, which has {len(loras)} entries"
            _refuse(number, "lora", wanted, image.lora)
    return DrawOrder(
        request_id=read_text(config, "request_id"),
        model_name=read_text(config, "model_name"),
        base_model=str(config.get("base_model") or os.environ.get("ACTORTRAIN_BASE_MODEL", "embedded")),
        loras=loras,
        images=images,
    )


def _list(config: dict[str, Any], name: str, most: int) -> list[Any]:
    value = config.get(name) or []
    if not isinstance(value, list):
        raise JobFailedError(f"training_config.{name} must be a list.")
    if len(value) > most:
        raise JobFailedError(f"training_config.{name} has {len(value)} entries; at most {most} can be drawn.")
    return value


def _lora(item: Any, number: int) -> LoraSource:
    where = f"training_config.loras: entry {number}"
    if not isinstance(item, dict) or not item.get("download_url"):
        raise JobFailedError(f"{where} must have a download_url: a signed link to the LoRA.")
    read_url(item["download_url"], f"{where}: its download_url")
    step = item.get("step")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int) or step < 0):
        raise JobFailedError(f"{where}: step must be a whole number from 0, not {step!r}.")
    return LoraSource(item["download_url"], str(item.get("version") or "LoRA")[:100], step)


def _image(item: Any, number: int) -> OrderedImage:
    if not isinstance(item, dict):
        raise JobFailedError(f"training_config.images: entry {number} must be an object.")
    prompt, steps = item.get("prompt"), item.get("steps")
    if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > MAX_PROMPT:
        _refuse(number, "prompt", f"a text of 1 to {MAX_PROMPT} characters", prompt)
    if steps is not None:
        steps = _whole(item, number, "steps", 1, MAX_STEPS)
    return OrderedImage(
        prompt=prompt.strip(),
        seed=_whole(item, number, "seed", 0, MAX_SEED),
        strength=_strength(item, number),
        steps=steps,
        lora=_whole({"lora": 0, **item}, number, "lora", 0, MAX_LORAS - 1),
        target=read_upload(item, f"training_config.images: entry {number}"),
    )


def _strength(item: dict[str, Any], number: int) -> float:
    value = item.get("strength", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        _refuse(number, "strength", "a number", value)
    if not 0 <= value <= MAX_STRENGTH:
        _refuse(number, "strength", f"between 0 and {MAX_STRENGTH:g}", value)
    return float(value)


def _whole(item: dict[str, Any], number: int, name: str, lowest: int, highest: int) -> int:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        _refuse(number, name, f"a whole number between {lowest} and {highest}", value)
    return value


def _refuse(number: int, name: str, wanted: str, value: Any) -> NoReturn:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:60] + "…"
    raise JobFailedError(f"training_config.images: {name} of entry {number} must be {wanted}, not {shown}.")
