"""A launch costs money: repeated with the same key it brings the same answer, not a second job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.utils import timezone

#: Keys are forgotten after this long.
KEPT = timedelta(days=2)


class KeyReused(Exception):
    """The key came again with another body."""


class LaunchKey(models.Model):
    """An ``Idempotency-Key`` of one person, and what was answered."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "training"
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_launch_per_person_and_key")]

    def __str__(self) -> str:
        return self.key


def once(user: Any, key: str, body: Any, make: Callable[[], Any]) -> tuple[Any, bool]:
    """The answer of ``make``, run at most once for a key, and whether it is a repeated one.

    Key and launch are one transaction: of two equal requests at once the second waits for the first, and
    what ``make`` refuses leaves no key behind. Raises ``KeyReused``.
    """
    LaunchKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    body_hash = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        try:
            with transaction.atomic():
                row = LaunchKey.objects.create(user=user, key=key, body_hash=body_hash)
        except IntegrityError:
            row = LaunchKey.objects.get(user=user, key=key)
            if row.body_hash != body_hash:
                raise KeyReused("This Idempotency-Key was used for another launch. Make a new one.") from None
            return row.answer, True
        row.answer = make()
        row.save(update_fields=["answer"])
        return row.answer, False
