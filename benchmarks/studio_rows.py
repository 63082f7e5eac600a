"""A studio of any size, straight into the tables: what the benchmarks of the pages look at.

Every actor has a dataset of 15 images and five versions in a mix of states; one actor (``RICH``) has what
grows on a page over the years: thirty versions with samples, long losses and logs, events and history.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection, models
from django.utils import timezone

from actors.models import Actor, TrainingDataset, TrainingImage, Verdict
from actors.sequences import continue_after_highest_id
from training import batch_plan, batch_planning
from training.base_models import EMBEDDED, auto_adjust
from training.models import SampleImage, Status, TrainingEvent, TrainingVersion

RICH = 0
IMAGES = 15
VERSIONS = 5
STEPS = 1500
_BATCH = 2000
_ETHNICITIES = ("nordic", "european", "east_asian", "african", "south_asian", "latin_american")
_LAST = (Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.COMPLETED)


def fill(actors: int) -> None:
    """So many actors; history is kept for the rich one only."""
    _save(_actor(number) for number in range(actors))
    _save(_dataset(number) for number in range(actors))
    datasets = dict(TrainingDataset.objects.values_list("actor_id", "pk"))
    _save(_image(number, datasets[number], index) for number in range(actors) for index in range(IMAGES))
    _save(_version(number, index) for number in range(actors) for index in range(1, VERSIONS + 1))
    continue_after_highest_id(Actor)
    _enrich(Actor.objects.get(pk=RICH))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # autovacuum would do it a minute later


def sign_in() -> str:
    """The session key of a superuser."""
    user = User.objects.create_superuser("bench")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def plan_batch() -> int:
    """A plan of every actor there is."""
    batch = batch_plan.make(list(Actor.objects.values_list("pk", flat=True)), by=None)
    batch_planning.run(batch.pk, seconds=math.inf)
    return batch.pk


def active(count: int) -> list[int]:
    """Keys of so many versions that train from now on, halfway through, each of another actor."""
    now = timezone.now()
    owners = list(Actor.objects.exclude(pk=RICH).order_by("pk").values_list("pk", flat=True)[:count])
    rows = [
        _version(
            owner,
            VERSIONS + 1,
            status=Status.TRAINING,
            is_good=False,
            lora_url="",
            job_id=f"job-{owner}",
            stage="training",
            step=STEPS // 2,
            seconds_per_step=0.5,
            started_at=now - timedelta(minutes=6),
            finished_at=None,
            loss_history=_loss(STEPS // 2),
            log=_log(40),
            stages=[{"stage": "training", "started_at": (now - timedelta(minutes=6)).isoformat()}],
        )
        for owner in owners
    ]
    _save(rows)
    keys = TrainingVersion.objects.filter(status=Status.TRAINING, number=VERSIONS + 1)
    _save(
        SampleImage(
            version_id=key, step=step, prompt_index=index, prompt="calm", url=f"s3://local/{index}.png"
        )
        for key in keys.values_list("pk", flat=True)
        for step in range(0, STEPS // 2, 250)
        for index in range(6)
    )
    return list(keys.values_list("pk", flat=True))


def _actor(number: int) -> Actor:
    sex = ("female", "male")[number % 2]
    ethnicity = _ETHNICITIES[number % len(_ETHNICITIES)]
    age = 18 + number % 70
    return Actor(
        id=number,
        name=f"{number:04d}_{ethnicity}_{age}_{sex}",
        age=age,
        sex=sex,
        ethnicity=ethnicity,
        description=f"A person with number {number}, calm in front of a plain wall",
        position=number,
        versions_made=VERSIONS,
    )


def _dataset(number: int) -> TrainingDataset:
    verdict = (Verdict.FIT, Verdict.WARNINGS, Verdict.NOT_FIT)[number % 3]
    return TrainingDataset(actor_id=number, verdict=verdict, kind=TrainingDataset.Kind.DRAWN)


def _image(number: int, dataset: int, index: int) -> TrainingImage:
    return TrainingImage(
        dataset_id=dataset,
        position=index,
        url=f"s3://local/actors/{number}/{index}.png",
        file_name=f"{index}.png",
        caption=f"portrait of {number:04d}, smiling",
        sha256=f"{number:032d}{index:032d}",
        has_thumbnail=True,
    )


def _version(number: int, index: int, **fields: Any) -> TrainingVersion:
    ended = timezone.now() - timedelta(hours=number % 5000, minutes=10 * (VERSIONS - index))
    status = _LAST[number % len(_LAST)] if index == VERSIONS else Status.COMPLETED
    values: dict[str, Any] = auto_adjust(IMAGES, EMBEDDED)[0].to_dict() | {"class_tokens": f"{number:04d}"}
    values |= {
        "status": status,
        "name": f"V{index}",
        "public_id": f"v{index}",
        "base_model": EMBEDDED.key,
        "image_count": IMAGES,
        "endpoint_id": "local",
        "execution_ms": 90_000,
        "max_train_steps": STEPS,
        "step": STEPS,
        "is_good": index == 1 and number % 3 > 0,
        "good_at": ended if index == 1 and number % 3 > 0 else None,
        "error": "The worker ran out of memory." if status == Status.FAILED else "",
        "lora_url": f"s3://local/loras/{number}/{index}.safetensors" if status == Status.COMPLETED else "",
        "created_at": ended - timedelta(minutes=5),
        "started_at": ended - timedelta(minutes=4),
        "finished_at": ended,
    }
    return TrainingVersion(actor_id=number, number=index, **(values | fields))


def _enrich(actor: Actor) -> None:
    """Thirty versions as they are after years, and a history made by the verbs themselves."""
    _save(
        _version(actor.pk, index, loss_history=_loss(STEPS), log=_log(200), is_good=False, good_at=None)
        for index in range(VERSIONS + 1, 31)
    )
    Actor.objects.filter(pk=actor.pk).update(versions_made=30)
    actor.dataset.save()  # the first line of its history
    versions = list(TrainingVersion.objects.filter(actor=actor).order_by("number"))
    _save(
        TrainingEvent(version=version, kind="note", message=f"Line {line}")
        for version in versions
        for line in range(12)
    )
    _save(
        SampleImage(
            version=version, step=step, prompt_index=index, prompt="calm", url=f"s3://local/{index}.png"
        )
        for version in versions
        for step in range(0, STEPS + 1, 250)
        for index in range(6)
    )
    completed = [version for version in versions if version.status == Status.COMPLETED]
    for version in completed[:10]:
        version.mark_good(reason="likeness holds")
    for turn in range(20):
        TrainingImage.objects.filter(dataset__actor=actor).update(caption=f"portrait, light {turn}")


def _loss(steps: int) -> list[list[float]]:
    return [
        [step, round(0.5 * math.exp(-step / 300) + 0.1 + 0.03 * math.sin(step * 1.7), 4)]
        for step in range(1, steps + 1)
    ]


def _log(lines: int) -> list[dict[str, str]]:
    now = timezone.now()
    times = [(now - timedelta(seconds=lines - line)).isoformat() for line in range(lines)]
    return [{"at": at, "level": "info", "message": f"Line {line}"} for line, at in enumerate(times)]


def _save(rows: Iterable[models.Model]) -> None:
    """Without history: that of fifty thousand versions is not what is measured."""
    batch: list[models.Model] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            _save_batch(batch)
            batch = []
    _save_batch(batch)


def _save_batch(batch: Sequence[Any]) -> None:
    if batch:
        models.QuerySet[Any, Any](type(batch[0])).bulk_create(batch)
