"""A right that one process on one machine holds for a while, kept in the database."""

from __future__ import annotations

import os
import socket
import uuid
from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Lease(models.Model):
    """Who may do a thing now. A holder that dies loses it when it expires, or when its machine notices."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.UUIDField(null=True)
    expires_at = models.DateTimeField()
    #: Host and process of the last holder, and when it was last heard of: for people.
    held_by = models.CharField(max_length=300, blank=True)
    seen_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "training"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def take(cls, name: str, seconds: float) -> Self | None:
        """The lease, or ``None`` while somebody else holds it."""
        now = timezone.now()
        there, _made = cls.objects.get_or_create(name=name, defaults={"expires_at": now})
        lease = cls(name=name, holder=uuid.uuid4(), expires_at=now + timedelta(seconds=seconds))
        lease._seconds = seconds
        free = Q(expires_at__lte=now)
        if there.holder_is_dead():
            free |= Q(holder=there.holder)
        taken = cls.objects.filter(free, name=name).update(
            holder=lease.holder, expires_at=lease.expires_at, held_by=_this_process(), seen_at=now
        )
        return lease if taken else None

    _seconds: float

    def renew(self) -> bool:
        """Holds it for as long again. False when it has expired and gone to another."""
        now = timezone.now()
        expires = now + timedelta(seconds=self._seconds)
        mine = Lease.objects.filter(name=self.name, holder=self.holder)
        return bool(mine.update(expires_at=expires, seen_at=now))

    def give_back(self) -> None:
        """Free for the next one."""
        now = timezone.now()
        mine = Lease.objects.filter(name=self.name, holder=self.holder)
        mine.update(expires_at=now, seen_at=now, holder=None)

    def holder_is_dead(self) -> bool:
        """Only a process of this machine can be told dead; a killed one need not be waited for.

        Two machines of one name could take each other's lease. What it protects bears that: a second
        sweep finds everything done.
        """
        host, _, process = self.held_by.rpartition(":")
        if self.holder is None or host != socket.gethostname() or not process.isdecimal():
            return False
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
