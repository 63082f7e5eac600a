"""Broken files by the thousand, each sent the whole way: upload, settling, inspection.

``python -m tests.actors.fuzz [--count 10000] [--seed 2026]`` runs it on a database and a store of its own
and says what came of the files, how long the slowest took, and how much memory all of it needed. A file is
made from the seed and its number alone: ``--first 4711 --count 1`` sends that one again.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import random
import re
import resource
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the site is set up later
    from actors.models import TrainingDataset

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

KINDS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
#: Above what the process needs anyway: one decoded picture at its limit of pixels, and copies of it.
MEMORY_LIMIT_MIB = 600
BATCH = 200
#: Each so many-th file has as many pixels as we take, before it is broken.
HUGE = 250


@dataclass
class Result:
    """What came of the files."""

    ends: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    #: What is not whole afterwards.
    halves: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)
    seconds: float = 0.0
    peak_mib: float = 0.0

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.most_common())
        lines = [f"{self.ends.total()} files in {self.seconds:.0f} s: {ends}."]
        lines += [f"  {count:6} {reason}" for reason, count in self.reasons.most_common(12)]
        lines.append(f"Slowest: {self.slowest[0]:.2f} s (file {self.slowest[1]}).")
        lines.append(f"Memory: {self.peak_mib:.0f} MiB above the start, limit {MEMORY_LIMIT_MIB}.")
        lines += [f"CRASH {line}" for line in self.crashes]
        lines += [f"HALF {line}" for line in self.halves]
        return "\n".join(lines)

    @property
    def is_good(self) -> bool:
        """Nothing crashed, nothing is left half, and memory stayed below the limit."""
        return not self.crashes and not self.halves and self.peak_mib < MEMORY_LIMIT_MIB


@cache
def whole_files() -> list[bytes]:
    """What is broken here: real pictures of every format, of several sizes, with and without metadata."""
    from tests.actors.pictures import as_bytes, portrait, turned_photograph

    made = [as_bytes(portrait(1, 48), kind) for kind in KINDS]
    made += [as_bytes(portrait(2, 200), kind) for kind in KINDS]
    made += [as_bytes(portrait(3, 64).convert(mode), "PNG") for mode in ("L", "P", "1", "LA", "RGBA", "I;16")]
    made.append(as_bytes(portrait(3, 64).convert("CMYK"), "JPEG"))
    made.append(as_bytes(portrait(3, 64), "JPEG", progressive=True))
    made.append(turned_photograph())
    return made


@cache
def huge_file() -> bytes:
    """Few bytes that are as many pixels as we take."""
    from PIL import Image

    from tests.actors.pictures import as_bytes

    return as_bytes(Image.new("RGB", (7000, 7000)), "PNG")


def broken_file(seed: int, number: int) -> tuple[str, bytes]:
    """Name and bytes of one file: changed, cut, mixed, swollen, zipped, or plain noise."""
    rng = random.Random(f"{seed} {number}")
    data = bytearray(rng.choice(whole_files()) if number % HUGE else huge_file())
    how = rng.randrange(8)
    if how == 0:
        data = bytearray(rng.randbytes(rng.randrange(1, 4000)))
    elif how == 1:
        del data[rng.randrange(1, len(data)) :]
    elif how == 2:
        other, cut = rng.choice(whole_files()), rng.randrange(len(data))
        data[cut:] = other[min(cut, len(other) - 1) :]
    elif how == 3:  # sizes and offsets stand in the first bytes
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(min(64, len(data)))] = rng.randrange(256)
    elif how == 4:
        place = rng.randrange(max(1, len(data) - 8))
        data[place : place + 8] = struct.pack(">II", *(rng.choice((0, 1, 65535, 2**31)) for _ in "ab"))
    elif how == 5:
        place = rng.randrange(len(data))
        data[place:place] = rng.randbytes(rng.randrange(1, 300))
    else:
        for _ in range(rng.randrange(1, 12)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    if number % 12:
        return f"{number}.png", bytes(data)
    return f"{number}.zip", broken_zip(rng, bytes(data))


def broken_zip(rng: random.Random, content: bytes) -> bytes:
    """An archive with a broken picture in it, most often broken itself."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        archive.writestr(rng.choice(("a.png", "../a.png", "x/\x01.jpg", "a")), content)
        archive.writestr("a.txt", rng.randbytes(rng.randrange(40)))
    data = bytearray(buffer.getvalue())
    for _ in range(rng.randrange(4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def run(count: int, *, seed: int = 2026, first: int = 0) -> Result:
    """Sends the files; the database and the store are the caller's."""
    from actors.models import Actor, TrainingDataset, ensure_dataset

    before = peak_mib()
    actor = Actor.objects.register(name=f"fuzz {seed} {first}")
    dataset = ensure_dataset(actor)
    dataset.kind = TrainingDataset.Kind.DRAWN
    dataset.save()
    result, start = Result(), time.monotonic()
    for number in range(first, first + count):
        began = time.monotonic()
        name, content = broken_file(seed, number)
        try:
            end, message = send(dataset, name, content)
        except Exception as error:  # noqa: BLE001  # whatever it is, it would have ended a task
            result.crashes.append(f"file {number}: {type(error).__name__}: {error}"[:300])
            continue
        result.ends[end] += 1
        if end != "done":
            result.reasons[f"{end}: {re.split(':|, as ', message)[0][:70]}"] += 1
        result.slowest = max(result.slowest, (time.monotonic() - began, number))
        if number % BATCH == BATCH - 1:
            inspect(dataset, result)
    inspect(dataset, result)
    result.halves = half_things(dataset)
    result.seconds, result.peak_mib = time.monotonic() - start, peak_mib() - before
    return result


def send(dataset: TrainingDataset, name: str, content: bytes) -> tuple[str, str]:
    """One upload as the browser's, up to its end. The task queue is left out: nothing is queued."""
    from django.core.files.base import ContentFile

    from actors import arrivals, storage
    from actors.models import ImageUpload, InspectionRun

    InspectionRun.objects.get_or_create(dataset=dataset)  # the inspection is ours to start
    upload = ImageUpload.objects.create(dataset=dataset, file_name=name, size_bytes=len(content))
    storage.save(upload.key, ContentFile(content))
    ImageUpload.objects.filter(pk=upload.pk).update(state=ImageUpload.State.WORKING)
    arrivals.settle(upload)
    upload.refresh_from_db()
    return upload.state, upload.message


def inspect(dataset: TrainingDataset, result: Result) -> None:
    """As the task does, for what came in since."""
    from actors.measuring import measure_image
    from actors.models import TrainingImage

    fresh = TrainingImage.objects.filter(dataset=dataset, inspected_at=None).select_related("dataset__actor")
    for image in list(fresh):
        try:
            measure_image(image)
        except Exception as error:  # noqa: BLE001  # as above
            result.crashes.append(f"inspection of {image}: {type(error).__name__}: {error}"[:300])


def half_things(dataset: TrainingDataset) -> list[str]:
    """Rows without a file, files that are not what their row says, uploads without an end."""
    from actors import storage
    from actors.models import ImageUpload, TrainingImage

    unended = (ImageUpload.State.WAITING, ImageUpload.State.WORKING)
    halves = [
        f"{upload}: {upload.state}, {upload.message!r}"
        for upload in ImageUpload.objects.filter(dataset=dataset).iterator()
        if upload.state in unended
        or (upload.state == ImageUpload.State.REFUSED and not upload.message)
        or storage.size(storage.own(upload.key).s3) is not None
    ]
    for image in TrainingImage.objects.filter(dataset=dataset).iterator():
        with storage.opened(image.original_url or image.url, 10**9) as file:
            is_whole = hashlib.sha256(file.read()).hexdigest() == image.sha256
        if not (is_whole and image.width and image.height and image.inspected_at and image.has_thumbnail):
            halves.append(f"{image}: row and file differ, or nobody could look at it: {image.findings}")
    return halves


def peak_mib() -> float:
    """The most memory this process has ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """On a database and a store that are gone afterwards."""
    import django

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test.utils import override_settings

    warnings.filterwarnings("ignore", category=UserWarning)  # Pillow's, about what is broken
    with tempfile.TemporaryDirectory() as folder:
        place = {"location": folder, "allow_overwrite": True}
        default = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": place}
        storages = settings.STORAGES | {"default": default}
        connection.creation.create_test_db(verbosity=0)
        try:
            with override_settings(MEDIA_ROOT=folder, STORAGES=storages, MAX_DATASET_IMAGES=10**6):
                result = run(options.count, seed=options.seed, first=options.first)
        finally:
            connection.creation.destroy_test_db(settings.DATABASES["default"]["NAME"], verbosity=0)
    sys.stdout.write(f"{result}\n")
    return 0 if result.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
