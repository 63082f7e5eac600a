"""Letters to people when a training needs them: it failed, was lost, or waits too long.

A letter is a task, written in the transaction that caused it: with the state, or not at all. Other
systems get signed webhooks instead (``training/outbox.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django_q.tasks import async_task

if TYPE_CHECKING:
    from training.models import TrainingVersion

Occasion = Literal["failed", "waits", "unanswered"]
SUBJECTS: dict[Occasion, str] = {
    "failed": "{version} failed",
    "waits": "{version} has waited long in the queue",
    "unanswered": "{version} needs a decision",
}
TEXTS: dict[Occasion, str] = {
    "failed": "{version.error}",
    "waits": "No worker has taken it yet. Waiting costs nothing; look at the endpoint's workers.",
    "unanswered": (
        "It was sent, but the endpoint's answer is lost, so nobody knows whether a job is running. "
        "Look at the endpoint, then decide on its page: send it again, or give it up."
    ),
}


def recipients(version: TrainingVersion) -> list[str]:
    """Who started it, and the studio's own list."""
    starter = version.created_by.email if version.created_by else ""
    return list(dict.fromkeys(address for address in [starter, *settings.NOTIFY_EMAILS] if address))


def tell(version: TrainingVersion, occasion: Occasion) -> None:
    """Has the letter sent, if anybody wants it. Call inside the transaction that caused it."""
    if recipients(version):
        name = f"letter {version.pk} {occasion}"
        async_task("training.notices.send", version.pk, occasion, task_name=name)


def send(pk: int, occasion: Occasion) -> None:
    """Writes the letter from what the version is now; the timeline keeps it from being sent twice."""
    from training.models import TrainingVersion

    with transaction.atomic():
        rows = TrainingVersion.objects.select_for_update(of=("self",)).select_related("actor", "created_by")
        version = rows.filter(pk=pk).first()
        if version is None or not (to := recipients(version)):
            return
        subject = SUBJECTS[occasion].format(version=f"{version.actor.name} {version.name}")
        said = f"Letter: {subject}"
        if version.events.filter(message=said).exists():
            return
        event = version.events.create(kind="note", message=said)
    text = TEXTS[occasion].format(version=version)
    page = settings.SITE_URL + version.get_absolute_url()
    try:
        send_mail(" ".join(subject.split()), f"{text}\n\n{page}\n", None, to)
    except OSError:
        event.delete()  # the task comes again
        raise
