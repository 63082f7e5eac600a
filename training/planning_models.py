"""Whom a batch is about, and what the task queue is asked to do with them.

``training/batch_planning.py`` does it, some actors at a time, each time with the batch's row locked.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django_q.tasks import async_task

from training.batch_models import MOST_ACTORS, Batch

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TASK = "training.batch_planning.run"
#: What was asked is done at once where a task process is free; after so long the sweep asks again.
PATIENCE = timedelta(seconds=10)


class Asked(models.TextChoices):
    """Every actor is looked at; then what was asked happens by itself."""

    PLAN = "plan", "make the plan"
    BEGIN = "begin", "look at every actor once more, and begin"
    RETRY = "retry", "look at the failed and blocked again, and try those that can start"


class Planning(models.Model):
    """One row for each batch. It outlives the plan, so that no choice is lost whatever goes wrong."""

    batch = models.OneToOneField(Batch, on_delete=models.CASCADE, primary_key=True, related_name="planning")
    chosen = models.JSONField(default=list, help_text="Actor ids, in the order in which they were chosen.")
    total = models.PositiveIntegerField(default=0, help_text="How many were chosen.")
    asked = models.CharField(max_length=10, choices=Asked.choices, blank=True, help_text="Empty: nothing.")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    asked_at = models.DateTimeField(null=True, blank=True)
    looked = models.PositiveIntegerField(default=0, help_text="How many of them have been looked at.")
    ready = models.PositiveIntegerField(default=0, help_text="How many of these can start.")
    due_at = models.DateTimeField(null=True, blank=True, help_text="When the sweep asks again.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="How often looking broke off.")
    trouble = models.TextField(blank=True, help_text="Why what was asked last came to nothing.")

    class Meta:
        app_label = "training"
        constraints = [
            models.CheckConstraint(condition=Q(total__lte=MOST_ACTORS), name="batch_has_not_too_many_actors"),
            models.CheckConstraint(
                condition=Q(asked="") | Q(due_at__isnull=False), name="what_is_asked_is_due_at_some_time"
            ),
        ]
        indexes = [models.Index(fields=["due_at"], condition=~Q(asked=""), name="planning_is_due")]

    def __str__(self) -> str:
        return f"{self.asked or 'nothing'} asked of {self.batch_id}"

    def ask(self, asked: Asked, by: User | None, now: datetime) -> None:
        """From the first actor on, by the task queue. Call with the batch's row locked."""
        self.asked, self.asked_by, self.asked_at = asked, by, now
        self.looked = self.ready = self.failures = 0
        self.due_at, self.trouble = now + PATIENCE, ""
        self.save()
        transaction.on_commit(lambda: async_task(TASK, self.pk))

    def end(self, trouble: str = "") -> None:
        """Nothing is asked any more; ``trouble`` says why it came to nothing."""
        self.asked, self.due_at, self.trouble = "", None, trouble
        self.save(update_fields=["asked", "due_at", "trouble"])
