"""Measuring likeness when a person asks for it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from actors.models import Actor
from actors.permissions import requires
from actors.requests import PageRequest
from training.scores import measure_actor_later


@require_POST
@requires("curate")
def measure(request: PageRequest, actor_id: int) -> HttpResponse:
    """All completed versions of the actor against the dataset as it is now."""
    actor = get_object_or_404(Actor, pk=actor_id)
    if count := measure_actor_later(actor.pk):
        versions = "1 version is" if count == 1 else f"{count} versions are"
        messages.info(request, f"{versions} being measured. Load the page again in a moment.")
    else:
        messages.info(request, "There is nothing to measure yet: no version has completed.")
    return redirect("versions", actor_id)
