"""A training's page: what it shows while it runs and after; its files."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from actors import storage
from actors.permissions import can, requires
from actors.requests import PageRequest
from training.live import Picture
from training.live_parts import Marks, Stamp, seconds_between_polls
from training.models import TrainingVersion
from training.queueing import place_of
from training.rollback import former_good
from training.standing import standing
from training.version_views import references

#: htmx stops polling when it gets this status.
STOP_POLLING = 286
NOTHING_NEW = 204
#: Pictures of the actor that can stand beside the samples.
REFERENCES = 12


def load(pk: int) -> TrainingVersion:
    """The version with everything a page reads of it."""
    versions = TrainingVersion.objects.select_related("actor", "created_by", "good_by")
    return get_object_or_404(versions.defer("images", "source"), pk=pk)


def picture(request: PageRequest, version: TrainingVersion, stamp: Stamp) -> dict[str, Any]:
    """What page and fragment share."""
    scale = "log" if request.GET.get("scale") == "log" else "linear"
    now = Picture(version, logarithmic=scale == "log")
    marks = Marks.of(stamp, version, scale)
    again = urlencode({"seen": str(marks), "scale": scale})
    return {
        "section": "activity",
        "version": version,
        "actor": version.actor,
        "now": now,
        "marks": marks,
        "place": place_of(version),
        "former": former_good(version.actor) if version.is_good else None,
        "scale": scale,
        "poll_url": f"{reverse('training', args=[version.pk])}?{again}",
        "poll_seconds": seconds_between_polls(version),
        "may_train": can(request.user, "train"),
        "may_judge": can(request.user, "curate"),
    }


@require_safe
@requires("view")
def training(request: PageRequest, pk: int) -> HttpResponse:
    """The page; for htmx the parts that have changed, or nothing when none has."""
    fragment = request.htmx and not request.htmx.history_restore_request
    seen = request.GET.get("seen", "") if fragment else ""
    stamp = Stamp.read(pk)
    if stamp and seen.split(".")[0] == stamp.mark:
        return HttpResponse(status=NOTHING_NEW)
    if stamp is None:
        raise Http404(f"There is no training with the number {pk}.")
    version = load(pk)
    context = picture(request, version, stamp)
    if not fragment:
        context |= {
            "standing": standing(version.actor_id),
            "references": references(version.actor_id, REFERENCES),
        }
        return render(request, "training/training.html", context)
    parts = context["marks"].changed_since(seen)
    if {"head", "asks"} & set(parts):
        context["standing"] = standing(version.actor_id)
    status = 200 if version.is_active else STOP_POLLING
    context |= {"oob": True, "parts": parts}
    return render(request, "training/training_live.html", context, status=status)


@require_safe
@requires("view")
def lora(request: PageRequest, pk: int) -> HttpResponse:
    """The LoRA's file, by a link that is signed now."""
    version = load(pk)
    link = storage.download_link(version.lora_url) if version.lora_url else ""
    if link:
        return redirect(link)
    messages.error(request, f"{version.name} has no LoRA that this site can reach.")
    return redirect(version)


@require_safe
@requires("view")
def console(request: PageRequest, pk: int) -> HttpResponse:
    """The console as a text file."""
    version = load(pk)
    answer = HttpResponse(Picture(version).console_text(), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{version.model_name}_console.txt"'
    return answer
