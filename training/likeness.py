"""How alike two sets of pictures are, from their embeddings. Pure maths; who embeds stands in ``scorers.py``.

The scale has two ends that mean something: 0 is a stranger (the mean distance between two people, which each
scorer knows of itself), 1 is as near to the training images as these are to each other. A picture in between
has gone that share of the way from a stranger to the actor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: One embedding a row.
Points = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]

#: Fewer training images are no yardstick, one picture is no measure, and two say nothing of their spread.
FEWEST_REFERENCES = 3
FEWEST_PICTURES = 2
FEWEST_FOR_SPREAD = 3
#: 97.5 % quantiles of Student's t by degrees of freedom, from 2; beyond them the normal one is near enough.
_T = (4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11)
_T_MANY = 2.0


class CannotMeasure(Exception):
    """There is no number; the message says why, and what to do where something can be done."""


@dataclass(frozen=True)
class Measured:
    """A mean over ``count`` pictures, from three on with its 95 % interval. 1 is as near as the actor."""

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Yardstick:
    """The training images of one actor, and how far apart they are among themselves.

    ``own`` is the mean distance of each from all others (leave one out), ``far`` that of two strangers.
    """

    references: Points
    own: float
    far: float

    @classmethod
    def of(cls, references: Points, far: float) -> Yardstick:
        """Raises :class:`CannotMeasure` when the images say nothing of who they show."""
        count = len(references)
        if count < FEWEST_REFERENCES:
            raise CannotMeasure(
                f"Only {count} training image{'s' if count != 1 else ''} can be compared with; "
                f"{FEWEST_REFERENCES} are needed."
            )
        own = float(distances(references, references).sum(axis=1).mean() / (count - 1))
        if own > 0.85 * far:
            raise CannotMeasure(
                "The training images are as unlike each other as pictures of different people. "
                "Look at the dataset: do all of them show this actor?"
            )
        return cls(references, own, far)

    def nearness(self, pictures: Points) -> Values:
        """Each picture's place between a stranger (0) and the actor (1); it may lie outside."""
        away = distances(pictures, self.references).mean(axis=1)
        return np.asarray((self.far - away) / (self.far - self.own))

    def likeness(self, pictures: Points) -> Measured:
        """How near pictures of prompts with the trigger are."""
        return _mean(self.nearness(pictures))

    def bleed(self, drawn: Points, base: Points) -> Measured:
        """How far prompts without the trigger have moved towards the actor.

        ``base`` are the same prompts and seeds drawn by the base alone, row by row.
        """
        return _mean(self.nearness(drawn) - self.nearness(base))


def distances(first: Points, second: Points) -> Values:
    """Euclidean, (rows of first, rows of second)."""
    apart = first[:, None, :].astype(np.float64) - second[None, :, :]
    return np.asarray(np.sqrt((apart**2).sum(axis=2)))


def _mean(values: Values) -> Measured:
    """The mean and its interval by Student's t: pictures are few."""
    count = len(values)
    if count < FEWEST_PICTURES:
        few = f"{count} picture{'' if count == 1 else 's'}"
        raise CannotMeasure(f"Only {few} can be measured; {FEWEST_PICTURES} are needed.")
    mean = float(values.mean())
    if count < FEWEST_FOR_SPREAD:
        return Measured(mean, None, None, count)
    quantile = _T[count - 3] if count - 3 < len(_T) else _T_MANY
    margin = quantile * float(values.std(ddof=1)) / math.sqrt(count)
    return Measured(mean, mean - margin, mean + margin, count)


def area_under_curve(wanted: list[float], others: list[float]) -> float:
    """The chance that one of ``wanted`` scores above one of ``others``; a tie counts half."""
    above = sum((high > low) + 0.5 * (high == low) for high in wanted for low in others)
    return above / (len(wanted) * len(others))
