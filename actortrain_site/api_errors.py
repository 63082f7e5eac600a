"""What our own refusals are in HTTP."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from actors.rest import BadGateway, Conflict, Unprocessable
from training.batch_plan import CannotPlan
from training.batches import NotPossible
from training.idempotency import KeyReused
from training.launch import CannotStart
from training.models import NotCompleted
from training.parameters import ParameterErrors
from training.previews import CannotPreview
from training.runpod import RunPodError


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """The framework's handler, after a translation. Anything unknown is a bug and stays a 500."""
    return exception_handler(translate(error), context)


def translate(error: Exception) -> Exception:
    """Our refusal as the framework's."""
    match error:
        case ParameterErrors():
            return exceptions.ValidationError({name: [why] for name, why in error.errors.items()})
        case CannotStart() | NotCompleted() | CannotPreview() | NotPossible():
            return Conflict(str(error))
        case CannotPlan():
            return exceptions.ValidationError({"detail": str(error)})
        case KeyReused():
            return Unprocessable(str(error))
        case RunPodError():
            return BadGateway(str(error))
        case _:
            return error
