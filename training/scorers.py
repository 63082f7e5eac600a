"""Who can say how like two pictures are: the network for drawn actors, faces for photographs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from django.conf import settings
from PIL import Image

from actors import faces, images, storage
from actors.images import RefusedImage
from actors.models import TrainingDataset, TrainingImage
from training import drawn_likeness
from training.base_models import EMBEDDED
from training.likeness import CannotMeasure, Points

Embedded = list[Points | None]


class Scorer(Protocol):
    """Turns pictures into embeddings, ``None`` where there is nothing to measure."""

    @property
    def name(self) -> str:
        """With the version, for those who read the number."""

    @property
    def far(self) -> float:
        """Mean distance between two people."""

    def embed(self, pictures: Sequence[Image.Image]) -> Embedded:
        """One each, in order."""

    def of_training(self, chosen: Sequence[TrainingImage]) -> Embedded:
        """Of training images; what an inspection knows already is not looked at again."""


@dataclass(frozen=True)
class DrawnScorer:
    """Portraits like those of the embedded base."""

    network: drawn_likeness.Network

    @property
    def name(self) -> str:
        """As the weights' card says."""
        return self.network.name

    @property
    def far(self) -> float:
        """As the weights' card says."""
        return self.network.far

    def embed(self, pictures: Sequence[Image.Image]) -> Embedded:
        """Every picture has an embedding."""
        return list(self.network.embed(pictures))

    def of_training(self, chosen: Sequence[TrainingImage]) -> Embedded:
        """From the files."""
        return look(self, [image.url for image in chosen])


class FaceScorer:
    """Photographs: the largest face in each."""

    name = "dlib face recognition ResNet 1"
    far = faces.STRANGERS_APART

    def embed(self, pictures: Sequence[Image.Image]) -> Embedded:
        """``None`` where no face is found."""
        return [_largest(faces.find(picture)) for picture in pictures]

    def of_training(self, chosen: Sequence[TrainingImage]) -> Embedded:
        """The inspection has found the faces."""
        return [_largest(image.measures.get("faces") or []) for image in chosen]


def _largest(found: list[dict[str, list[float]]]) -> Points | None:
    embedding = found[0].get("embedding") if found else None
    return np.array(embedding, np.float32) if embedding else None


def scorer_for(dataset: TrainingDataset | None, base_model: str) -> Scorer:
    """Raises :class:`CannotMeasure` when nobody here can."""
    if dataset is None:
        raise CannotMeasure("The actor has no dataset to compare with.")
    if dataset.kind == TrainingDataset.Kind.PHOTOGRAPHS:
        if not faces.available():
            raise CannotMeasure("Faces can't be compared: the extra requirements/faces.txt is not installed.")
        return FaceScorer()
    if base_model != EMBEDDED.key:
        raise CannotMeasure(
            "The scorer for drawn actors knows portraits of the embedded base only; judge these by eye."
        )
    try:
        return DrawnScorer(drawn_likeness.network())
    except (OSError, ValueError, KeyError):
        raise CannotMeasure(
            "The weights of the scorer for drawn actors are missing or broken: "
            "python -m worker.make_scorer makes them."
        ) from None


def look(scorer: Scorer, urls: Iterable[str]) -> Embedded:
    """Embeddings of files; ``None`` also for those that are gone or no pictures.

    Raises ``OSError`` when the object store can't be asked.
    """
    found: Embedded = []
    for url in urls:  # one at a time: pictures of a FLUX training are large
        try:
            with storage.opened(url, settings.MAX_IMAGE_BYTES) as file, images.opened(file) as picture:
                upright = images.upright(picture)
        except (FileNotFoundError, RefusedImage):
            found.append(None)
        else:
            found += scorer.embed([upright])
    return found
