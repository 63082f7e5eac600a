"""Webhooks out: other systems learn that a training ended, a version was marked good, a budget nears its end.

A message is written in the transaction that caused it, so none is lost and none is about something
that did not happen. Tasks send it, signed as https://www.standardwebhooks.com describes, and try
again ever later until the receiver says 2xx. ``docs/webhooks.md`` is for those who receive.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import async_task

from actors.models import now_iso

if TYPE_CHECKING:
    from training.models import TrainingVersion

FINISHED, FAILED, MARKED_GOOD = "training.finished", "training.failed", "version.marked_good"
#: All there are. ``training.waits`` and ``training.unanswered`` go with the letters of the same name.
BUDGET = "budget.threshold"
EVENTS = (FINISHED, FAILED, "training.waits", "training.unanswered", MARKED_GOOD, BUDGET)
#: Waits before the second, third … attempt: about a day in all.
BACKOFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360, 960))
TIMEOUT_SECONDS = 10
#: After this a claimed delivery whose task died is taken up again.
CLAIM = timedelta(minutes=2)


def make_secret() -> str:
    """A signing key as the standard writes it: ``whsec_`` and base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """``whsec_`` and base64 of 24 bytes or more."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith("whsec_") or len(key) < 24:
        raise ValidationError("A secret is whsec_ and the base64 of at least 24 random bytes.")


def check_events(events: object) -> None:
    """A list of known events, at least one."""
    if not isinstance(events, list) or not events or not set(events) <= set(EVENTS):
        raise ValidationError(f"Choose at least one of: {', '.join(EVENTS)}.")


def all_events() -> list[str]:
    """The default of a new webhook."""
    return list(EVENTS)


class Webhook(models.Model):
    """An address of another system that wants to know. Set by admins only."""

    name = models.CharField(max_length=100)
    url = models.URLField(
        "URL",
        max_length=1000,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="http or https. Redirects are not followed.",
    )
    events = models.JSONField(default=all_events, validators=[check_events])
    secret = models.CharField(
        max_length=200, default=make_secret, validators=[check_secret], help_text="Signs every message."
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """One message for one webhook, with what came of every attempt."""

    class State(models.TextChoices):
        """``waiting`` for its next attempt, or one of two ends."""

        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    message_id = models.CharField(
        max_length=60, db_index=True, help_text="Stays the same when it is sent again."
    )
    event = models.CharField(max_length=40)
    version = models.ForeignKey(
        "training.TrainingVersion", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    body = models.TextField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, default=timezone.now)
    log = models.JSONField(default=list, help_text="When, answer, milliseconds and error of each attempt.")
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "webhook deliveries"
        indexes = [models.Index(fields=["state", "next_attempt_at"])]

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook}"

    def claim(self) -> bool:
        """Takes the right to make the next attempt: exactly one caller gets True."""
        now = timezone.now()
        claimed = WebhookDelivery.objects.filter(
            pk=self.pk, state=self.State.WAITING, attempts=self.attempts, next_attempt_at__lte=now
        ).update(attempts=F("attempts") + 1, next_attempt_at=now + CLAIM)
        self.refresh_from_db()
        return bool(claimed)

    def settle(self, attempt: dict[str, Any], *, delivered: bool, final: bool = False) -> None:
        """Writes down what came of an attempt, and when the next one is."""
        self.log = [*self.log, attempt][-50:]
        if delivered:
            self.state, self.delivered_at, self.next_attempt_at = self.State.DELIVERED, timezone.now(), None
        elif final or self.attempts > len(BACKOFF):
            self.state, self.next_attempt_at = self.State.FAILED, None
        else:
            self.next_attempt_at = timezone.now() + BACKOFF[self.attempts - 1]
        self.save(update_fields=["log", "state", "delivered_at", "next_attempt_at"])

    def send_again(self) -> None:
        """From the start, with the same message id, so that a receiver can tell."""
        WebhookDelivery.objects.filter(pk=self.pk).update(
            state=self.State.WAITING, attempts=0, next_attempt_at=timezone.now()
        )
        transaction.on_commit(lambda: enqueue(self.pk))


def announce(event: str, version: TrainingVersion) -> None:
    """Something happened to a version. Call inside the transaction that caused it."""
    post_all(event, lambda: facts_of(version), version)


def post_all(event: str, data: Callable[[], dict[str, Any]], version: TrainingVersion | None = None) -> None:
    """Writes the message for every webhook that wants it; ``data`` is asked for only when one does."""
    webhooks = [webhook for webhook in Webhook.objects.filter(is_active=True) if event in webhook.events]
    if not webhooks:
        return
    message_id = f"msg_{uuid.uuid4().hex}"
    message = {"type": event, "timestamp": now_iso(), "data": data()}
    body = json.dumps(message, ensure_ascii=False)
    for webhook in webhooks:
        delivery = WebhookDelivery.objects.create(
            webhook=webhook, message_id=message_id, event=event, version=version, body=body
        )
        transaction.on_commit(lambda pk=delivery.pk: enqueue(pk))  # type: ignore[misc]


def facts_of(version: TrainingVersion) -> dict[str, Any]:
    """What receivers get about a version, with it as ``training-versions`` shows it."""
    from training import wire

    return {
        "actor": {"id": version.actor_id, "name": version.actor.name},
        "version": wire.to_wire(version),
        "trainingId": version.pk,
        "url": settings.SITE_URL + version.get_absolute_url(),
    }


def sign(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def enqueue(pk: int) -> None:
    """Hands a delivery to the task queue; a lost task is found again by ``deliver_due``."""
    async_task("training.outbox.deliver", pk, task_name=f"webhook {pk}")


def deliver(pk: int) -> None:
    """Makes one attempt, if one is due."""
    delivery = WebhookDelivery.objects.select_related("webhook").filter(pk=pk).first()
    if delivery is None or not delivery.claim():
        return
    attempt: dict[str, Any] = {"at": now_iso()}
    if not delivery.webhook.is_active:
        delivery.settle(attempt | {"error": "The webhook is switched off."}, delivered=False, final=True)
        return
    start = time.monotonic()
    try:
        status = post(delivery)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        status = 0
        attempt["error"] = str(error) or type(error).__name__
    else:
        attempt["status"] = status
    attempt["ms"] = round((time.monotonic() - start) * 1000)
    # 410: the receiver says that it is gone for good.
    delivery.settle(attempt, delivered=200 <= status < 300, final=status == 410)


def post(delivery: WebhookDelivery) -> int:
    """Sends the message; the answer's status. Its body is not read, redirects are not followed."""
    timestamp = int(time.time())
    signature = sign(delivery.webhook.secret, delivery.message_id, timestamp, delivery.body)
    headers = {
        "content-type": "application/json",
        "user-agent": "ActorTrain",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }
    with httpx.stream(
        "POST",
        delivery.webhook.url,
        content=delivery.body.encode(),
        headers=headers,
        timeout=TIMEOUT_SECONDS,
        follow_redirects=False,
    ) as response:
        return response.status_code


def deliver_due() -> None:
    """Each minute: attempts that are due, also those whose task was lost. ``claim`` sees to it that
    a delivery that is in the queue twice is sent once."""
    due = WebhookDelivery.objects.filter(
        state=WebhookDelivery.State.WAITING, next_attempt_at__lte=timezone.now() - timedelta(seconds=10)
    )
    for pk in due.order_by("next_attempt_at").values_list("pk", flat=True)[:200]:
        enqueue(pk)


def ensure_schedule() -> None:
    """Runs ``deliver_due`` each minute."""
    Schedule.objects.update_or_create(
        name="webhooks",
        defaults={
            "func": "training.outbox.deliver_due",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
            "repeats": -1,
        },
    )
