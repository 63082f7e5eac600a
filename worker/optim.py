"""Optimisers and learning-rate schedules by their names among the eleven parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers.optimization import get_scheduler
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from worker.job import Parameters

#: Rounds of ``cosine_with_restarts`` (one round would be ``cosine`` again).
RESTARTS = 3


def make_optimizer(
    weights: list[nn.Parameter], parameters: Parameters, device: torch.device, warn: Callable[[str], None]
) -> torch.optim.Optimizer:
    """``adamw8bit`` needs bitsandbytes and a CUDA GPU; plain AdamW stands in, and ``warn`` says so."""
    rate = parameters.learning_rate
    if parameters.optimizer_type == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(weights, lr=rate, scale_parameter=False, relative_step=False, warmup_init=False)
    if device.type == "cuda":
        try:
            from bitsandbytes.optim import AdamW8bit

            optimizer: torch.optim.Optimizer = AdamW8bit(weights, lr=rate, weight_decay=0.01)
            return optimizer
        except (ImportError, RuntimeError) as error:
            warn(f"adamw8bit: bitsandbytes does not run here ({error}); using AdamW in full precision")
    else:
        warn("adamw8bit needs a CUDA GPU; using AdamW in full precision, which learns the same")
    return torch.optim.AdamW(weights, lr=rate, weight_decay=0.01)


def make_schedule(optimizer: torch.optim.Optimizer, parameters: Parameters) -> LRScheduler:
    """The learning rate over the steps, warm-up first."""
    name = parameters.lr_scheduler
    schedule: LRScheduler = get_scheduler(
        # diffusers' plain "constant" leaves the warm-up out.
        "constant_with_warmup" if name == "constant" else name,
        optimizer,
        num_warmup_steps=parameters.lr_warmup_steps,
        num_training_steps=parameters.max_train_steps,
        num_cycles=RESTARTS,
    )
    return schedule
