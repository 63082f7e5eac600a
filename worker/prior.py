"""Prior preservation: prompts without the trigger keep drawing what the base alone draws.

The base draws a few portraits from captions of its own, guided as samples are, and each step of
those drawings is kept: where it stood, and what it answered to the caption and to the empty prompt.
In training a share of every batch is asked about such points, and must answer as the base did. No
second pass of the base is needed.
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

DRAWINGS = 16
DRAWING_STEPS = 12
#: How many points join a batch, as a share of its images.
SHARE = 0.5


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
    """Captions that the base was made from, every third without the face; none for other bases."""
    if card.get("kind") != "drawn portraits":
        return []
    rng = random.Random(seed)
    captions = []
    for index in range(DRAWINGS):
        portrait = random_portrait(rng)
        captions.append(portrait.caption(None if index % 3 else f"a {portrait.age} {portrait.sex}"))
    return captions


@torch.no_grad()
def record_prior(flow: Flow, texts: list[Text], empty: Text, scale: float, first: Tensor) -> Prior:
    """Draws ``texts`` from the noise ``first`` with the base alone, in plain Euler steps.

    ``scale`` is the true guidance: how far to go from the answer to ``empty`` to that of the text.
    """
    mixed, count = first, len(texts)
    both = [*texts, *[empty] * count]
    sequences = torch.stack([text.sequence for text in both])
    pooled = torch.stack([text.pooled for text in both])
    times = torch.linspace(1, 0, DRAWING_STEPS + 1).to(first.device)
    points, answers = [], []
    for now, then in itertools.pairwise(times):
        points.append(mixed.repeat(2, 1, 1))
        answers.append(flow.predict(points[-1], now.expand(2 * count), sequences, pooled))
        told, untold = answers[-1].chunk(2)
        mixed = mixed + (then - now) * (untold + scale * (told - untold))
    return Prior(
        torch.cat(points),
        times[:-1].repeat_interleave(2 * count),
        sequences.repeat(DRAWING_STEPS, 1, 1),
        pooled.repeat(DRAWING_STEPS, 1),
        torch.cat(answers),
    )
