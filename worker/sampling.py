"""Draws sample images: one prompt, one seed, one image, always the same for the same LoRA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from worker.base_model import Flux
from worker.dataset import Text
from worker.job import SamplePrompt


@dataclass(frozen=True)
class Drawing:
    """How the base draws, from its card; the defaults are those of FLUX.1-dev."""

    resolution: int = 512
    max_tokens: int = 512
    steps: int = 28
    guidance_scale: float = 3.5
    true_cfg_scale: float = 1.0

    @classmethod
    def of(cls, card: dict[str, Any]) -> Drawing:
        """Reads a card as :func:`worker.base_model.base_card` gives it."""
        known = {name: card[name] for name in ("resolution", "max_tokens") if name in card}
        return cls(**known, **card.get("sampling", {}))


@torch.no_grad()
def draw(pipeline: Flux, drawing: Drawing, text: Text, empty: Text, seed: int) -> Image.Image:
    """One image. ``empty`` is the empty prompt, which true guidance steers away from."""
    images = pipeline(
        prompt_embeds=text.sequence[None],
        pooled_prompt_embeds=text.pooled[None],
        negative_prompt_embeds=empty.sequence[None],
        negative_pooled_prompt_embeds=empty.pooled[None],
        true_cfg_scale=drawing.true_cfg_scale,
        height=drawing.resolution,
        width=drawing.resolution,
        num_inference_steps=drawing.steps,
        guidance_scale=drawing.guidance_scale,
        generator=torch.Generator().manual_seed(seed),
    ).images
    image: Image.Image = images[0]
    return image


def save_sample(image: Image.Image, folder: Path, step: int, index: int, sample: SamplePrompt) -> Path:
    """Saves a PNG that says itself what was asked of it."""
    path = folder / f"step-{step:06d}-prompt-{index}.png"
    save_noted(image, path, {"prompt": sample.prompt, "seed": sample.seed, "step": step})
    return path


def save_noted(image: Image.Image, path: Path, notes: Mapping[str, object]) -> None:
    """A PNG with these notes in text chunks."""
    chunks = PngInfo()
    for key, value in notes.items():
        chunks.add_itxt(key, str(value))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, pnginfo=chunks)
