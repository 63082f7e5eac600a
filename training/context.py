"""What every page's header shows."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from training.models import TrainingVersion


def studio(request: HttpRequest) -> dict[str, Any]:
    """The zone of all times, and how many trainings are active, counted only when a template asks."""
    return {
        "time_zone": timezone.get_current_timezone_name(),
        "active_trainings": SimpleLazyObject(lambda: TrainingVersion.objects.active().count()),
    }
