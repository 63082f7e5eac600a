"""Reading one file of a dataset: its facts, its numbers, its thumbnail."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.conf import settings
from django.core.files.base import ContentFile
from django.db.models import QuerySet
from django.utils import timezone

from actors import faces, images, measures, storage
from actors.images import RefusedImage
from actors.inspection import FILE_CODES, Finding, finding, image_findings, judge
from actors.models import TrainingDataset, TrainingImage

log = logging.getLogger(__name__)


def measure_images(chosen: Iterable[TrainingImage]) -> None:
    """Reads each file once, makes its thumbnail, and judges the datasets that have nothing left to read.

    May run twice for one image, also at the same time: the second writes the same.
    """
    datasets: set[int] = set()
    for image in chosen:
        measure_image(image)
        datasets.add(image.dataset_id)
    for dataset in TrainingDataset.objects.filter(pk__in=datasets).select_related("actor"):
        if waiting(dataset).exists():
            dataset.write_verdict()  # one broken file says enough
        else:
            judge(dataset)


def waiting(dataset: TrainingDataset) -> QuerySet[TrainingImage]:
    """Images that nobody has looked into yet and that lie where this site can."""
    return dataset.images.filter(inspected_at=None, state=TrainingImage.State.SYNCED).exclude(url="")


def measure_image(image: TrainingImage) -> None:
    """Writes what the file shows. A broken file is a finding, never an exception."""
    found: list[Finding] = []
    try:
        _read(image, found)
    except FileNotFoundError:
        image.state, image.checked_at = TrainingImage.State.MISSING, timezone.now()
        image.dataset.touch()  # the registry must no longer name it
    except OSError as error:
        log.warning("Image %s of dataset %s: %s", image.pk, image.dataset_id, error)
        reason = "The file can't be reached from here, so nobody has looked at it."
        found.append(finding("unreachable", "warning", reason))
    except RefusedImage as refusal:
        found.append(finding("unreadable", "error", str(refusal)))
    except Exception:  # one odd picture must not keep the others of its dataset waiting for ever
        log.exception("Image %s of dataset %s", image.pk, image.dataset_id)
        reason = "The picture can't be measured; save it again with another program."
        found.append(finding("unreadable", "error", reason))
    image.inspected_at = timezone.now()
    kept = [each for each in image.findings if each["code"] not in FILE_CODES]
    image.findings = found + (kept if found else image_findings(image, image.dataset))
    # Only what was found here: a caption that somebody edits meanwhile stays theirs.
    TrainingImage.objects.filter(pk=image.pk).update(
        **{
            name: getattr(image, name)
            for name in (
                "state checked_at inspected_at findings measures sha256 size_bytes width height has_thumbnail"
            ).split()
        }
    )


def _read(image: TrainingImage, found: list[Finding]) -> None:
    with storage.opened(image.url, settings.MAX_IMAGE_BYTES) as file:
        if not image.original_url:  # else the hash is that of the uploaded bytes
            image.sha256 = images.sha256_of(file)
            image.size_bytes = file.tell()
        with images.opened(file) as picture:
            if picture.format not in images.TRAINABLE:
                reason = f"Trainings don't read {picture.format}; upload it again, and it is converted."
                found.append(finding("wrong_format", "error", reason))
            upright = images.upright(picture)
    image.width, image.height = upright.size
    image.measures = measures.measure(upright)
    if image.dataset.kind == TrainingDataset.Kind.PHOTOGRAPHS and faces.available():
        image.measures["faces"] = faces.find(upright)
    storage.save(image.thumbnail_key, ContentFile(images.small_webp(upright)))
    image.has_thumbnail = True
    image.checked_at = timezone.now()
