"""Brings a base model, and LoRAs on it, into memory; whatever goes wrong is told in one sentence."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from worker.base_model import Flux, load_base
from worker.job import EMBEDDED_BASE, JobError


def base_location(base_model: str) -> str | Path:
    """Where a base lies: inside the worker, in a directory, or at the hub."""
    return EMBEDDED_BASE if base_model == "embedded" else base_model


def load_frozen(base_model: str, dtype: torch.dtype, device: torch.device) -> Flux:
    """The base, frozen, all but its transformer on ``device``. Raises :class:`JobError`."""
    try:
        pipeline = load_base(base_location(base_model), dtype)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, SafetensorError) as error:
        raise JobError(
            f"The base model {base_model} could not be loaded ({_reason(error)}). Give an existing directory "
            "or hub id; a hub model also needs the network, and HF_TOKEN if access to it is granted by name."
        ) from None
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module):
            part.requires_grad_(False).to("cpu" if name == "transformer" else device)
    return pipeline


def attach_lora(pipeline: Flux, path: Path, adapter: str, name: str) -> None:
    """Puts a LoRA file on the pipeline under the name ``adapter``. Raises :class:`JobError`."""
    try:
        pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name=adapter)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise JobError(
            f"The LoRA {name} does not fit the base model or is damaged ({_reason(error)}): "
            "draw it on the base it was trained on."
        ) from None
    if adapter not in pipeline.get_list_adapters().get("transformer", []):
        raise JobError(f"The LoRA {name} changes nothing in the base model: it was trained on another kind.")


def use_lora(pipeline: Flux, adapter: str | None, strength: float) -> None:
    """From now on the pipeline draws with this LoRA at this strength; 0 is the base alone."""
    if adapter is None or strength == 0:
        if pipeline.get_list_adapters():
            pipeline.disable_lora()
        return
    pipeline.enable_lora()
    pipeline.set_adapters([adapter], [strength])


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
