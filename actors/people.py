"""Who acts in a request."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest


def person(request: HttpRequest) -> User | None:
    """The signed-in person, or ``None``."""
    return request.user if isinstance(request.user, User) else None
