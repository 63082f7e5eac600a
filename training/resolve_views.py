"""Where an answer of the endpoint is lost, a person says what became of the submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from actors.permissions import requires
from training.models import NotLost, TrainingVersion

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@require_POST
@requires("train")
def resubmit(request: HttpRequest, pk: int) -> HttpResponse:
    """It never reached the endpoint: send it again."""
    version = get_object_or_404(TrainingVersion, pk=pk)
    try:
        sent = version.resubmit(by=cast("User", request.user))
    except NotLost as error:
        messages.error(request, str(error))
    else:
        done = f"{version.name} is sent again." if sent else f"{version.name} is {version.status} by now."
        messages.success(request, done)
    return redirect(version)


@require_POST
@requires("train")
def give_up(request: HttpRequest, pk: int) -> HttpResponse:
    """Wait no longer."""
    version = get_object_or_404(TrainingVersion, pk=pk)
    try:
        ended = version.give_up(by=cast("User", request.user))
    except NotLost as error:
        messages.error(request, str(error))
    else:
        done = f"{version.name} is given up." if ended else f"{version.name} is {version.status} by now."
        messages.success(request, done)
    return redirect(version)
