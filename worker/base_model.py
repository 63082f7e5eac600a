"""Loads a base model: a diffusers Flux pipeline from a directory or a hub id.

The embedded base (``worker/base/``, made by ``make_base.py``) is a stock tiny Flux but for its
autoencoder: :class:`PatchCodec`, a linear code of 4×4 pixel patches behind diffusers' interface.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from diffusers import FluxPipeline
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import logging as diffusers_logging
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

#: Beside ``model_index.json``: what the pipeline's own files cannot say (resolution, sampling).
CARD_FILE = "actortrain.json"

#: A ``FluxPipeline``. To a type checker diffusers' pipelines have no attributes.
Flux: TypeAlias = Any


class PatchCodec(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers' mixins are untyped
    """Principal components of ``patch`` × ``patch`` pixel patches, as two fixed convolutions.

    A learned autoencoder of this size turns colours it has not seen grey; this one keeps them.
    """

    @register_to_config  # type: ignore[untyped-decorator]  # diffusers is untyped
    def __init__(
        self,
        latent_channels: int = 16,
        patch: int = 4,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        block_out_channels: tuple[int, ...] = (1, 1, 1),
    ) -> None:
        """``block_out_channels`` only tells the pipeline the factor: 2 ** (length - 1) pixels."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.encoder = nn.Conv2d(3, latent_channels, patch, patch)
        self.decoder = nn.ConvTranspose2d(latent_channels, 3, patch, patch)

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:  # noqa: FBT001, FBT002  # diffusers' signature
        """Pixels in -1..1, (batch, 3, h, w) → a distribution of no width over the latents."""
        mean = self.encoder(x)
        moments = torch.cat([mean, torch.full_like(mean, -30.0)], dim=1)
        posterior = DiagonalGaussianDistribution(moments, deterministic=True)
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def decode(
        self,
        z: Tensor,
        return_dict: bool = True,  # noqa: FBT001, FBT002  # diffusers' signature
        generator: Any = None,
    ) -> Any:
        """Latents (batch, channels, h / patch, w / patch) → pixels in -1..1."""
        pixels = self.decoder(z)
        return DecoderOutput(sample=pixels) if return_dict else (pixels,)


def base_card(base: str | Path) -> dict[str, Any]:
    """The base's card, or ``{}`` for bases that come without one (any hub model)."""
    path = Path(base) / CARD_FILE
    return cast("dict[str, Any]", json.loads(path.read_text())) if path.is_file() else {}


def load_base(base: str | Path, dtype: torch.dtype = torch.float32) -> Flux:
    """The pipeline on the CPU, progress bars off. Raises ``OSError`` when the base is missing."""
    # Not in diffusers' table of classes: the codec. The pipeline would remark on it each time.
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    parts: dict[str, Any] = {}
    codec = Path(base) / "vae"
    if codec.is_dir() and json.loads((codec / "config.json").read_text())["_class_name"] == "PatchCodec":
        parts["vae"] = PatchCodec.from_pretrained(codec, dtype=dtype)
    pipeline: Flux = FluxPipeline.from_pretrained(str(base), dtype=dtype, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
