"""Previews whose job nobody knows, or whose answer is lost: the object store says what was drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from training.endpoints import EndpointState
from training.models import Preview
from training.preview_reports import find_pictures, recover
from training.recovery import LOST_AFTER

if TYPE_CHECKING:
    from training.runpod import RunPod


class NotLost(Exception):
    """There is nothing for a person to resolve (yet)."""


def settle_missing(preview: Preview, runpod: RunPod) -> bool:
    """The endpoint does not know the job (any more). A fresh one may be unknown for some seconds."""
    if recover(preview):
        return True
    now = timezone.now()
    if preview.missing_since is None:
        Preview.objects.filter(pk=preview.pk, missing_since=None).update(missing_since=now)
        return False
    if now - preview.missing_since < LOST_AFTER or not EndpointState.look(preview.endpoint_id, runpod):
        return False
    return preview.fail("Lost: the endpoint no longer knows this job. Draw it again.", presumed=True)


def settle_expired(preview: Preview) -> bool:
    """Its time at the endpoint is over, and nobody could say how it stands."""
    if recover(preview):
        return True
    return preview.fail(
        "Lost: its time at the endpoint is over, and no word has arrived. Draw it again.", presumed=True
    )


def send_again(preview: Preview) -> bool:
    """A person knows that it never reached the endpoint. Raises ``NotLost`` if something has arrived."""
    preview.refresh_from_db()
    _may_decide(preview)
    if find_pictures(preview):
        raise NotLost("The endpoint did get it: a picture has arrived. Sending it again would pay twice.")
    sent = preview.send_again()
    if sent:
        transaction.on_commit(lambda: async_task("training.preview_tasks.submit", preview.pk))
    return sent


def give_up(preview: Preview) -> bool:
    """A person waits no longer for a lost answer. Pictures that come all the same still count."""
    preview.refresh_from_db()
    _may_decide(preview)
    reason = "Given up: the endpoint never said whether it took the job."
    return preview.fail(reason, presumed=True)


def _may_decide(preview: Preview) -> None:
    if preview.decide_at is None:
        raise NotLost(f"There is nothing to decide: the preview is {preview.status}.")
    if not preview.can_be_resolved:
        raise NotLost(
            f"The endpoint may still answer: wait until {preview.decide_at:%H:%M:%S} UTC, then decide."
        )
