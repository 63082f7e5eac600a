"""The states of a training version and their groups."""

from __future__ import annotations

from django.db import models


class Status(models.TextChoices):
    """States of a version; ``docs/architecture.md`` draws how they follow each other."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    QUEUED = "queued"
    TRAINING = "training"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: A version in one of these is "a training": one per actor.
ACTIVE = (Status.PENDING, Status.SUBMITTING, Status.QUEUED, Status.TRAINING)
#: RunPod has a job for these.
RUNNING = (Status.QUEUED, Status.TRAINING)
TERMINAL = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
#: The words the old system's clients know.
WIRE_STATUS = {Status.SUBMITTING: "pending", Status.QUEUED: "pending"}
