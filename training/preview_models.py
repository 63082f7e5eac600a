"""Previews: pictures drawn with a finished LoRA, each one generation job on the endpoint.

Only the verbs of :class:`Preview` write ``status``, through ``_move``: one conditional UPDATE on the
states it may start from. As with trainings, of two processes that do a thing at once exactly one does it.
The pictures' rows are there from the beginning, so that whoever looks knows what is still to come.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.core import signing
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.db.models.signals import post_delete, pre_delete
from django.dispatch import receiver
from django.urls import reverse
from django.utils import timezone

from actors import storage
from training import budgets, paid
from training.prompt_sets import PromptSet
from training.score_queue import measure_later
from training.stops import JobToStop


class PreviewStatus(models.TextChoices):
    """``pending`` → ``claimed`` → ``submitted`` → one of three ends."""

    PENDING = "pending"
    CLAIMED = "claimed"
    SUBMITTED = "submitted"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: A preview in one of these has its end still before it.
PREVIEW_ACTIVE = (PreviewStatus.PENDING, PreviewStatus.CLAIMED, PreviewStatus.SUBMITTED)
PREVIEW_TERMINAL = (PreviewStatus.DONE, PreviewStatus.FAILED, PreviewStatus.CANCELLED)


class PreviewQuerySet(models.QuerySet["Preview"]):
    """Questions that pages, API and tasks ask about previews."""

    def active(self) -> Self:
        """Everything that still has an end before it."""
        return self.filter(status__in=PREVIEW_ACTIVE)

    def undecided(self) -> Self:
        """Sent, and the answer is lost for so long that a person has to say what became of it."""
        long_ago = timezone.now() - settings.DECIDE_AFTER
        return self.filter(status=PreviewStatus.CLAIMED, job_id=None, submitted_at__lte=long_ago)

    def due(self, now: datetime) -> Self:
        """Previews with a job whose next look is due, the longest waiting first."""
        rows = self.filter(Q(next_poll_at=None) | Q(next_poll_at__lte=now), status=PreviewStatus.SUBMITTED)
        return rows.order_by(F("next_poll_at").asc(nulls_first=True), "pk")


class Preview(models.Model):
    """One generation job of one version."""

    version = models.ForeignKey("training.TrainingVersion", on_delete=models.CASCADE, related_name="previews")
    prompt_set = models.ForeignKey(
        PromptSet, null=True, blank=True, on_delete=models.SET_NULL, related_name="previews"
    )
    title = models.CharField(max_length=200)
    automatic = models.BooleanField(
        default=False, editable=False, help_text="The standard set, drawn when the version was completed."
    )
    status = models.CharField(
        max_length=20, choices=PreviewStatus.choices, default=PreviewStatus.PENDING, editable=False
    )
    error = models.TextField(blank=True)
    stage = models.CharField(max_length=40, blank=True)
    log = models.JSONField(default=list, editable=False)

    endpoint_id = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=100, unique=True)
    job_id = models.CharField(max_length=200, null=True, blank=True, unique=True)
    worker_id = models.CharField(max_length=200, blank=True)
    delay_ms = models.PositiveBigIntegerField(null=True, blank=True)
    execution_ms = models.PositiveBigIntegerField(null=True, blank=True)
    cost_usd = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    next_poll_at = models.DateTimeField(null=True, blank=True, editable=False)
    missing_since = models.DateTimeField(null=True, blank=True, editable=False)
    poll_failures = models.PositiveIntegerField(default=0, editable=False)
    warned_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    presumed = models.BooleanField(
        default=False, editable=False, help_text="Ended without word from the endpoint: pictures still count."
    )

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    submitted_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PreviewQuerySet.as_manager()

    class Meta:
        app_label = "training"
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=Q(automatic=True), name="one_automatic_preview_per_version"
            )
        ]
        indexes = [models.Index(fields=["status", "next_poll_at"], name="preview_due")]

    def __str__(self) -> str:
        return f"{self.version}: {self.title}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A request id is made once and names the files, however often the job runs."""
        self.request_id = self.request_id or uuid.uuid4().hex
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """Its page."""
        return reverse("preview", args=[self.pk])

    # What it is

    @property
    def is_active(self) -> bool:
        """Whether it still has an end before it."""
        return self.status in PREVIEW_ACTIVE

    @property
    def is_unanswered(self) -> bool:
        """Sent, and the answer is lost: whether the endpoint has a job for it is not known."""
        return self.status == PreviewStatus.CLAIMED and not self.job_id

    @property
    def decide_at(self) -> datetime | None:
        """From when a person may say what became of a submission without an answer."""
        return self.submitted_at + settings.DECIDE_AFTER if self.is_unanswered and self.submitted_at else None

    @property
    def may_repeat(self) -> bool:
        """Whether it ended without all its pictures."""
        return self.status in (PreviewStatus.FAILED, PreviewStatus.CANCELLED)

    @property
    def can_be_resolved(self) -> bool:
        """Whether a person may say now that it never arrived, or give it up."""
        return self.decide_at is not None and self.decide_at <= timezone.now()

    @property
    def webhook_token(self) -> str:
        """Names this preview to the webhook and can't be guessed."""
        return signing.dumps([self.pk, self.request_id], salt="training.preview", compress=True)

    @staticmethod
    def read_webhook_token(token: str) -> tuple[int, str]:
        """Primary key and request id behind a token. Raises ``signing.BadSignature``."""
        pk, request_id = signing.loads(token, salt="training.preview")
        return int(pk), str(request_id)

    def image_key(self, position: int) -> str:
        """Where a picture lies in the object store; known before it is drawn."""
        return f"previews/{self.version.actor_id}/{self.request_id}/{position:03d}.png"

    # What happens to it

    def _move(
        self, to: PreviewStatus, allowed: tuple[PreviewStatus, ...], *, only: Q | None = None, **changes: Any
    ) -> bool:
        """The only writer of ``status``. True when this call is the one that moved it."""
        with transaction.atomic(savepoint=False):
            rows = Preview.objects.filter(only or Q(), pk=self.pk, status__in=allowed)
            moved = rows.update(status=to, updated_at=timezone.now(), **changes)
            self.refresh_from_db()
            if moved and to in PREVIEW_TERMINAL:
                paid.keep_preview_cost(self)
                budgets.settle_preview(self)
        return bool(moved)

    def claim(self, ttl: timedelta | None = None) -> bool:
        """Takes the right to submit it: exactly one caller gets True, once. ``ttl`` is the job's."""
        now = timezone.now()
        return self._move(
            PreviewStatus.CLAIMED,
            (PreviewStatus.PENDING,),
            submitted_at=now,
            expires_at=now + ttl if ttl else None,
            next_poll_at=None,
        )

    def mark_submitted(self, job_id: str) -> bool:
        """The endpoint accepted it under this id."""
        return self._move(
            PreviewStatus.SUBMITTED,
            (PreviewStatus.PENDING, PreviewStatus.CLAIMED),
            only=Q(job_id=None),
            job_id=job_id,
            submitted_at=Coalesce("submitted_at", Now()),
            next_poll_at=None,
            poll_failures=0,
            error="",
        )

    def mark_not_sent(self, reason: str, again_at: datetime) -> bool:
        """The endpoint surely never got it: it is sent again by itself."""
        return self._move(
            PreviewStatus.PENDING,
            (PreviewStatus.PENDING, PreviewStatus.CLAIMED),
            only=Q(job_id=None),
            error=reason,
            submitted_at=None,
            next_poll_at=again_at,
            poll_failures=F("poll_failures") + 1,
        )

    def send_again(self) -> bool:
        """A person knows that it never reached the endpoint. The caller has looked for traces of a job."""
        return self._move(
            PreviewStatus.PENDING,
            (PreviewStatus.CLAIMED,),
            only=Q(job_id=None),
            submitted_at=None,
            next_poll_at=None,
            warned_at=None,
            poll_failures=0,
            error="",
        )

    def complete(self, **changes: Any) -> bool:
        """All pictures are drawn and lie in the store; also when it was only presumed lost."""
        done = self._move(
            PreviewStatus.DONE,
            (*PREVIEW_ACTIVE, PreviewStatus.FAILED),
            only=Q(status__in=PREVIEW_ACTIVE) | Q(presumed=True),
            presumed=False,
            stage="done",
            error="",
            finished_at=timezone.now(),
            **changes,
        )
        if done:
            measure_later(self.version_id)
        return done

    def fail(self, reason: str, **changes: Any) -> bool:
        """Ends it with the reason that people read. Pictures drawn until then stay."""
        return self._move(
            PreviewStatus.FAILED, PREVIEW_ACTIVE, error=reason, finished_at=timezone.now(), **changes
        )

    def cancel(self) -> bool:
        """Ends it for a person, and stops its job."""
        with transaction.atomic():
            cancelled = self._move(
                PreviewStatus.CANCELLED, PREVIEW_ACTIVE, error="", finished_at=timezone.now()
            )
            if cancelled and self.job_id:
                JobToStop.order_job(self.endpoint_id, self.job_id)
        return cancelled


