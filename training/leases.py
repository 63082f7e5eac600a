"""A right that one process on one machine holds for a while, kept in the database."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Self

from django.db import models
from django.utils import timezone


class Lease(models.Model):
    """Who may do a thing now. A holder that dies loses it when it expires."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.UUIDField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        app_label = "training"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def take(cls, name: str, seconds: float) -> Self | None:
        """The lease, or ``None`` while somebody else holds it."""
        now = timezone.now()
        cls.objects.get_or_create(name=name, defaults={"expires_at": now})
        lease = cls(name=name, holder=uuid.uuid4(), expires_at=now + timedelta(seconds=seconds))
        lease._seconds = seconds
        free = cls.objects.filter(name=name, expires_at__lte=now)
        return lease if free.update(holder=lease.holder, expires_at=lease.expires_at) else None

    _seconds: float

    def renew(self) -> bool:
        """Holds it for as long again. False when it has expired and gone to another."""
        expires = timezone.now() + timedelta(seconds=self._seconds)
        return bool(Lease.objects.filter(name=self.name, holder=self.holder).update(expires_at=expires))

    def give_back(self) -> None:
        """Free for the next one."""
        Lease.objects.filter(name=self.name, holder=self.holder).update(expires_at=timezone.now())
