"""Letters that are sent once: about a budget that nears its end, about rights that expire.

A letter is a row, written in the transaction that caused it, so it is sent with what happened or not at
all. Its key says what it is about: a second one with the same key is never written.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.core.mail import send_mail
from django.db import models, transaction
from django.utils import timezone
from django_q.tasks import async_task


class Letter(models.Model):
    """One e-mail, and when it went out."""

    key = models.CharField(max_length=200, primary_key=True, help_text="What it is about, said once.")
    to = models.JSONField(default=list)
    subject = models.CharField(max_length=300)
    text = models.TextField()
    written_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-written_at",)

    def __str__(self) -> str:
        return self.subject

    @classmethod
    def write(cls, key: str, to: Iterable[str], subject: str, text: str) -> bool:
        """Has it sent by a task. False when it was written before, or when nobody would get it."""
        addresses = list(dict.fromkeys(address for address in to if address))
        if not addresses:
            return False
        facts = {"to": addresses, "subject": " ".join(subject.split())[:300], "text": text}
        letter, made = cls.objects.get_or_create(key=key, defaults=facts)
        if made:
            transaction.on_commit(lambda: async_task("actors.letters.send", letter.pk, task_name="letter"))
        return made


def send(key: str) -> None:
    """Sends it, unless it is on its way already. A mail server that refuses lets the task come again."""
    claimed = Letter.objects.filter(pk=key, sent_at=None).update(sent_at=timezone.now())
    if not claimed:
        return
    letter = Letter.objects.get(pk=key)
    try:
        send_mail(letter.subject, letter.text, None, letter.to)
    except OSError:
        Letter.objects.filter(pk=key).update(sent_at=None)
        raise


def send_forgotten() -> None:
    """Letters whose task was lost."""
    for key in Letter.objects.filter(sent_at=None).values_list("pk", flat=True)[:100]:
        async_task("actors.letters.send", key, task_name="letter")
