"""Taking pictures into a dataset. Everything that brings images in ends here: uploads, ZIPs, URLs, folders.

The order keeps it whole: the file is checked, then stored, then gets its row. Whatever breaks on the
way leaves no row, and at most an object that the next try writes again under the same key.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings
from django.core.files.base import File
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from actors import images, storage
from actors.images import Facts, RefusedImage
from actors.models import TrainingDataset, TrainingImage

if TYPE_CHECKING:
    from django.contrib.auth.models import User

#: What an upload may hold, also as a name's last part.
IMAGE_NAMES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif")


class Duplicate(Exception):
    """The dataset holds these bytes already, as ``image``."""

    def __init__(self, image: TrainingImage) -> None:
        self.image = image
        super().__init__(f"The dataset holds this picture already, as {image.file_name}.")


def take_in(
    dataset: TrainingDataset,
    file: IO[bytes],
    file_name: str,
    *,
    caption: str = "",
    lies_at: str = "",
    by: User | None = None,
) -> TrainingImage:
    """Adds one picture at the end of the dataset. Raises ``RefusedImage`` or ``Duplicate``.

    One that ``lies_at`` a place of the store already stays there, and is not copied.
    """
    facts = images.examine(file)
    _refuse(dataset, facts.sha256)
    url, original = _store(dataset, file, facts, lies_at)
    with transaction.atomic():
        dataset.lock()
        _refuse(dataset, facts.sha256)
        last = dataset.images.aggregate(last=Max("position"))["last"]
        image = TrainingImage.objects.create(
            dataset=dataset,
            position=0 if last is None else last + 1,
            file_name=safe_name(file_name),
            caption=caption.strip(),
            **_facts(url, original, facts),
        )
        dataset.touch()
        dataset.changes.create(by=by, summary=f"{image.file_name} added")
    return image


def put_in_store(image: TrainingImage, file: IO[bytes]) -> None:
    """The file of an image that was only local. Raises ``RefusedImage`` or ``Duplicate``."""
    facts = images.examine(file)
    if known := image.dataset.images.filter(sha256=facts.sha256).exclude(pk=image.pk).first():
        raise Duplicate(known)
    values = _facts(*_store(image.dataset, file, facts), facts)
    TrainingImage.objects.filter(pk=image.pk).update(**values, etag="", inspected_at=None)
    image.dataset.touch()


def _store(dataset: TrainingDataset, file: IO[bytes], facts: Facts, lies_at: str = "") -> tuple[str, str]:
    """Writes the file, converted where trainings need it; returns the URL they read, and the original's."""
    name, folder = facts.sha256[:24], f"actors/{dataset.actor_id}"
    if facts.is_trainable:
        if lies_at:
            return lies_at, ""
        file.seek(0)
        return storage.save(f"{folder}/images/{name}{facts.ending}", File(file)), ""
    content, ending = images.trainable_copy(file)
    url = storage.save(f"{folder}/images/{name}{ending}", File(BytesIO(content)))
    if lies_at:
        return url, lies_at
    file.seek(0)
    return url, storage.save(f"{folder}/originals/{name}{facts.ending}", File(file))


def _facts(url: str, original: str, facts: Facts) -> dict[str, Any]:
    return {
        "url": url,
        "original_url": original,
        "state": TrainingImage.State.SYNCED,
        "checked_at": timezone.now(),
        "sha256": facts.sha256,
        "size_bytes": facts.size_bytes,
        "width": facts.width,
        "height": facts.height,
    }


def _refuse(dataset: TrainingDataset, sha256: str) -> None:
    if known := dataset.images.filter(sha256=sha256).first():
        raise Duplicate(known)
    if dataset.images.count() >= settings.MAX_DATASET_IMAGES:
        raise RefusedImage(
            f"The dataset holds {settings.MAX_DATASET_IMAGES} images already, which is the limit."
        )


def safe_name(file_name: str) -> str:
    """A name to show: no folders, no control characters, at most 200 characters."""
    name = PurePosixPath(file_name.replace("\\", "/")).name
    name = re.sub(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "", name).strip()
    stem, ending = PurePosixPath(name).stem, PurePosixPath(name).suffix
    return f"{stem[:180]}{ending[:20]}" or "picture"
