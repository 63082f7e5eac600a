"""The LoRA itself: where it sits in a Flux transformer, and the file it ends in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import save
from torch import Tensor, nn

ADAPTER = "default"
ATTENTION = r"to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out"
#: Attention and feed-forward layers. Marks of a face (a scar, eyes of two colours) need the latter.
TARGETS = (
    rf"transformer_blocks\.\d+\.(attn\.({ATTENTION})|ff(_context)?\.net\.(0\.proj|2))"
    r"|single_transformer_blocks\.\d+\.(attn\.(to_q|to_k|to_v)|proj_mlp|proj_out)"
)


def add_lora(transformer: Any, dim: int, alpha: int) -> list[nn.Parameter]:
    """Freezes ``transformer`` and gives it a LoRA that changes nothing yet; its weights are fp32."""
    transformer.requires_grad_(False)
    transformer.add_adapter(LoraConfig(r=dim, lora_alpha=alpha, target_modules=TARGETS), ADAPTER)
    weights = [parameter for parameter in transformer.parameters() if parameter.requires_grad]
    for weight in weights:
        weight.data = weight.data.float()
    return weights


def _layers(transformer: Any) -> Iterator[Any]:
    return (module for module in transformer.modules() if isinstance(module, LoraLayer))


def switch_lora(transformer: Any, *, on: bool) -> None:
    """Lets the base answer alone, or with its LoRA."""
    if on:
        transformer.enable_adapters()
    else:
        transformer.disable_adapters()


@torch.no_grad()
def settle_lora(transformer: Any, dtype: torch.dtype) -> None:
    """Makes the LoRA exactly what its file will hold, so that the last samples show the file.

    The strength (alpha / dim) goes into the weights: some programs that read LoRA files look for
    it in the metadata, some in extra tensors, and some assume 1.
    """
    for layer in _layers(transformer):
        down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
        # As loaders do, the rounded weights then work in the precision of the base around them.
        working = layer.get_base_layer().weight.dtype
        down.data = down.to(dtype).to(working)
        up.data = (up * layer.scaling[ADAPTER]).to(dtype).to(working)
        layer.scaling[ADAPTER] = 1.0


@torch.no_grad()
def checkpoint_bytes(transformer: Any, dtype: torch.dtype, metadata: dict[str, str]) -> bytes:
    """The LoRA in the middle of its training as a file, as :func:`settle_lora` would leave it."""
    scales = {name: layer.scaling[ADAPTER] for name, layer in transformer.named_modules() if _is_layer(layer)}
    state = get_peft_model_state_dict(transformer, adapter_name=ADAPTER)
    scaled = {
        name: value * scales[name.removesuffix(".lora_B.weight")] if ".lora_B." in name else value
        for name, value in state.items()
    }
    return _file_of(scaled, dtype, metadata)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, LoraLayer)


def _file_of(state: dict[str, Tensor], dtype: torch.dtype, metadata: dict[str, str]) -> bytes:
    """diffusers' naming: ``transformer.BLOCK.lora_A.weight``."""
    tensors = {
        f"transformer.{name}": value.to("cpu", dtype).contiguous() for name, value in sorted(state.items())
    }
    return _ordered(save(tensors, metadata={"format": "pt", **metadata}))


def _ordered(content: bytes) -> bytes:
    """``content`` with its header's keys sorted: safetensors writes metadata in a random order."""
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def write_lora(path: Path, transformer: Any, dtype: torch.dtype, metadata: dict[str, str]) -> str:
    """Writes ``path`` in one move and returns its SHA-256. Raises ``OSError`` on a full disk.

    Call :func:`settle_lora` first.
    """
    content = _file_of(get_peft_model_state_dict(transformer, adapter_name=ADAPTER), dtype, metadata)
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """All of the file or none of it. Raises ``OSError`` on a full disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
