"""Inspection of 1,000 images of 1024 px on two processes: seconds, images a second, memory.

Painted portraits and, with the extra for faces, a photograph in 1,000 variants, so that every check runs.
Each process holds one image at a time, so its memory must not grow with their number.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from io import BytesIO
from multiprocessing import get_context

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "actortrain_site.settings")
os.environ.setdefault("OMP_NUM_THREADS", "1")

PROCESSES = 2


@cache
def sources() -> list[bytes]:
    """A few files to vary, encoded once: the time measured is that of reading, not of painting."""
    from worker.portraits import paint, random_portrait

    rng = random.Random(8)
    files = []
    for _ in range(8):
        buffer = BytesIO()
        paint(random_portrait(rng), 1024, 1).save(buffer, "JPEG", quality=92)
        files.append(buffer.getvalue())
    return files


def inspect(number: int, *, with_faces: bool) -> int:
    """What ``measuring`` does with one file, without the database; returns the process's peak in KiB."""
    from actors import faces, images, measures

    file = BytesIO(sources()[number % len(sources())])
    images.sha256_of(file)
    with images.opened(file) as picture:
        upright = images.upright(picture)
    measures.measure(upright)
    images.small_webp(upright)
    if with_faces:
        faces.find(upright)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def plain(number: int) -> int:
    return inspect(number, with_faces=False)


def with_faces(number: int) -> int:
    return inspect(number, with_faces=True)


def run(count: int, *, faces_too: bool) -> None:
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn"), initializer=prepare) as pool:
        work = with_faces if faces_too else plain
        list(pool.map(work, range(PROCESSES * 4)))  # weights are loaded, caches warm
        started = time.perf_counter()
        peaks = list(pool.map(work, range(count), chunksize=8))
        seconds = time.perf_counter() - started
    tenth = max(1, count // 10)
    early, late = max(peaks[:tenth]) / 1024, max(peaks[-tenth:]) / 1024
    what = "with faces" if faces_too else "without faces"
    sys.stdout.write(
        f"{count} images of 1024 px, {what}, {PROCESSES} processes: {seconds:.1f} s "
        f"({count / seconds:.0f} a second), peak memory a process {early:.0f} MiB after a tenth, "
        f"{late:.0f} MiB at the end\n"
    )


def judge(count: int) -> None:
    """Pairs among many: the part that grows with the square."""
    from actors import measures
    from worker.portraits import paint, random_portrait

    rng = random.Random(9)
    numbers = [measures.measure(paint(random_portrait(rng), 64, 1)) for _ in range(100)]
    many = [numbers[index % 100] for index in range(count)]
    started = time.perf_counter()
    measures.twins([each["hash"] for each in many], [each["layout"] for each in many])
    sys.stdout.write(f"near duplicates among {count} images: {time.perf_counter() - started:.2f} s\n")


def prepare() -> None:
    import django

    django.setup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    prepare()
    from actors import faces

    run(options.count, faces_too=False)
    if faces.available():
        run(options.count, faces_too=True)
    judge(options.count)
