"""Letters to people when a training or preview needs them: it failed, was lost, or waits too long.

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
    from django.contrib.auth.models import User

    from training.models import Preview, TrainingVersion

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


def recipients(starter: User | None) -> list[str]:
    """Who started it, and the studio's own list."""
    own = starter.email if starter else ""
    return list(dict.fromkeys(address for address in [own, *settings.NOTIFY_EMAILS] if address))


def tell(version: TrainingVersion, occasion: Occasion) -> None:
    """Has the letter sent, if anybody wants it. Call inside the transaction that caused it."""
    if recipients(version.created_by):
        name = f"letter {version.pk} {occasion}"
        async_task("training.notices.send", version.pk, occasion, task_name=name)


def send(pk: int, occasion: Occasion) -> None:
    """Writes the letter from what the version is now; the timeline keeps it from being sent twice."""
    from training.models import TrainingVersion

    with transaction.atomic():
        rows = TrainingVersion.objects.select_for_update(of=("self",)).select_related("actor", "created_by")
        version = rows.filter(pk=pk).first()
        if version is None or not (to := recipients(version.created_by)):
            return
        subject = SUBJECTS[occasion].format(version=f"{version.actor.name} {version.name}")
        said = f"Letter: {subject}"
        if version.events.filter(message=said).exists():
            return
        event = version.events.create(kind="note", message=said)
    try:
        write(subject, TEXTS[occasion].format(version=version), version.get_absolute_url(), to)
    except OSError:
        event.delete()  # the task comes again
        raise


def tell_of_preview(preview: Preview) -> None:
    """Its answer is lost, and a person has to decide. Call inside the transaction that found it out."""
    if recipients(preview.created_by):
        name = f"letter preview {preview.pk}"
        async_task("training.notices.send_of_preview", preview.pk, task_name=name)


def send_of_preview(pk: int) -> None:
    """Writes it, unless the answer or somebody's decision has come meanwhile."""
    from training.models import Preview

    preview = Preview.objects.select_related("version__actor", "created_by").filter(pk=pk).first()
    if preview is None or not preview.can_be_resolved:
        return
    version = preview.version
    subject = SUBJECTS["unanswered"].format(version=f"A preview of {version.actor.name} {version.name}")
    text = TEXTS["unanswered"].format(version=version)
    write(subject, text, preview.get_absolute_url(), recipients(preview.created_by))


def write(subject: str, text: str, page: str, to: list[str]) -> None:
    """One letter with the address of a page at its end."""
    send_mail(" ".join(subject.split()), f"{text}\n\n{settings.SITE_URL}{page}\n", None, to)
