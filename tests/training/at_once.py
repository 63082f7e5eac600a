"""The same step by several processes at the same moment: exactly one of them takes it.

``python -m tests.training.at_once`` tries every scenario with processes on the database of
``DATABASE_URL`` and prints what went wrong. The tests run it on SQLite, and with threads on PostgreSQL.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

TIMES = 4
Step = Callable[[], object]
Together = Callable[[Step], None]
#: What it tries; gives the step to repeat, and afterwards what is wrong (empty: nothing).
Scenario = Callable[[Together, Callable[[], int]], str]


def submit(together: Together, accepted: Callable[[], int]) -> str:
    from tests.factories import make_actor
    from tests.training.ready import kinds, recommended
    from training import launch, tasks

    before, version = accepted(), launch.launch(make_actor(), recommended())
    together(lambda: tasks.submit(version.pk))
    return differs((accepted() - before, kinds(version)), (1, ["pending", "submitting", "queued"]))


def submit_preview(together: Together, accepted: Callable[[], int]) -> str:
    from tests.training.previewing import ordered
    from training import preview_tasks

    before, preview = accepted(), ordered()
    together(lambda: preview_tasks.submit(preview.pk))
    preview.refresh_from_db()
    return differs((accepted() - before, preview.status), (1, "submitted"))


def preview_of_a_completed(together: Together, accepted: Callable[[], int]) -> str:
    from tests.factories import make_version
    from tests.training.previewing import make_drawable

    version = make_version(status="training")
    where = make_drawable().lora_url
    together(lambda: version.complete(where))
    return differs(version.previews.count(), 1)


def report_of_a_preview(together: Together, accepted: Callable[[], int]) -> str:
    from tests.training.previewing import ordered
    from training import preview_reports
    from training.job_report import JobReport, JobState

    preview = ordered()
    preview.mark_submitted(f"job-{preview.pk}")
    images = [{"image": 0}, {"image": 1}]
    done = JobReport(id=preview.job_id or "", state=JobState.COMPLETED, output={"images": images})
    together(lambda: preview_reports.apply(preview, done))
    preview.refresh_from_db()
    return differs((preview.status, preview.images.filter(url="").count()), ("done", 0))


def stop_job(together: Together, accepted: Callable[[], int]) -> str:
    from tests.training.ready import kinds, start
    from training import tasks
    from training.stops import JobToStop

    version = start()
    together(version.cancel)
    together(lambda: tasks.stop_job(version.job_id or ""))
    return differs((kinds(version).count("cancelled"), JobToStop.objects.count()), (1, 0))


def report(together: Together, accepted: Callable[[], int]) -> str:
    from tests.factories import make_version
    from tests.training.ready import kinds
    from training.job_report import JobReport, JobState

    version = make_version(status="queued")
    running = JobReport(id=version.job_id or "", state=JobState.IN_PROGRESS)
    together(lambda: version.apply_report(running))
    output = {"loraUrl": "https://bucket.s3.us-east-1.amazonaws.com/actor.safetensors"}
    done = JobReport(id=version.job_id or "", state=JobState.COMPLETED, output=output)
    together(lambda: version.apply_report(done))
    return differs(kinds(version), ["training", "completed"])


def recover(together: Together, accepted: Callable[[], int]) -> str:
    from django.core.files.base import ContentFile

    from actors import storage
    from tests.factories import make_version
    from tests.simulated_jobs import tiny_lora
    from tests.training.ready import kinds
    from training import recovery

    version = make_version(status="submitting")
    storage.save(version.lora_key, ContentFile(tiny_lora("actor")))
    together(lambda: recovery.recover(version))
    return differs(kinds(version), ["completed"])


def warn(together: Together, accepted: Callable[[], int]) -> str:
    from tests.factories import make_version
    from tests.training.ready import kinds
    from training import sweeping

    version = make_version(status="queued")
    together(lambda: sweeping.warn(version, "waits", "Waiting"))
    return differs(kinds(version), ["note"])


def resubmit(together: Together, accepted: Callable[[], int]) -> str:
    from django.utils import timezone

    from tests.factories import make_version
    from tests.training.ready import kinds
    from training import tasks
    from training.endpoints import EndpointState
    from training.models import NotLost

    before = accepted()
    long_ago = timezone.now().replace(year=2020)
    version = make_version(status="submitting", submitted_at=long_ago, endpoint_id=EndpointState.configured())

    def decide() -> None:
        try:
            version.resubmit()
        except NotLost:
            return  # somebody else was faster

    together(decide)
    together(lambda: tasks.submit(version.pk))
    return differs((accepted() - before, kinds(version)), (1, ["pending", "submitting", "queued"]))


def sweep(together: Together, accepted: Callable[[], int]) -> str:
    from tests.training.ready import kinds, start
    from training import tasks
    from training.models import TrainingVersion

    tasks.SWEEP_SECONDS = 0
    version = start()
    end = time.monotonic() + 20
    while version.status != "completed" and time.monotonic() < end:
        TrainingVersion.objects.update(next_poll_at=None)
        together(tasks.sweep)
        version.refresh_from_db()
    # A short job may end between two looks.
    seen = [kind for kind in dict.fromkeys(kinds(version)) if kind != "training"]
    return differs(seen, ["pending", "submitting", "queued", "completed"]) or differs(
        len(kinds(version)), len(set(kinds(version)))
    )


SCENARIOS: tuple[Scenario, ...] = (
    submit,
    stop_job,
    report,
    recover,
    warn,
    resubmit,
    sweep,
    submit_preview,
    preview_of_a_completed,
    report_of_a_preview,
)


def differs(found: object, wanted: object) -> str:
    """Empty when they are equal."""
    return "" if found == wanted else f"{found} instead of {wanted}"


def one_after_another(step: Step) -> None:
    """A task that is delivered twice, the second time after the first has ended."""
    for _ in range(2):
        step()


def in_processes(step: Step) -> None:
    """All at one moment; an exception in one of them ends the script."""
    from django.db import connections

    connections.close_all()
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(TIMES)

    def run() -> None:
        barrier.wait()
        step()

    children = [context.Process(target=run) for _ in range(TIMES)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    if any(child.exitcode for child in children):
        raise RuntimeError(f"exit codes {[child.exitcode for child in children]}")


@contextmanager
def simulator() -> Iterator[str]:
    """A simulator in a process of its own; its address."""
    from tests.faults.studio import free_port

    port = free_port()
    times = ["--speed", "200", "--queue", "2", "--train", "20", "--faults", '{"uploads": false}']
    child = subprocess.Popen([sys.executable, "-m", "tests.runpod_simulator", "--port", str(port), *times])
    try:
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                httpx.get(f"{address}/_control")
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield address
    finally:
        child.kill()
        child.wait()


def main() -> int:
    """0 when every scenario holds."""
    with simulator() as address:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="actortrain_site.settings",
            RUNPOD_BASE_URL=f"{address}/v2",
            RUNPOD_API_KEY="simulator-key",
            RUNPOD_ENDPOINT_ID="simulated",
            BASE_MODEL="embedded",
            LOG_LEVEL="ERROR",
        )
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

        def accepted() -> int:
            counts: dict[str, Any] = httpx.get(f"{address}/_control").json()
            return int(counts["accepted"])

        wrong = {
            f"{scenario.__name__}, {how.__name__}": found
            for scenario in SCENARIOS
            for how in (one_after_another, in_processes)
            if (found := scenario(how, accepted))
        }
    for name, found in wrong.items():
        print(f"{name}: {found}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
