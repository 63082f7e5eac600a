"""Faces in photographs: where they are, whose they are, which way they look.

An extra: dlib and the weights that come inside ``face_recognition_models``. Without them
``available()`` is false, the checks are off, and the dataset page says so.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from actors import expressions

#: Faces are looked for at this size: those of 80 px are found at once, those of 40 px on a second look.
_DETECT_PIXELS = 640
#: Real faces score about 1; most of what folds of clothes score stays below.
_SURE = 0.5
#: What the mesh says of 85 small grey faces is 0.5 and more, of folds of clothes 0.01 and less.
_NO_FACE = 0.1
#: Embeddings of one person lie some 0.33 to 0.44 apart, of two people 0.8 and more.
SAME_PERSON = 0.6
#: Mean distance of two people: 3,570 pairs of the faces that come with scikit-image (docs/likeness.md).
STRANGERS_APART = 0.73


@cache
def weights() -> Path | None:
    """Where the package keeps its models. It is never imported: its import needs an old setuptools."""
    found = importlib.util.find_spec("face_recognition_models")
    places = list(found.submodule_search_locations or []) if found else []
    folder = Path(places[0]) / "models" if places else None
    return folder if folder and folder.is_dir() else None


def available() -> bool:
    """Whether the extra is installed."""
    return weights() is not None and importlib.util.find_spec("dlib") is not None


@cache
def _models() -> tuple[Any, Any, Any]:
    import dlib

    folder = weights()
    assert folder is not None, "call available() first"
    return (
        dlib.get_frontal_face_detector(),
        dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat")),
        dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat")),
    )


def find(image: Image.Image) -> list[dict[str, Any]]:
    """The faces of an upright RGB picture, the largest first; sizes as parts of the picture.

    Each has ``box`` (left, top, width, height), ``eyes`` (x and y of the one on the left, then of the other)
    and ``turn`` (0 looks ahead, 1 is a profile). The first also has its ``embedding`` of 128 numbers and,
    where that can be measured, its ``expression``. What the mesh takes for no face is dropped: folds and
    shadows fool one detector, but not both.
    """
    small = image.copy()
    small.thumbnail((_DETECT_PIXELS, _DETECT_PIXELS), Image.Resampling.BOX)
    pixels = np.asarray(small)
    detector, landmarks, recognition = _models()
    for upsample in (0, 1):
        faces: list[dict[str, Any]] = []
        boxes, _scores, _kinds = detector.run(pixels, upsample, _SURE)
        for box in sorted(boxes, key=lambda box: -box.width()):
            shape = landmarks(pixels, box)
            face = _described(box, [(point.x, point.y) for point in shape.parts()], small.size)
            expression = None
            if expressions.available():
                sure, expression = expressions.read(image, face)
                if sure < _NO_FACE:
                    continue
            if not faces:
                embedding = recognition.compute_face_descriptor(pixels, shape)
                face["embedding"] = [round(number, 4) for number in embedding]
                if expressions.available():
                    face["expression"] = expression
            faces.append(face)
        if faces:
            break
    return faces


def _described(box: Any, points: list[tuple[int, int]], size: tuple[int, int]) -> dict[str, Any]:
    corners = (box.left(), box.top(), box.width(), box.height())
    return {
        "box": [round(part / whole, 3) for part, whole in zip(corners, size * 2, strict=True)],
        "eyes": [
            round(part / whole, 3) for eye in _eyes(points) for part, whole in zip(eye, size, strict=True)
        ],
        "turn": _turn(points),
    }


def _eyes(points: list[tuple[int, int]]) -> list[tuple[float, float]]:
    """Their middles, from left to right."""
    return sorted(
        ((one[0] + other[0]) / 2, (one[1] + other[1]) / 2) for one, other in (points[:2], points[2:4])
    )


def _turn(points: list[tuple[int, int]]) -> float:
    """How far the nose lies from the middle of the eyes. Points: right eye (2), left eye (2), nose."""
    eyes = np.array(points[:4], dtype=float)
    nose, middle = np.array(points[4], dtype=float), eyes.mean(axis=0)
    across = eyes[:2].mean(axis=0) - eyes[2:].mean(axis=0)
    span = float(np.linalg.norm(across)) or 1.0
    return round(min(1.0, abs(float(np.dot(nose - middle, across / span))) / span * 2), 2)


def strangers(embeddings: list[list[float]]) -> list[tuple[int, float]]:
    """Indexes that show another person than most do, with their distance from the others.

    An outlier's median distance to the rest is above ``SAME_PERSON`` while most of the rest agree.
    Below four pictures, or without a majority, nobody can say who the actor is.
    """
    if len(embeddings) < 4:
        return []
    points: npt.NDArray[np.float64] = np.array(embeddings)
    # By products of rows: differences of all pairs of 1,000 would take a gigabyte.
    squares = (points**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * points @ points.T, 0))
    count = len(embeddings)
    medians = [float(np.median(np.delete(distances[index], index))) for index in range(count)]
    odd = [index for index, median in enumerate(medians) if median > SAME_PERSON]
    return [(index, round(medians[index], 2)) for index in odd] if len(odd) * 2 < count else []
