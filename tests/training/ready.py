"""Steps that tests of trainings share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from django.test import Client
from django.urls import reverse

from actors.models import Actor
from tests.factories import make_actor
from training import launch, tasks
from training.base_models import EMBEDDED, auto_adjust
from training.models import TrainingVersion
from training.sweeping import Sweep


def recommended(**changes: object) -> dict[str, object]:
    """Values that a launch takes."""
    return {**auto_adjust(15, EMBEDDED)[0].to_dict(), "class_tokens": "someone", **changes}


def start(actor: Actor | None = None, **changes: object) -> TrainingVersion:
    """Launched and submitted, as the task queue does it on commit."""
    version = launch.launch(actor or make_actor(), recommended(**changes))
    tasks.submit(version.pk)
    version.refresh_from_db()
    return version


def until(done: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for it, and fails when it does not come."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def sweep_once() -> None:
    """A round in which everything is due."""
    TrainingVersion.objects.update(next_poll_at=None)
    with Sweep() as sweep:
        sweep.round()


def sweep_until(version: TrainingVersion, *states: str) -> None:
    """Round after round until the version is in one of the states."""

    def reached() -> bool:
        sweep_once()
        version.refresh_from_db()
        return version.status in states

    until(reached)


def kinds(version: TrainingVersion) -> list[str]:
    """The states and notes of its timeline."""
    return [event.kind for event in version.events.all()]


def messages(version: TrainingVersion) -> str:
    """Its whole timeline as one text."""
    return "\n".join(event.message for event in version.events.all())


def post_webhook(client: Client, version: TrainingVersion, body: object, token: str = "") -> Any:
    """What RunPod posts at the end of a job."""
    url = reverse("training-webhook", args=[token or version.webhook_token])
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    return client.post(url, data, content_type="application/json")
