"""Steps that tests of previews share."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from actors import storage
from tests.factories import make_version
from tests.simulated_jobs import tiny_lora, tiny_png
from tests.training.ready import until
from training import preview_tasks, previews
from training.models import Preview, TrainingVersion
from training.previews import Wanted
from training.sweeping import Sweep

PROMPT = "portrait of {trigger}, smiling"


def make_drawable(**fields: Any) -> TrainingVersion:
    """A completed version whose LoRA lies in this site's store."""
    version = make_version(**fields)
    version.lora_url = storage.own(version.lora_key).s3
    version.save(update_fields=["lora_url"])
    storage.save(version.lora_key, ContentFile(tiny_lora(version.model_name)))
    return version


def ordered(version: TrainingVersion | None = None, *wanted: Wanted, **fields: Any) -> Preview:
    """A preview of two pictures, not submitted yet."""
    pictures = wanted or (Wanted(PROMPT, 1), Wanted(PROMPT, 1, strength=0))
    return previews.order(version or make_drawable(), pictures, **{"title": "A look", **fields})


def submitted(version: TrainingVersion | None = None, *wanted: Wanted) -> Preview:
    """Ordered and submitted, as the task queue does it on commit."""
    preview = ordered(version, *wanted)
    preview_tasks.submit(preview.pk)
    preview.refresh_from_db()
    return preview


def store_pictures(preview: Preview, *positions: int) -> None:
    """What a worker puts into the store; by default all."""
    for position in positions or range(preview.images.count()):
        storage.save(preview.image_key(position), ContentFile(tiny_png(position)))


def sweep_once() -> None:
    """A round in which every preview is due."""
    Preview.objects.update(next_poll_at=None)
    with Sweep() as sweep:
        sweep.round()


def sweep_until(preview: Preview, *states: str) -> None:
    """Round after round until it is in one of the states."""

    def reached() -> bool:
        sweep_once()
        preview.refresh_from_db()
        return preview.status in states

    until(reached)


def post_webhook(client: Client, preview: Preview, body: object, token: str = "") -> Any:
    """What RunPod posts at the end of a job."""
    url = reverse("preview-webhook", args=[token or preview.webhook_token])
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    return client.post(url, data, content_type="application/json")


def of_role(role: str) -> Client:
    """Somebody of this role, signed in."""
    user = User.objects.create_user(role.lower())
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, name: str, *args: Any, status: int = 200, **query: Any) -> str:
    """A page as text."""
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == status
    return answer.content.decode()
