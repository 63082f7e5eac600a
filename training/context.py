"""What every page's header shows."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from training.models import TrainingVersion


def studio(request: HttpRequest) -> dict[str, Any]:
    """How many trainings are active, counted only when a template asks."""
    return {"active_trainings": SimpleLazyObject(lambda: TrainingVersion.objects.active().count())}
