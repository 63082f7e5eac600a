"""The sweep at 100, 500 and 2,000 active trainings, and webhooks a second with all of them settled.

Real HTTP over loopback to an endpoint that takes 50 ms an answer, and a real database (SQLite in a
temporary folder, or ``DATABASE_URL``). A round is everything: reading what is due, asking, parsing,
writing. First without the endpoint's limit, which is what the site can do; then as it runs, with at most
1,000 looks in 10 s and endpoint.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.faults.studio import free_port

_batches = itertools.count()
NUMBERS = (100, 500, 2000)
WEBHOOKS = 500
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Prints two tables."""
    with tempfile.TemporaryDirectory(prefix="actortrain-bench-") as folder, stub() as address:
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder}/bench.sqlite3")
        os.environ.update(
            ENV_FILE=os.devnull,
            VAR_DIR=folder,
            DJANGO_SETTINGS_MODULE="actortrain_site.settings",
            RUNPOD_BASE_URL=f"{address}/v2",
            RUNPOD_API_KEY="key",
            RUNPOD_ENDPOINT_ID="one",
            BASE_MODEL="embedded",
            LOG_LEVEL="ERROR",
        )
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        print(f"{connection.vendor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
        kinds = ("active", "first look", "nothing new", "all taken by workers", "all moved on")
        print(f"| {' | '.join(kinds)} | by the limit, 1 / 2 endpoints |")
        print("| --- |" + " --- |" * 5)
        for number in NUMBERS:
            print(f"| {number:,} | {' | '.join(rounds(number, address))} |", flush=True)
        webhooks(address)
    return 0


def rounds(number: int, address: str) -> list[str]:
    """Seconds of each kind of round."""
    from training import sweeping

    limit = sweeping.LOOKS
    make(number, endpoints=1)
    found = []
    with sweeping.Sweep() as sweep:
        sweeping.LOOKS = 10**9
        for mode in ("queued", "queued", "moving", "moving"):
            set_mode(address, mode)
            found.append("{:.2f} s, {:.2f} of CPU".format(*timed(sweep)))
    sweeping.LOOKS = limit
    limited = []
    set_mode(address, "queued")
    for endpoints in (1, 2):
        make(number, endpoints=endpoints)
        limited.append(f"{until_all_seen():.1f} s")
    return [*found, " / ".join(limited)]


def make(number: int, endpoints: int, status: str = "queued") -> list[int]:
    """So many actors with a training each; the keys of the trainings. Those from before have ended."""
    from django.utils import timezone

    from actors.models import Actor
    from tests.factories import make_version
    from training.models import TrainingVersion

    TrainingVersion.objects.update(status="cancelled")
    batch = next(_batches)
    actors = Actor.objects.bulk_create(Actor(name=f"actor {batch}-{index}") for index in range(number))
    model = make_version(actors[0], status=status)
    fields = {field.attname: getattr(model, field.attname) for field in model._meta.concrete_fields}
    unlike = ("id", "actor_id", "public_id", "job_id", "endpoint_id", "request_id", "submitted_at")
    same = {name: value for name, value in fields.items() if name not in unlike}
    model.delete()
    rows = [
        TrainingVersion(
            actor=actor,
            public_id=str(index),
            job_id=f"job-{batch}-{index}",
            request_id=f"request-{batch}-{index}",
            endpoint_id=("one", "two")[index % endpoints],
            submitted_at=timezone.now(),
            **same,
        )
        for index, actor in enumerate(actors)
    ]
    return [row.pk for row in TrainingVersion.objects.bulk_create(rows)]


def timed(sweep: Any) -> tuple[float, float]:
    """One round with everything due: seconds by the clock, and of this process's CPU."""
    from training.models import TrainingVersion

    TrainingVersion.objects.update(next_poll_at=None)
    began, worked = time.monotonic(), time.process_time()
    sweep.round()
    return time.monotonic() - began, time.process_time() - worked


def until_all_seen() -> float:
    """Rounds as the site makes them, until each training was looked at once."""
    from training.models import TrainingVersion
    from training.sweeping import Sweep

    TrainingVersion.objects.update(next_poll_at=None)
    began = time.monotonic()
    with Sweep() as sweep:
        while True:
            sweep.round()
            if not TrainingVersion.objects.active().filter(next_poll_at=None).exists():
                return time.monotonic() - began
            time.sleep(0.5)


def webhooks(address: str) -> None:
    """Real requests to gunicorn, 16 at once; each reads ``/status`` and completes its training."""
    from django.urls import reverse

    from training.models import Status, TrainingVersion

    keys = make(WEBHOOKS, endpoints=1, status="training")
    set_mode(address, "completed")
    port = free_port()
    gunicorn = f"-m gunicorn actortrain_site.wsgi --bind 127.0.0.1:{port} --workers 2 --threads 8"
    quiet = ["--worker-class", "gthread", "--no-control-socket", "--log-level", "error"]
    server = subprocess.Popen([sys.executable, *gunicorn.split(), *quiet], cwd=ROOT, env=os.environ)
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz")
        tokens = [version.webhook_token for version in TrainingVersion.objects.filter(pk__in=keys)]
        urls = [f"http://127.0.0.1:{port}{reverse('training-webhook', args=[token])}" for token in tokens]
        jobs = TrainingVersion.objects.filter(pk__in=keys).values_list("job_id", flat=True)
        bodies = [{"id": job_id, "status": "COMPLETED"} for job_id in jobs]
        began = time.monotonic()
        with httpx.Client(timeout=60) as client, ThreadPoolExecutor(16) as pool:
            answers = pool.map(lambda url, body: client.post(url, json=body).status_code, urls, bodies)
            codes = list(answers)
        seconds = time.monotonic() - began
    finally:
        server.kill()
        server.wait()
    settled = TrainingVersion.objects.filter(status=Status.COMPLETED).count()
    print(f"\n{WEBHOOKS} webhooks in {seconds:.1f} s: {WEBHOOKS / seconds:.0f} a second.")
    print(f"{codes.count(200)} were answered with 200, {settled} trainings are completed.")


@contextlib.contextmanager
def stub() -> Iterator[str]:
    """The endpoint in a process of its own."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.endpoint_stub", str(port)], cwd=ROOT)
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/one/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def wait_for(url: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(url, timeout=10)
            return
        time.sleep(0.1)
    raise TimeoutError(url)


def set_mode(address: str, mode: str) -> None:
    httpx.post(f"{address}/mode/{mode}")


if __name__ == "__main__":
    sys.exit(main())