class PreviewImageQuerySet(models.QuerySet["PreviewImage"]):
    """Questions about pictures."""

    def drawn(self) -> Self:
        """Those that lie in the store."""
        return self.exclude(url="")


class PreviewImage(models.Model):
    """One picture, ordered or drawn. Prompt, seed, strength, steps and version also stand in the file."""

    preview = models.ForeignKey(Preview, on_delete=models.CASCADE, related_name="images")
    position = models.PositiveIntegerField(help_text="Its place in the job, from 0.")
    prompt = models.TextField()
    with_trigger = models.BooleanField(help_text="Whether the prompt calls for the actor.")
    seed = models.PositiveBigIntegerField()
    strength = models.FloatField(help_text="Of the LoRA; 0 is the base alone.")
    steps = models.PositiveIntegerField(help_text="Of the drawing.")
    checkpoint_step = models.PositiveIntegerField(
        null=True, blank=True, help_text="The training step its LoRA is from; empty: the finished LoRA."
    )
    url = models.CharField(max_length=1200, blank=True, help_text="Empty until it lies in the object store.")
    drawn_at = models.DateTimeField(null=True, blank=True)

    objects = PreviewImageQuerySet.as_manager()

    class Meta:
        app_label = "training"
        ordering = ("preview", "position")
        constraints = [
            models.UniqueConstraint(fields=["preview", "position"], name="one_preview_image_per_position"),
            models.CheckConstraint(condition=Q(strength__gte=0), name="preview_strength_from_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.prompt} (seed {self.seed}, strength {self.strength:g})"

    def link(self) -> str:
        """A signed link for a page; empty until it is drawn."""
        return storage.download_link(self.url) if self.url else ""


@receiver(pre_delete, sender=Preview)
def cancel_first(instance: Preview, **_: object) -> None:
    """A deleted preview leaves no job behind that costs money and reports to nobody."""
    instance.cancel()


@receiver(post_delete, sender=Preview)
def take_out_of_the_sum(instance: Preview, **_: object) -> None:
    """A version's previews cost what those that are there have cost."""
    paid.add_up_previews(instance.version_id)
