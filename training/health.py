"""Whether everything that trainings need is there and moving, for people and for monitors."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.db import DatabaseError, connection
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from actors import storage
from training.endpoints import EndpointState
from training.leases import Lease
from training.models import Preview, TrainingVersion

State = Literal["ok", "warning", "error"]

#: Seconds: a sweep starts each minute, and a task is taken within a second unless all workers are busy.
SWEEP_LATE, QUEUE_SLOW, QUEUE_STUCK = 180.0, 60.0, 300.0
#: Bytes: below the first a person should look, below the second nothing can be written soon.
DISK_LOW, DISK_FULL = 2 * 1024**3, 200 * 1024**2


@dataclass(frozen=True)
class Check:
    """One thing that trainings need. ``says`` is for people who are signed in."""

    name: str
    label: str
    state: State
    says: str
    seconds: float | None = None
    #: Words and addresses of what a person does about it.
    links: tuple[tuple[str, str], ...] = ()


def checks() -> list[Check]:
    """All of them; where the database is gone, only that."""
    try:
        found = [database()]
    except DatabaseError as error:
        return [Check("database", "Database", "error", f"It does not answer: {' '.join(str(error).split())}")]
    rest: tuple[Callable[[], Check], ...] = (object_store, task_queue, sweep, endpoint, answers, disk)
    return [*found, *(check() for check in rest)]


def overall(found: list[Check]) -> Literal["ok", "degraded", "down"]:
    """``down`` where this site can't serve; a sick endpoint or a slow queue only degrades it."""
    if any(check.state == "error" and check.name in ("database", "object_store") for check in found):
        return "down"
    return "degraded" if any(check.state != "ok" for check in found) else "ok"


def database() -> Check:
    """A round trip. Raises ``DatabaseError``."""
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    seconds = time.monotonic() - began
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(connection.vendor, connection.vendor)
    return Check("database", "Database", "ok", f"{kind} answers in {1000 * seconds:.0f} ms.", seconds)


def object_store() -> Check:
    """Asks for a file that is not there."""
    name, label, began = "object_store", "Object store", time.monotonic()
    try:
        if not settings.S3_BUCKET:
            settings.MEDIA_ROOT.mkdir(parents=True, exist_ok=True)
        storage.size(storage.own("health/nothing").s3)
    except OSError as error:
        return Check(name, label, "error", str(error))
    where = f"Bucket {settings.S3_BUCKET}" if settings.S3_BUCKET else "The local folder"
    seconds = time.monotonic() - began
    return Check(name, label, "ok", f"{where} answers in {1000 * seconds:.0f} ms.", seconds)


def task_queue() -> Check:
    """The age of the oldest task that no worker has taken."""
    now = timezone.now()
    oldest = OrmQ.objects.filter(lock__lte=now).order_by("lock").values_list("lock", flat=True).first()
    age = (now - oldest).total_seconds() if oldest else 0.0
    state: State = "error" if age > QUEUE_STUCK else "warning" if age > QUEUE_SLOW else "ok"
    waiting = OrmQ.objects.filter(lock__lte=now).count()
    says = f"{waiting} tasks wait, the oldest for {age:.0f} s." if waiting else "No task waits."
    if state == "error":
        says += " Is the task queue running? Start it: python manage.py run_tasks"
    return Check("task_queue", "Task queue", state, says, age)


def sweep() -> Check:
    """When the sweep was last heard of: without it, nothing is followed."""
    name, label = "sweep", "Sweep"
    lease = Lease.objects.filter(name="sweep").first()
    if lease is None or lease.seen_at is None:
        needed = TrainingVersion.objects.active().exists()
        says = "It has not run yet. It starts with the task queue: python manage.py run_tasks"
        return Check(name, label, "error" if needed else "warning", says)
    age = (timezone.now() - lease.seen_at).total_seconds()
    if age > SWEEP_LATE:
        says = f"It was last heard of {age:.0f} s ago. Is the task queue running? python manage.py run_tasks"
        return Check(name, label, "error", says, age)
    where = f" on {lease.held_by}" if lease.held_by else ""
    return Check(name, label, "ok", f"Heard of {age:.0f} s ago{where}.", age)


def endpoint() -> Check:
    """What the sweep saw of the configured endpoint."""
    name, label = "endpoint", f"Endpoint {EndpointState.configured()}"
    state = EndpointState.current()
    if state is None:
        return Check(name, label, "warning", "Nobody has looked at it in the last minutes.")
    if state.trouble:
        lasts = (timezone.now() - state.trouble_since).total_seconds() if state.trouble_since else 0.0
        return Check(name, label, "error", f"{state.trouble} For {lasts:.0f} s now.", lasts)
    return Check(name, label, "ok" if state.can_work else "warning", state.words)


def answers() -> Check:
    """Jobs that were sent and never answered: nobody but a person can say what became of them."""
    name, label = "answers", "Lost answers"
    trainings = TrainingVersion.objects.undecided().count()
    previews = Preview.objects.undecided().count()
    found = [
        (f"{trainings} training{'s' if trainings > 1 else ''}", f"{reverse('activity')}?status=queue"),
        (f"{previews} preview{'s' if previews > 1 else ''}", f"{reverse('drawn')}?state=undecided"),
    ]
    lost = [each for each, count in zip(found, (trainings, previews), strict=True) if count]
    if not lost:
        return Check(name, label, "ok", "No job waits for a decision.")
    jobs = " and ".join(words for words, _ in lost)
    says = f"{jobs} got no answer from the endpoint. None is sent again by itself: a person has to decide."
    return Check(
        name, label, "warning", says, links=tuple((f"Decide about {words}", href) for words, href in lost)
    )


def disk() -> Check:
    """Free space where database and files lie."""
    usage = shutil.disk_usage(settings.VAR_DIR if settings.VAR_DIR.exists() else settings.BASE_DIR)
    state: State = "error" if usage.free < DISK_FULL else "warning" if usage.free < DISK_LOW else "ok"
    return Check("disk", "Disk", state, f"{usage.free / 1024**3:.1f} of {usage.total / 1024**3:.1f} GB free.")
