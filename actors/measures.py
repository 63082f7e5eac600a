"""What can be measured on one picture, in milliseconds: sharpness, exposure, and a print to tell twins by.

The thresholds that judge these numbers stand in ``inspection.py``. All numbers are taken at one scale
(512 px on the longer side), so that they don't depend on the file's resolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.float32]

SCALE = 512
_TILES = 8
_GRID = 16


def measure(image: Image.Image) -> dict[str, Any]:
    """Every number of one upright RGB picture, ready for JSON."""
    small = image.copy()
    small.thumbnail((SCALE, SCALE), Image.Resampling.BOX)
    grey = np.asarray(small.convert("L"), dtype=np.float32)
    return {
        "sharpness": sharpness(grey),
        **exposure(grey),
        "hash": gradient_hash(small).hex(),
        "layout": colour_layout(small).hex(),
    }


def sharpness(grey: Pixels) -> float:
    """Variance of the Laplacian in the sharpest tenth of the picture.

    A sharp face before a blurred background is a sharp picture, so the mean would be the wrong number.
    """
    if min(grey.shape) < 3:  # a line of 50,000 pixels is a pixel high at our scale
        return 0.0
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    height, width = (max(1, side // _TILES) for side in laplacian.shape)
    rows, columns = min(_TILES, laplacian.shape[0]), min(_TILES, laplacian.shape[1])
    tiles = laplacian[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return round(float(np.percentile(tiles.var(axis=(1, 3)), 90)), 1)


def exposure(grey: Pixels) -> dict[str, float]:
    """Mean brightness and the clipped shares of the middle, where the person is: a white wall is no flaw."""
    height, width = grey.shape
    middle = grey[height // 6 : height - height // 6, width // 5 : width - width // 5]
    return {
        "brightness": round(float(middle.mean()), 1),
        "burnt": round(float((middle >= 250).mean()), 3),
        "black": round(float((middle <= 12).mean()), 3),
    }


def gradient_hash(image: Image.Image) -> bytes:
    """512 bits: whether each cell of a 16 × 16 grid is brighter than its left and its upper neighbour."""
    cells = image.convert("L").resize((_GRID + 1, _GRID + 1), Image.Resampling.BOX)
    grid = np.asarray(cells, dtype=np.int16)
    right, down = grid[:-1, 1:] > grid[:-1, :-1], grid[1:, :-1] > grid[:-1, :-1]
    return np.packbits(np.concatenate([right.ravel(), down.ravel()])).tobytes()


def colour_layout(image: Image.Image) -> bytes:
    """The mean colours of a 4 × 4 grid: the same pose in another shirt is no twin."""
    return image.resize((4, 4), Image.Resampling.BOX).tobytes()


#: Twins differ in at most so many of 512 bits, and so little in colour once brightness is taken out.
#: Re-saved, resized, brightened, desaturated and slightly cropped copies stay below, other scenes above.
TWIN_BITS = 26
TWIN_COLOUR = 7.0


def twins(hashes: list[str], layouts: list[str]) -> list[tuple[int, int]]:
    """Index pairs of pictures that are nearly the same."""
    if len(hashes) < 2:
        return []
    bits = np.array([np.frombuffer(bytes.fromhex(value), dtype=np.uint8) for value in hashes])
    colours = np.array([np.frombuffer(bytes.fromhex(value), dtype=np.uint8) for value in layouts])
    relief = colours.reshape(len(layouts), 16, 3).astype(np.float32)
    relief -= relief.mean(axis=1, keepdims=True)
    pairs = []
    for first in range(len(hashes) - 1):
        distances = np.bitwise_count(bits[first + 1 :] ^ bits[first]).sum(axis=1)
        apart = np.abs(relief[first + 1 :] - relief[first]).mean(axis=(1, 2))
        near = np.nonzero((distances <= TWIN_BITS) & (apart <= TWIN_COLOUR))[0]
        pairs += [(first, first + 1 + int(offset)) for offset in near]
    return pairs
