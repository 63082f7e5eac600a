"""How varied a dataset is: a LoRA of one pose and one expression knows no other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from actors import expressions
from actors.models import IMAGES_FLOOR, TrainingDataset, TrainingImage

TURNED, PROFILE = 0.25, 0.6
CLOSE_FACE = 0.35
#: Of all included images, more than this part with the same pose or expression is monotonous.
MONOTONOUS = 0.9
EXPRESSIONS = ("neutral", "smiling", "laughing", "serious", "surprised", "sad", "angry", "talking")


def lacking(images: list[TrainingImage], dataset: TrainingDataset) -> Iterator[tuple[str, str]]:
    """What nearly all images have in common: a finding's code, and its reason."""
    shown = coverage(images)
    yield from _common("one_pose", *_most(shown["pose"]), "look the same way ({})")
    measured = measured_expressions(images, dataset)
    if len(measured) >= IMAGES_FLOOR:
        alike, how = expressions.most_alike(measured), "measured on eyes, brows and mouths"
        yield from _common("one_expression", how, alike, len(measured), "have the same expression, {}")
    else:
        most = _most(shown["expression"])
        yield from _common("one_expression", *most, "have the same expression by their captions ({})")


def _most(words: Counter[str]) -> tuple[str, int, int]:
    """The commonest word, how often it is said, and how many say one."""
    word, count = max(words.items(), key=lambda item: item[1], default=("", 0))
    return word, count, words.total()


def _common(code: str, word: str, count: int, known: int, what: str) -> Iterator[tuple[str, str]]:
    if known >= IMAGES_FLOOR and count > known * MONOTONOUS:
        yield code, f"{count} of {known} images {what.format(word)}: the LoRA will know no other."


def coverage(images: list[TrainingImage]) -> dict[str, Counter[str]]:
    """How many images show which pose, framing and expression.

    Pose and framing come from the faces found, else from the caption's words. Expressions have a name in
    captions only: what is measured tells whether pictures are alike, not what people would call it.
    """
    kinds: dict[str, Counter[str]] = {"pose": Counter(), "framing": Counter(), "expression": Counter()}
    for image in images:
        seen, caption = image.measures.get("faces") or [], image.caption.lower()
        if seen:
            turn, width = seen[0]["turn"], seen[0]["box"][2]
            pose = "facing" if turn < TURNED else "half turned" if turn < PROFILE else "profile"
            kinds["pose"][pose] += 1
            kinds["framing"]["close" if width > CLOSE_FACE else "half body"] += 1
        elif match := re.search(r"\b(?:looking (?P<way>ahead|left|right)|(?P<profile>profile))\b", caption):
            way = match["way"] or "profile"
            kinds["pose"]["facing" if way == "ahead" else way] += 1
        word = next((word for word in EXPRESSIONS if re.search(rf"\b{word}\b", caption)), None)
        if word:
            kinds["expression"][word] += 1
    return kinds


def measured_expressions(images: list[TrainingImage], dataset: TrainingDataset) -> list[dict[str, float]]:
    """What the faces do, of those images where it could be measured."""
    if dataset.kind != TrainingDataset.Kind.PHOTOGRAPHS:
        return []
    found = [face.get("expression") for image in images for face in image.measures.get("faces", [])[:1]]
    return [each for each in found if each]


def why_unmeasured(images: list[TrainingImage], dataset: TrainingDataset) -> str:
    """Why the expressions of photographs are not judged by the pictures; empty when they are."""
    measured = len(measured_expressions(images, dataset))
    is_early = len(images) < IMAGES_FLOOR or any(image.inspected_at is None for image in images)
    if measured >= IMAGES_FLOOR or is_early:
        return ""
    if not expressions.available():
        return "Expressions are read from captions only: install requirements/faces.txt to measure them."
    if any("expression" not in face for image in images for face in image.measures.get("faces", [])[:1]):
        return "Expressions are read from captions only: press Inspect again to have them measured."
    return (
        f"Expressions could be measured on {measured} of {len(images)} images only (faces too small, hidden "
        "or turned away), so they are read from captions."
    )
