"""A training's page: what it shows while it runs, and what a person can do about it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from actors import storage
from actors.models import Actor
from actors.permissions import can, requires
from actors.requests import PageRequest
from actors.undo import done
from training import launch, tasks
from training.live import Picture
from training.live_parts import Marks, Stamp, seconds_between_polls
from training.models import NotCompleted, TrainingVersion
from training.parameters import ParameterErrors
from training.queueing import place_of
from training.rollback import NothingToRollBack, former_good, roll_back
from training.runpod import RunPodError
from training.standing import standing

#: htmx stops polling when it gets this status.
STOP_POLLING = 286
NOTHING_NEW = 204


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
        return render(request, "training/training.html", context | {"standing": standing(version.actor_id)})
    parts = context["marks"].changed_since(seen)
    if {"head", "asks"} & set(parts):
        context["standing"] = standing(version.actor_id)
    status = 200 if version.is_active else STOP_POLLING
    context |= {"oob": True, "parts": parts}
    return render(request, "training/training_live.html", context, status=status)


@require_POST
@requires("train")
def cancel(request: PageRequest, pk: int) -> HttpResponse:
    """Ends it and stops its job."""
    version = load(pk)
    if version.cancel(by=request.user):
        messages.success(request, f"{version.name} is cancelled. Its job is being stopped.")
    else:
        messages.warning(request, f"{version.name} had ended already: it is {version.status}.")
    return redirect(version)


@require_POST
@requires("train")
def check_status(request: PageRequest, pk: int) -> HttpResponse:
    """Asks the endpoint now instead of waiting for the sweep."""
    version = load(pk)
    try:
        changed = tasks.refresh(pk)
    except RunPodError as error:
        messages.error(request, f"The endpoint can't say: {error}")
    else:
        messages.info(
            request, "The page has what the endpoint knows." if changed else "Nothing new at the endpoint."
        )
    return redirect(version)


@require_POST
@requires("curate")
def mark_good(request: PageRequest, pk: int) -> HttpResponse:
    """Makes it the actor's good version; ``next`` is the page it was judged on."""
    version = load(pk)
    reason = request.POST.get("reason", "").replace("\x00", "").strip()[:2000]
    try:
        former = version.mark_good(by=request.user, reason=reason)
    except NotCompleted as error:
        messages.error(request, str(error))
    else:
        if former and former.pk != version.pk:
            back = reverse("roll-back-good", args=[version.actor_id])
            words = f"{version.name} is the good version now instead of {former.name}."
            done(request, words, back, instead_of=str(version.pk))
        else:
            words = f"{version.name} is the good version now."
            done(request, words, reverse("unmark-good", args=[version.pk]))
    there = request.POST.get("next", "")
    here = url_has_allowed_host_and_scheme(there, allowed_hosts={request.get_host()})
    return redirect(there if here else version.get_absolute_url())


@require_POST
@requires("curate")
def roll_back_good(request: PageRequest, actor_id: int) -> HttpResponse:
    """Back to the version that was good before. ``instead_of`` is the good version that the page showed."""
    person = get_object_or_404(Actor, pk=actor_id)
    seen = request.POST.get("instead_of", "")
    instead_of = int(seen) if seen.isdecimal() and len(seen) < 19 else None
    try:
        version = roll_back(person, request.user, instead_of=instead_of)
    except NothingToRollBack as error:
        messages.error(request, str(error))
    else:
        words = f"{version.name} is the good version again."
        if instead_of:
            done(request, words, reverse("mark-good", args=[instead_of]), reason="The roll-back was undone")
        else:
            messages.success(request, words)
    return redirect("versions", actor_id)


@require_POST
@requires("curate")
def unmark_good(request: PageRequest, pk: int) -> HttpResponse:
    """Takes the mark away."""
    version = load(pk)
    reason = version.good_reason
    if version.unmark_good(by=request.user):
        words = f"{version.name} is no longer the good version."
        done(request, words, reverse("mark-good", args=[pk]), reason=reason)
    return redirect(version)


@require_POST
@requires("train")
def retry(request: PageRequest, pk: int) -> HttpResponse:
    """The same parameters once more, as a new version."""
    version = load(pk)
    try:
        again = launch.retry(version, by=request.user)
    except (launch.CannotStart, ParameterErrors) as error:
        messages.error(request, f"Nothing was started. {error}")
        return redirect(version)
    messages.success(request, f"{again.name} has started with the parameters of {version.name}.")
    return redirect(again)


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
