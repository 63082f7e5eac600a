"""The scorer of drawn actors in plain numpy: a small convolutional network made by ``worker/make_scorer.py``.

It lays pictures of one painted person side by side whatever the scene, at about 2 ms a picture. The site
needs no torch for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from training.likeness import Points

Floats = npt.NDArray[np.float32]

WEIGHTS = Path(__file__).resolve().parents[1] / "worker" / "base" / "scorer.safetensors"
#: Pictures that go through at once; more need more memory and are no faster.
_BATCH = 32


@dataclass(frozen=True)
class Network:
    """Convolutions of 3 × 3 in steps of two, each with ReLU, then one linear layer to unit length."""

    card: dict[str, Any]
    convolutions: tuple[tuple[Floats, Floats], ...]
    out: tuple[Floats, Floats]

    @property
    def far(self) -> float:
        """Mean distance between two people, as the making measured it."""
        return float(self.card["stranger_distance"])

    @property
    def name(self) -> str:
        """For those who read the number."""
        return f"{self.card['name']} {self.card['version']}"

    def embed(self, pictures: Sequence[Image.Image]) -> Points:
        """A row of unit length for each upright RGB picture; only the middle square is looked at."""
        parts = [self._embed(pictures[at : at + _BATCH]) for at in range(0, len(pictures), _BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.out[1])), np.float32)

    def _embed(self, pictures: Sequence[Image.Image]) -> Points:
        side = (int(self.card["resolution"]),) * 2
        squares = [ImageOps.fit(picture, side, Image.Resampling.BOX) for picture in pictures]
        values: Floats = np.stack([np.asarray(square, np.float32) for square in squares]) / 127.5 - 1
        for weight, bias in self.convolutions:
            values = np.maximum(_convolve(values, weight) + bias, 0)
        weight, bias = self.out
        points = values.reshape(len(values), -1) @ weight + bias
        return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float32)


def _convolve(values: Floats, weight: Floats) -> Floats:
    """``values`` (n, h, w, c), ``weight`` (9 × c, d): the 3 × 3 around every second pixel, in one product."""
    count, height, width, channels = values.shape
    edged = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [edged[:, y : y + height : 2, x : x + width : 2] for y in range(3) for x in range(3)]
    columns = np.concatenate(taps, axis=3).reshape(-1, 9 * channels)
    return (columns @ weight).reshape(count, height // 2, width // 2, -1)


@cache
def network(path: Path = WEIGHTS) -> Network:
    """Reads the weights once. Raises ``OSError`` when the file is missing and ``ValueError`` when broken."""
    content = path.read_bytes()
    # safetensors: the header's length, the header as JSON, then all numbers.
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    card = json.loads(header.pop("__metadata__")["card"])

    def read(name: str) -> Floats:
        entry = header[name]
        low, high = entry["data_offsets"]
        numbers = np.frombuffer(content[start + low : start + high], np.float16)
        return numbers.astype(np.float32).reshape(entry["shape"])

    convolutions = []
    for index in range(sum(name.startswith("conv") and name.endswith("weight") for name in header)):
        # torch keeps (out, in, 3, 3); one product wants (3 × 3 × in, out).
        weight = read(f"conv{index}.weight")
        columns = weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))
        convolutions.append((np.ascontiguousarray(columns), read(f"conv{index}.bias")))
    # torch flattens (channels, rows, columns); here the channels come last.
    weight = read("out.weight")
    cells = round((weight.shape[1] / len(convolutions[-1][1])) ** 0.5)
    columns = weight.reshape(len(weight), -1, cells, cells).transpose(2, 3, 1, 0).reshape(-1, len(weight))
    return Network(card, tuple(convolutions), (np.ascontiguousarray(columns), read("out.bias")))
