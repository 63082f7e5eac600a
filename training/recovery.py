"""What the object store knows about a training: its LoRA, or a sign that its job is running.

RunPod forgets a result after 30 minutes, and answers and webhooks get lost. But the key of the LoRA
is known before it is trained, so a finished training is found there whoever forgot it.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.files.storage import default_storage
from django.utils import timezone

from actors import storage
from training.endpoints import EndpointState
from training.models import TrainingVersion

if TYPE_CHECKING:
    from training.runpod import RunPod

log = logging.getLogger(__name__)

#: A job that is nowhere to be found for this long is lost.
LOST_AFTER = timedelta(minutes=10)
#: After the job's ttl: the endpoint's clock and ours may differ.
GRACE = timedelta(minutes=10)


@dataclass(frozen=True)
class Found:
    """A whole LoRA at its key."""

    url: str
    name: str
    size: int


def find(version: TrainingVersion) -> Found | None:
    """The version's LoRA, if it lies in the store now. A store that can't be asked has not shown it."""
    if not version.request_id:
        return None
    address = storage.own(version.lora_key)
    try:
        size = storage.size(address.s3)
        if not size or not is_whole(version.lora_key, size):
            return None
    except OSError as error:
        log.warning("looking for the LoRA of %s: %s", version.pk, error)
        return None
    return Found(storage.public_url(address), f"{version.model_name}.safetensors", size)


def is_whole(key: str, size: int) -> bool:
    """Whether nothing is missing at its end: a PUT to S3 is all or nothing, a local copy may break off.

    The safetensors header says where the last tensor ends.
    """
    if settings.S3_BUCKET:
        return True
    with default_storage.open(key) as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        if not 0 < header_bytes <= size - 8:
            return False
        try:
            header = json.loads(file.read(header_bytes))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return False
    return bool(size == 8 + header_bytes + max(ends, default=0))


def recover(version: TrainingVersion) -> bool:
    """Completes a version whose LoRA lies at its key although nobody reported it."""
    found = find(version)
    if found is None:
        return False
    message = "Completed: found the finished LoRA in the object store"
    return version.complete(found.url, message, lora_name=found.name, lora_bytes=found.size)


def trace(version: TrainingVersion) -> str:
    """What proves that the endpoint has a job for it: a LoRA or its first sample in the store. Else empty."""
    if find(version):
        return "its LoRA has arrived."
    try:
        if version.request_id and storage.size(storage.own(version.sample_key(0, 0)).s3):
            return "its first sample has arrived."
    except OSError as error:
        log.warning("looking for samples of %s: %s", version.pk, error)
    return ""


def settle_missing(version: TrainingVersion, runpod: RunPod) -> bool:
    """The endpoint does not know the job (any more): the object store knows whether it finished.

    A fresh job may be unknown for some seconds, and a wrong address knows no job at all: it is lost
    when it stays unknown to an endpoint that is well.
    """
    if recover(version):
        return True
    now = timezone.now()
    if version.missing_since is None:
        TrainingVersion.objects.filter(pk=version.pk, missing_since=None).update(missing_since=now)
        return False
    if now - version.missing_since < LOST_AFTER:
        return False
    if not EndpointState.look(version.endpoint_id, runpod):
        return False
    reason = "Lost: the endpoint no longer knows this job, and no LoRA has arrived. Start it again."
    return version.lose(reason)


def settle_expired(version: TrainingVersion) -> bool:
    """Its time is over, nobody could say how it stands, and nothing has arrived."""
    if recover(version):
        return True
    return version.lose(
        "Lost: its time at the endpoint is over, and neither word nor LoRA has arrived. Start it again."
    )
