"""Good news that can be taken back: a toast with a button that posts the opposite.

The message carries where the button posts to and with which fields; ``includes/toast.html`` draws it. The
view it posts to authorises as always, so nothing is trusted here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.messages.storage.base import Message
from django.http import HttpRequest


@dataclass(frozen=True)
class Undo:
    """Where the opposite is posted to, and with which fields."""

    url: str
    fields: dict[str, str]


def done(request: HttpRequest, text: str, undo_url: str, **fields: str) -> None:
    """Says that something is done, and offers to undo it."""
    messages.success(request, text, extra_tags=json.dumps({"url": undo_url, "fields": fields}))


def undo_of(message: Message) -> Undo | None:
    """How to take back what a message tells; ``None`` for most."""
    tags = getattr(message, "extra_tags", "") or ""
    return Undo(**json.loads(tags)) if tags.startswith("{") else None
