"""Asks the task queue to measure a version; whatever makes or draws pictures may call it."""

from __future__ import annotations

from django.db import transaction
from django_q.tasks import async_task

MEASURE = "training.scores.measure"


def measure_later(pk: int) -> None:
    """Once what is being written is there for all to read. A lost task is found by the schedule."""
    transaction.on_commit(lambda: async_task(MEASURE, pk, task_name=f"score {pk}"))
