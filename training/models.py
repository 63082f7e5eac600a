"""Training versions: each one LoRA of an actor, from the launch to the good mark.

Only the verbs of :class:`TrainingVersion` write ``status``. Each goes through ``_move``: one
conditional UPDATE on the states it may start from, and one TrainingEvent if and only if a row
changed. So two processes can do the same thing at once and exactly one of them does it.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core import signing
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.urls import reverse
from django.utils import timezone
from django_q.tasks import async_task

from actors import storage
from actors.history import Tracked, TrackedQuerySet, change_rows, changing
from actors.models import Actor
from training import budgets, notices, outbox, paid, payload
from training.batch_events import BatchEvent
from training.batch_models import Batch, BatchItem
from training.bill_models import Billed
from training.budget_models import BudgetEntry, BudgetMonth, BudgetRule
from training.checkpoints import Checkpoint
from training.endpoints import EndpointState
from training.idempotency import LaunchKey
from training.leases import Lease
from training.outbox import Webhook, WebhookDelivery
from training.parameter_models import PARAMETER_NAMES, ParameterDraft, TrainingParameters
from training.planning_models import Planning
from training.preset_models import Preset, PresetRevision
from training.preview_models import Preview, PreviewImage
from training.preview_settings import PreviewSettings
from training.prompt_sets import PromptSet
from training.score_models import VersionScore
from training.score_queue import measure_later
from training.standing_rows import ActorStanding, StandingChange
from training.states import ACTIVE, RUNNING, TERMINAL, WIRE_STATUS, Status
from training.stops import JobToStop
from training.timeline import SampleImage, TrainingEvent

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from training.job_report import JobReport
    from training.payload import SamplePrompt


__all__ = [
    "ACTIVE",
    "LONG_FIELDS",
    "PARAMETER_NAMES",
    "RUNNING",
    "TERMINAL",
    "WIRE_STATUS",
    "ActorStanding",
    "Batch",
    "BatchEvent",
    "BatchItem",
    "BudgetEntry",
    "BudgetMonth",
    "BudgetRule",
    "Checkpoint",
    "EndpointState",
    "JobToStop",
    "LaunchKey",
    "Lease",
    "ParameterDraft",
    "Planning",
    "Preset",
    "PresetRevision",
    "Preview",
    "PreviewImage",
    "PreviewSettings",
    "PromptSet",
    "SampleImage",
    "StandingChange",
    "Status",
    "TrainingEvent",
    "TrainingVersion",
    "VersionScore",
    "Webhook",
    "WebhookDelivery",
]

#: Columns that a list of versions never reads; some hold a page of text each.
LONG_FIELDS = ("stages", "loss_history", "log", "images", "source")
#: What other systems are told when a version gets there.
ANNOUNCED = {Status.COMPLETED: outbox.FINISHED, Status.FAILED: outbox.FAILED}
#: What a version loses with its mark. ``first_good_at`` stays.
NOT_GOOD: dict[str, Any] = {"is_good": False, "good_at": None, "good_by": None, "good_reason": ""}


class TrainingVersionQuerySet(TrackedQuerySet["TrainingVersion"]):
    """Questions that pages, API and tasks ask about versions."""

    def active(self) -> TrainingVersionQuerySet:
        """Everything that still has an end before it."""
        return self.filter(status__in=ACTIVE)

    def due(self, now: datetime) -> TrainingVersionQuerySet:
        """Versions with a job whose next look is due, the longest waiting first."""
        rows = self.filter(Q(next_poll_at=None) | Q(next_poll_at__lte=now), status__in=RUNNING)
        # PostgreSQL puts NULL last, and SQLite first.
        return rows.order_by(F("next_poll_at").asc(nulls_first=True), "pk")

    def undecided(self) -> TrainingVersionQuerySet:
        """Sent, and the answer is lost for so long that a person has to say what became of it."""
        long_ago = timezone.now() - settings.DECIDE_AFTER
        return self.filter(status=Status.SUBMITTING, job_id=None, submitted_at__lte=long_ago)

    def import_validated(self, actor: Actor, value: dict[str, Any]) -> TrainingVersion:
        """The registry calls this: ``actors`` does not import ``training``."""
        from training import wire

        return wire.import_validated(actor, value)


class TrainingVersion(Billed, TrainingParameters):
    """One training of one actor and the LoRA it made: V1, V2, …"""

    actor = models.ForeignKey(Actor, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=200, blank=True)
    public_id = models.CharField(
        max_length=200, help_text="The id on the wire; for imported versions the one they came with."
    )
    description = models.TextField(blank=True)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING, editable=False)
    error = models.TextField(blank=True)
    source = models.TextField(
        default="", blank=True, editable=False, help_text="The imported JSON as it came in."
    )

    base_model = models.CharField(max_length=200, blank=True)
    seed = models.PositiveBigIntegerField(default=42)
    image_count = models.PositiveIntegerField(default=0)
    dataset_fingerprint = models.CharField(max_length=80, blank=True)
    dataset_revision = models.ForeignKey(
        "actors.DatasetRevision", null=True, blank=True, on_delete=models.SET_NULL, related_name="versions"
    )
    override_reason = models.TextField(
        blank=True, help_text="Why it was trained although the dataset was not fit."
    )
    images = models.JSONField(
        default=list, editable=False, help_text="URL and caption of each image it was trained on."
    )
    preset_revision = models.ForeignKey(
        PresetRevision, null=True, blank=True, on_delete=models.PROTECT, related_name="versions"
    )
    preset_edited = models.BooleanField(
        default=False, help_text="Values were changed after the preset: its results are not the preset's."
    )
    repeats = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="repeated_by"
    )

    endpoint_id = models.CharField(max_length=200, blank=True)
    request_id = models.CharField(max_length=100, blank=True)
    job_id = models.CharField(max_length=200, null=True, blank=True, unique=True)
    worker_id = models.CharField(max_length=200, blank=True)
    delay_ms = models.PositiveBigIntegerField(null=True, blank=True)
    execution_ms = models.PositiveBigIntegerField(null=True, blank=True)
    next_poll_at = models.DateTimeField(null=True, blank=True, editable=False)
    missing_since = models.DateTimeField(null=True, blank=True, editable=False)
    poll_failures = models.PositiveIntegerField(default=0, editable=False)
    expires_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="The endpoint drops the job after this."
    )
    presumed = models.BooleanField(
        default=False, editable=False, help_text="Ended without word from the endpoint: a LoRA still counts."
    )
    warned_at = models.DateTimeField(null=True, blank=True, editable=False)

    stage = models.CharField(max_length=40, blank=True)
    step = models.PositiveIntegerField(default=0)
    seconds_per_step = models.FloatField(null=True, blank=True)
    stages = models.JSONField(default=list, editable=False)
    loss_history = models.JSONField(default=list, editable=False)
    log = models.JSONField(default=list, editable=False)

    lora_url = models.CharField(max_length=1200, blank=True)
    lora_name = models.CharField(max_length=300, blank=True)
    lora_bytes = models.PositiveBigIntegerField(null=True, blank=True)

    is_good = models.BooleanField(default=False)
    good_at = models.DateTimeField(null=True, blank=True)
    first_good_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Kept when the mark goes: old clients may repeat it."
    )
    good_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    good_reason = models.TextField(blank=True)

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    submitted_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TrainingVersionQuerySet.as_manager()
    history = Tracked(
        "actor", "number", "name", "description", "status", "error", "lora_url", "is_good", "good_reason"
    )

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(fields=["actor", "number"], name="one_version_per_number"),
            models.UniqueConstraint(fields=["actor", "public_id"], name="one_version_per_public_id"),
            models.UniqueConstraint(
                fields=["actor"], condition=Q(is_good=True), name="one_good_version_per_actor"
            ),
            models.UniqueConstraint(
                fields=["actor"], condition=Q(status__in=ACTIVE), name="one_active_training_per_actor"
            ),
            models.CheckConstraint(
                condition=Q(is_good=False) | Q(status=Status.COMPLETED), name="good_only_when_completed"
            ),
        ]
        indexes = [
            models.Index(fields=["status", "next_poll_at"]),
            models.Index(fields=["-created_at", "-id"], name="newest_first"),
            models.Index(fields=["-finished_at"], name="last_finished"),
            models.Index(
                fields=["base_model", "-finished_at"],
                condition=Q(status=Status.COMPLETED),
                name="completed_by_end",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Fills the names that follow from the number."""
        self.name = self.name or f"V{self.number}"
        self.public_id = self.public_id or str(uuid.uuid4())
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """The training's page."""
        return reverse("training", args=[self.pk])

    # What it is

    @property
    def model_name(self) -> str:
        """``actor_7_V3``: the name RunPod's containers know it by."""
        return f"actor_{self.actor_id}_V{self.number}"

    @property
    def lora_key(self) -> str:
        """Where the LoRA lies in the object store; known before it is trained."""
        return f"loras/{self.actor_id}/{self.request_id}/{self.model_name}.safetensors"

    @property
    def lora_address(self) -> str:
        """Where to fetch the LoRA: the virtual-hosted form of what came."""
        return storage.display_url(self.lora_url)

    def sample_key(self, step: int, prompt: int) -> str:
        """Where a sample lies in the object store."""
        return f"samples/{self.actor_id}/{self.request_id}/step{step:05d}_{prompt:02d}.png"

    def sample_prompts(self) -> list[SamplePrompt]:
        """The fixed prompts and seeds of this training."""
        return payload.sample_prompts(self.base_model, self.class_tokens)

    @property
    def wire_status(self) -> str:
        """The status in the words of the old system."""
        return WIRE_STATUS.get(Status(self.status), self.status)

    @property
    def is_active(self) -> bool:
        """Whether it still has an end before it."""
        return self.status in ACTIVE

    @property
    def execution_seconds(self) -> float | None:
        """How long the worker worked on it, as the endpoint says."""
        return self.execution_ms / 1000 if self.execution_ms else None

    @property
    def is_unanswered(self) -> bool:
        """Sent, and the answer is lost: whether the endpoint has a job for it is not known."""
        return self.status == Status.SUBMITTING and not self.job_id

    @property
    def decide_at(self) -> datetime | None:
        """From when a person may say what became of a submission without an answer."""
        return self.submitted_at + settings.DECIDE_AFTER if self.is_unanswered and self.submitted_at else None

    @property
    def can_be_resolved(self) -> bool:
        """Whether a person may say now that it never arrived, or give it up."""
        return self.decide_at is not None and self.decide_at <= timezone.now()

    @property
    def progress_fraction(self) -> float:
        """Share of the steps done, 0 to 1."""
        if self.status == Status.COMPLETED:
            return 1.0
        return min(1.0, self.step / self.max_train_steps) if self.max_train_steps else 0.0

    @property
    def webhook_token(self) -> str:
        """Names this version to the webhook and can't be guessed. A repeat has a request id of its own."""
        return signing.dumps([self.pk, self.request_id], salt="training.webhook", compress=True)

    @staticmethod
    def read_webhook_token(token: str) -> tuple[int, str]:
        """Primary key and request id behind a token. Raises ``signing.BadSignature``."""
        pk, request_id = signing.loads(token, salt="training.webhook")
        return int(pk), str(request_id)

    # What happens to it

    def _move(
        self,
        to: Status,
        allowed: tuple[Status, ...],
        message: str,
        *,
        level: str = "info",
        by: User | None = None,
        only: Q | None = None,
        **changes: Any,
    ) -> bool:
        """The only writer of ``status``. True when this call is the one that moved it."""
        with transaction.atomic(savepoint=False), changing(by, message):
            rows = TrainingVersion.objects.filter(only or Q(), pk=self.pk, status__in=allowed)
            moved = rows.update(status=to, updated_at=timezone.now(), **changes)
            if moved:
                self.events.create(kind=to, level=level, message=message, by=by)
                self.refresh_from_db()  # nobody else changes the row before the commit
                if to in TERMINAL:
                    paid.keep_bill(self)
                    budgets.settle_training(self)
                if event := ANNOUNCED.get(to):
                    outbox.announce(event, self)
                if to == Status.COMPLETED:
                    measure_later(self.pk)
                    self._order_preview()
                if to == Status.FAILED:
                    notices.tell(self, "failed")
            else:
                self.refresh_from_db()
        return bool(moved)

    def _order_preview(self) -> None:
        from training.previews import order_automatic_preview

        order_automatic_preview(self)

    def note(self, message: str, level: str = "info", by: User | None = None) -> None:
        """Writes a line into the timeline without changing the state."""
        self.events.create(kind="note", level=level, message=message, by=by)

    def claim(self, ttl: timedelta | None = None) -> bool:
        """Takes the right to submit it: exactly one caller gets True, once. ``ttl`` is the job's."""
        now = timezone.now()
        return self._move(
            Status.SUBMITTING,
            (Status.PENDING,),
            "Sending to the endpoint",
            submitted_at=now,
            expires_at=now + ttl if ttl else None,
            next_poll_at=None,
        )

    def mark_submitted(self, job_id: str) -> bool:
        """The endpoint accepted it under this id."""
        return self._move(
            Status.QUEUED,
            (Status.PENDING, Status.SUBMITTING),
            f"In the endpoint's queue, job {job_id}",
            only=Q(job_id=None),
            job_id=job_id,
            submitted_at=Coalesce("submitted_at", Now()),
            next_poll_at=None,
            poll_failures=0,
        )

    def mark_not_sent(self, reason: str, again_at: datetime) -> bool:
        """The endpoint surely never got it: it is sent again by itself."""
        return self._move(
            Status.PENDING,
            (Status.SUBMITTING,),
            f"Not sent: {reason}",
            level="warning",
            submitted_at=None,
            next_poll_at=again_at,
            poll_failures=F("poll_failures") + 1,
        )

    def resubmit(self, by: User | None = None) -> bool:
        """A person knows that it never reached the endpoint: it is sent once more.

        Raises ``NotLost`` while an answer may still come, or when something of its job has arrived.
        The request id stays, so that a job which was there after all makes the same files.
        """
        from training import recovery

        self.refresh_from_db()
        if not self.can_be_resolved:
            raise NotLost(self._why_not_resolved())
        if trace := recovery.trace(self):
            raise NotLost(f"The endpoint did get it: {trace} Sending it again would pay twice.")
        sent = self._move(
            Status.PENDING,
            (Status.SUBMITTING,),
            "Never reached the endpoint, says a person: sent again",
            by=by,
            only=Q(job_id=None),
            submitted_at=None,
            next_poll_at=None,
            poll_failures=0,
            warned_at=None,
        )
        if sent:
            # Found again by the sweep if this task is lost.
            transaction.on_commit(lambda: async_task("training.tasks.submit", self.pk))
        return sent

    def give_up(self, by: User | None = None) -> bool:
        """A person waits no longer for a lost answer. A LoRA that comes all the same still counts.

        Raises ``NotLost`` like ``resubmit``.
        """
        self.refresh_from_db()
        if not self.can_be_resolved:
            raise NotLost(self._why_not_resolved())
        reason = "Given up: the endpoint never said whether it took the job."
        return self._move(
            Status.FAILED,
            (Status.SUBMITTING,),
            reason,
            level="error",
            by=by,
            only=Q(job_id=None),
            error=reason,
            presumed=True,
            finished_at=timezone.now(),
        )

    def _why_not_resolved(self) -> str:
        if self.decide_at is None:
            return f"There is nothing to decide: {self.name} is {self.status}."
        return f"The endpoint may still answer: wait until {self.decide_at:%H:%M:%S} UTC, then decide."

    def mark_training(self, **changes: Any) -> bool:
        """A worker has taken the job."""
        allowed = (Status.SUBMITTING, Status.QUEUED)
        return self._move(
            Status.TRAINING, allowed, "A worker has taken the job", started_at=timezone.now(), **changes
        )

    def fail(self, reason: str, allowed: tuple[Status, ...] = ACTIVE, **changes: Any) -> bool:
        """Ends it with the reason that people read."""
        return self._move(
            Status.FAILED, allowed, reason, level="error", error=reason, finished_at=timezone.now(), **changes
        )

    def cancel(self, by: User | None = None) -> bool:
        """Ends it for a person, and stops its job."""
        with transaction.atomic():
            cancelled = self._move(
                Status.CANCELLED, ACTIVE, "Cancelled", level="warning", by=by, finished_at=timezone.now()
            )
            if cancelled and self.job_id:
                JobToStop.order(self)
        return cancelled

    def lose(self, reason: str) -> bool:
        """Nobody knows its job any more. It may be wrong: a LoRA that comes all the same still counts."""
        return self.fail(reason, presumed=True)

    def complete(self, lora_url: str, message: str = "Completed", **changes: Any) -> bool:
        """Ends it with a LoRA, also when it was only presumed lost."""
        return self._move(
            Status.COMPLETED,
            (*ACTIVE, Status.FAILED),
            message,
            only=Q(status__in=ACTIVE) | Q(presumed=True),
            presumed=False,
            lora_url=lora_url,
            stage="done",
            step=self.max_train_steps or self.step,
            finished_at=timezone.now(),
            error="",
            **changes,
        )

    def validated_lora_model(self, came: dict[str, Any] | None = None) -> dict[str, Any]:
        """This version as the registry's ``validated_lora_model``; ``came`` is what it was imported from."""
        from training import wire

        return wire.validated_lora_model(self, came)

    def apply_report(self, report: JobReport) -> bool:
        """Takes in what the endpoint says about the job: idempotent, order-free, never backwards.

        Webhook, sweep, "Check status" and late updates all end here. Returns whether anything changed.
        """
        from training.reports import apply

        changed = apply(self, report)
        self.refresh_from_db()
        return changed

    def mark_good(self, by: User | None = None, reason: str = "") -> TrainingVersion | None:
        """Makes this the actor's one good version. Returns the former one.

        Raises ``NotCompleted`` when there is no LoRA to be good.
        """
        with transaction.atomic(), changing(by, reason):
            # The actor's row is the lock: two people marking at once come one after the other.
            Actor.objects.select_for_update().only("pk").get(pk=self.actor_id)
            self.refresh_from_db()
            if self.status != Status.COMPLETED:
                raise NotCompleted(f"{self.name} is {self.status}: only a completed version can be good.")
            former = TrainingVersion.objects.filter(actor_id=self.actor_id, is_good=True).first()
            if former and former.pk == self.pk:
                return former
            now = timezone.now()
            mark = {"is_good": True, "good_at": now, "good_by": by, "good_reason": reason, "updated_at": now}
            mark["first_good_at"] = self.first_good_at or now
            if former:
                change_rows((former, NOT_GOOD | {"updated_at": now}), (self, mark))
                former.note("No longer the good version", by=by)
            else:
                change_rows((self, mark))
            self.note(f"Marked good{': ' + reason if reason else ''}", by=by)
            outbox.announce(outbox.MARKED_GOOD, self)
        return former

    def unmark_good(self, by: User | None = None) -> bool:
        """Takes the mark away; who marked it and why stays in the timeline."""
        with transaction.atomic(), changing(by):
            changed = TrainingVersion.objects.filter(pk=self.pk, is_good=True).update(
                **NOT_GOOD, updated_at=timezone.now()
            )
            if changed:
                self.note("No longer the good version", by=by)
        self.refresh_from_db()
        return bool(changed)


class NotLost(Exception):
    """There is nothing for a person to resolve (yet)."""


class NotCompleted(Exception):
    """Only a completed version can be good."""


@receiver(pre_delete, sender=TrainingVersion)
def cancel_first(instance: TrainingVersion, **_: object) -> None:
    """A deleted training leaves no job behind that costs money and reports to nobody."""
    instance.cancel()
