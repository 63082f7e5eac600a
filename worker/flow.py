"""Flow matching: what a Flux transformer is asked, and how wrong its answer is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import FluxPipeline
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from torch import Tensor, nn

from worker.base_model import Flux
from worker.dataset import Examples

#: Times and noises per image in a fixed-noise loss.
FIXED_DRAWS = 4


@dataclass(frozen=True)
class Flow:
    """The transformer and the geometry of its latents: a square of ``side`` × ``side`` tokens."""

    transformer: Any
    side: int
    shift: float

    @classmethod
    def of(cls, pipeline: Flux, resolution: int) -> Flow:
        """The shift moves times towards noise as the base's own scheduler does when drawing."""
        side = resolution // (pipeline.vae_scale_factor * 2)
        config = pipeline.scheduler.config
        if config.use_dynamic_shifting:
            shift = math.exp(
                calculate_shift(
                    side * side,
                    config.base_image_seq_len,
                    config.max_image_seq_len,
                    config.base_shift,
                    config.max_shift,
                )
            )
        else:
            shift = config.shift
        return cls(pipeline.transformer, side, shift)

    def times(self, count: int, generator: torch.Generator) -> Tensor:
        """Logit-normal times in 0..1 (1 is noise), shifted."""
        sigma = torch.sigmoid(torch.randn(count, generator=generator))
        return self.shift * sigma / (1 + (self.shift - 1) * sigma)

    def predict(self, mixed: Tensor, sigma: Tensor, sequences: Tensor, pooled: Tensor) -> Tensor:
        """The velocity (noise minus image) in ``mixed`` at times ``sigma``."""
        weight = self.transformer.x_embedder.weight
        image_ids = FluxPipeline._prepare_latent_image_ids(
            1, self.side, self.side, mixed.device, weight.dtype
        )
        guided = self.transformer.config.guidance_embeds
        answer: Tensor = self.transformer(
            hidden_states=mixed.to(weight.dtype),
            timestep=sigma.to(weight.dtype),
            guidance=torch.ones_like(sigma, dtype=weight.dtype) if guided else None,
            pooled_projections=pooled,
            encoder_hidden_states=sequences,
            txt_ids=torch.zeros(sequences.shape[1], 3, device=mixed.device, dtype=weight.dtype),
            img_ids=image_ids,
            return_dict=False,
        )[0]
        return answer.float()

    @torch.no_grad()
    def fixed_loss(self, examples: Examples, seed: int) -> float:
        """Mean denoising loss with noise and times drawn from ``seed`` alone."""
        generator = torch.Generator().manual_seed(seed)
        total = 0.0
        for index in range(len(examples)):
            sigma = self.times(FIXED_DRAWS, generator)
            noise = torch.randn(FIXED_DRAWS, *examples.latents.shape[1:], generator=generator)
            same = examples.pick(torch.full((FIXED_DRAWS,), index))
            sigma, noise = sigma.to(same.latents.device), noise.to(same.latents.device)
            answer = self.predict(mix(same.latents, noise, sigma), sigma, same.sequences, same.pooled)
            total += nn.functional.mse_loss(answer, noise - same.latents.float()).item()
        return total / len(examples)


def mix(latents: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The point at ``sigma`` on the straight line from image (0) to noise (1)."""
    share = sigma[:, None, None]
    return (1 - share) * latents.float() + share * noise
