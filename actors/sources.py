"""Registries elsewhere that this one follows, and imports that wait for a person's word."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class Rule(models.TextChoices):
    """What counts where both sides have an actor. New actors come in by the first two, and nobody leaves."""

    OURS = "ours", "ours wins: add new actors, change nothing"
    THEIRS = "theirs", "theirs wins: add new actors, take their changes"
    ASK = "ask", "ask: a person decides about everything"


def check_address(address: str) -> None:
    """An http(s) URL or an absolute path."""
    if address.startswith("/"):
        return
    URLValidator(schemes=["http", "https"], message="Use an http(s) URL or an absolute path.")(address)


class RegistrySource(models.Model):
    """A registry at a URL or in a file, read on a schedule. Set by admins only."""

    name = models.CharField(max_length=100, unique=True)
    address = models.CharField(
        max_length=1000,
        validators=[check_address],
        help_text="An http(s) URL, or the absolute path of a file.",
    )
    rule = models.CharField(max_length=10, choices=Rule.choices, default=Rule.ASK)
    every_minutes = models.PositiveIntegerField(default=60, help_text="How often it is read.")
    is_active = models.BooleanField(default=True)
    next_run_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    last_run_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_result = models.TextField(blank=True, editable=False)
    failed = models.BooleanField(default=False, editable=False)

    if TYPE_CHECKING:
        proposals: models.Manager[RegistryProposal]

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """A schedule needs a distance."""
        if not self.every_minutes:
            raise ValidationError({"every_minutes": "At least 1 minute."})

    def claim(self, now: datetime) -> bool:
        """Takes the right to read it now: of two task machines exactly one gets True."""
        following = now + timedelta(minutes=self.every_minutes)
        due = Q(next_run_at__lte=now) | Q(next_run_at=None)
        return bool(
            RegistrySource.objects.filter(due, pk=self.pk, is_active=True).update(next_run_at=following)
        )

    def finish(self, result: str, *, failed: bool = False) -> None:
        """Writes down how reading it went."""
        self.last_run_at, self.last_result, self.failed = timezone.now(), result, failed
        self.save(update_fields=["last_run_at", "last_result", "failed"])


class RegistryProposal(models.Model):
    """A registry that came in and waits: its difference is shown before anything is written."""

    class State(models.TextChoices):
        """``pending``, or how it ended."""

        PENDING = "pending"
        APPLIED = "applied"
        DECLINED = "declined"
        OUTDATED = "outdated", "replaced by a newer one"

    source = models.ForeignKey(
        RegistrySource, null=True, blank=True, on_delete=models.SET_NULL, related_name="proposals"
    )
    title = models.CharField(max_length=300)
    text = models.TextField(help_text="The registry as it came.")
    fingerprint = models.CharField(max_length=64, db_index=True)
    summary = models.CharField(max_length=300)
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Equal registries have equal fingerprints."""
        self.fingerprint = hashlib.sha256(self.text.encode()).hexdigest()
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """Where its difference is shown and decided."""
        return reverse("admin:actors_registryproposal_change", args=[self.pk])

    def decide(self, state: str, by: User | None) -> bool:
        """Ends it: exactly one caller gets True."""
        changes = {"state": state, "decided_by": by, "decided_at": timezone.now()}
        changed = RegistryProposal.objects.filter(pk=self.pk, state=self.State.PENDING).update(**changes)
        self.refresh_from_db()
        return bool(changed)
