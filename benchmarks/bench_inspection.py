"""Inspection of 1,000 images of 1024 px in two processes: seconds, CPU seconds, memory. Prints table rows.

Painted portraits, and a photograph (out of scikit-image) in variants when the extra for faces is there, so
that every check runs. Each process holds one image at a time, so its memory must not grow with their
number. CPU seconds are what counts on a busy machine: two quiet cores take half of them.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from multiprocessing import get_context

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "actortrain_site.settings")
os.environ.setdefault("OMP_NUM_THREADS", "1")

PROCESSES = 2
PIXELS = 1024
VARIANTS = 8


@dataclass(frozen=True)
class Cost:
    """What one image took: CPU seconds, and the most memory its process has held so far, in MiB."""

    cpu: float
    peak: float


@cache
def portraits() -> list[bytes]:
    """A few files to vary, encoded once: the time measured is that of reading, not of painting."""
    from worker.portraits import paint, random_portrait

    rng = random.Random(8)
    return [encoded(paint(random_portrait(rng), PIXELS, 1)) for _ in range(VARIANTS)]


@cache
def photographs() -> list[bytes]:
    """One real face, turned and cut differently, so that it is found and described each time."""
    from PIL import Image, ImageOps

    from tests.actors.pictures import astronaut

    whole = astronaut()
    made = []
    for number in range(VARIANTS):
        cut = whole.rotate(2 * number - 7).crop((8 * number, 0, 512 - 4 * number, 512 - 12 * number))
        grown = cut.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS)
        made.append(encoded(ImageOps.mirror(grown) if number % 2 else grown))
    return made


def encoded(image: object) -> bytes:
    """As JPEG."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=92)  # type: ignore[attr-defined]  # any PIL image
    return buffer.getvalue()


def inspect(content: bytes, *, with_faces: bool) -> Cost:
    """What ``measuring`` does with one file, without the database."""
    from actors import faces, images, measures

    before = time.process_time()
    file = BytesIO(content)
    images.sha256_of(file)
    with images.opened(file) as picture:
        upright = images.upright(picture)
    measures.measure(upright)
    images.small_webp(upright)
    if with_faces:
        faces.find(upright)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Cost(time.process_time() - before, peak)


def drawn(number: int) -> Cost:
    """One painted portrait."""
    return inspect(portraits()[number % VARIANTS], with_faces=False)


def photograph(number: int) -> Cost:
    """One photograph, with the checks of its face."""
    return inspect(photographs()[number % VARIANTS], with_faces=True)


def run(count: int, what: str, work: Callable[[int], Cost]) -> None:
    """One row of the table."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn"), initializer=prepare) as pool:
        list(pool.map(work, range(PROCESSES * 4)))  # weights are loaded, caches warm
        started = time.perf_counter()
        costs = list(pool.map(work, range(count), chunksize=8))
        seconds = time.perf_counter() - started
    tenth = max(1, count // 10)
    early, late = (max(cost.peak for cost in part) for part in (costs[:tenth], costs[-tenth:]))
    cpu = sum(cost.cpu for cost in costs)
    say(f"| {what} | {seconds:.0f} s | {cpu:.0f} s | {early:.0f} MiB | {late:.0f} MiB |")


def judge(count: int) -> None:
    """Pairs among many, and faces among many: the parts that grow with the square."""
    from actors import faces, measures
    from worker.portraits import paint, random_portrait

    rng = random.Random(9)
    numbers = [measures.measure(paint(random_portrait(rng), 64, 1)) for _ in range(100)]
    many = [numbers[index % 100] for index in range(count)]
    embeddings = [[rng.random() for _ in range(128)] for _ in range(count)]
    before = time.process_time()
    measures.twins([each["hash"] for each in many], [each["layout"] for each in many])
    twins = time.process_time()
    faces.strangers(embeddings)
    say(f"\nNear duplicates among {count}: {twins - before:.2f} s of CPU; ", end="")
    say(f"strangers among {count} faces: {time.process_time() - twins:.2f} s of CPU.")


def prepare() -> None:
    """The site's settings."""
    import django

    django.setup()


def say(line: str, end: str = "\n") -> None:
    """At once, also into a file."""
    sys.stdout.write(f"{line}{end}")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    prepare()
    from actors import faces

    load = os.getloadavg()[0]
    say(f"{options.count} images of {PIXELS} px in {PROCESSES} processes; load {load:.1f} before.")
    say("\n| | by the clock | of CPU | memory a process after a tenth | at the end |")
    say("| --- | --- | --- | --- | --- |")
    run(options.count, "drawn, no faces", drawn)
    if faces.available():
        run(options.count, "photographs, with faces", photograph)
    judge(options.count)
