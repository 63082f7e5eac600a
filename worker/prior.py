"""Prior preservation: prompts without the trigger keep drawing what the base alone draws.

The base draws portraits from captions of its own, roughly, and each step of those drawings is kept:
where it stood, and which way it went. In training a share of every batch is asked about such points,
and must answer as the base did. No second pass of the base is needed. Many captions in few steps
hold better than few in many.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from worker.dataset import Text
from worker.flow import Flow
from worker.portraits import random_portrait

DRAWINGS = 48
DRAWING_STEPS = 8
#: How many points join a batch, as a share of its images.
SHARE = 0.375


@dataclass(frozen=True)
class Prior:
    """Points of the base's drawings, one a row, and the base's answers."""

    mixed: Tensor
    sigma: Tensor
    sequences: Tensor
    pooled: Tensor
    answers: Tensor

    def pick(self, count: int, generator: torch.Generator) -> Prior:
        """``count`` points at random."""
        rows = torch.randint(len(self.mixed), (count,), generator=generator)
        return Prior(
            self.mixed[rows], self.sigma[rows], self.sequences[rows], self.pooled[rows], self.answers[rows]
        )


def prior_captions(card: dict[str, Any], seed: int) -> list[str]:
    """Captions that the base was made from, some without the face or empty; none for other bases."""
    if card.get("kind") != "drawn portraits":
        return []
    rng = random.Random(seed)
    captions = []
    for index in range(DRAWINGS):
        portrait = random_portrait(rng)
        face_left_out = portrait.caption(f"a {portrait.age} {portrait.sex}")
        captions.append((portrait.caption(), face_left_out, portrait.caption(), "")[index % 4])
    return captions


@torch.no_grad()
def record_prior(flow: Flow, texts: list[Text], first: Tensor) -> Prior:
    """Draws ``texts`` from the noise ``first`` with the base alone, in plain Euler steps."""
    mixed, count = first, len(texts)
    sequences = torch.stack([text.sequence for text in texts])
    pooled = torch.stack([text.pooled for text in texts])
    times = torch.linspace(1, 0, DRAWING_STEPS + 1).to(first.device)
    points, answers = [], []
    for now, then in itertools.pairwise(times):
        points.append(mixed)
        answers.append(flow.predict(mixed, now.expand(count), sequences, pooled))
        mixed = mixed + (then - now) * answers[-1]
    return Prior(
        torch.cat(points),
        times[:-1].repeat_interleave(count),
        sequences.repeat(DRAWING_STEPS, 1, 1),
        pooled.repeat(DRAWING_STEPS, 1),
        torch.cat(answers),
    )
