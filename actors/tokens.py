"""Access tokens: what programs show instead of a password. Only a hash is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from knox.models import AbstractAuthToken

from actors.permissions import SCOPES

if TYPE_CHECKING:
    from django.contrib.auth.models import User

#: How long a token lives, in days, by what a person chooses.
LIFETIMES = {30: "30 days", 90: "90 days", 365: "1 year", 0: "until revoked"}
#: ``last_used`` is written at most this often, so that a busy client doesn't write at every request.
LAST_USED_EVERY = timedelta(minutes=1)


def check_scopes(scopes: object) -> None:
    """A list of known scopes, at least one."""
    if not isinstance(scopes, list) or not scopes or not set(scopes) <= set(SCOPES):
        raise ValidationError(f"Choose at least one of: {', '.join(SCOPES)}.")


class AccessToken(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """A token of one person, for the scopes it was made for. The primary key is its SHA-512 hash."""

    name = models.CharField(max_length=100, help_text="What uses it, for example: nightly export.")
    scopes = models.JSONField(default=list, validators=[check_scopes])
    last_used = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-created",)
        verbose_name = "access token"

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"

    @property
    def has_expired(self) -> bool:
        """Whether it no longer opens anything."""
        return self.expiry is not None and self.expiry <= timezone.now()

    def mark_used(self) -> None:
        """Remembers the moment, roughly."""
        now = timezone.now()
        if self.last_used is None or now - self.last_used > LAST_USED_EVERY:
            AccessToken.objects.filter(pk=self.pk).update(last_used=now)


def make_token(user: User, name: str, scopes: list[str], days: int = 90) -> tuple[AccessToken, str]:
    """A new token and its text, which can't be read again. 0 days: it lives until it is revoked."""
    check_scopes(scopes)
    expiry = timedelta(days=days) if days else None
    token, text = AccessToken.objects.create(user, expiry, name=name, scopes=scopes)
    return token, text
