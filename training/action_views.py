"""What people do about a training: stop it, ask after it, try it again, judge it. Each calls one verb."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from actors.models import Actor
from actors.permissions import requires
from actors.requests import PageRequest
from actors.undo import done
from training import launch, tasks
from training.models import NotCompleted, NotLost, TrainingVersion
from training.parameters import ParameterErrors
from training.rollback import NothingToRollBack, roll_back
from training.runpod import RunPodError


@require_POST
@requires("train")
def cancel(request: PageRequest, pk: int) -> HttpResponse:
    """Ends it and stops its job."""
    version = get_object_or_404(TrainingVersion, pk=pk)
    if version.cancel(by=request.user):
        messages.success(request, f"{version.name} is cancelled. Its job is being stopped.")
    else:
        messages.warning(request, f"{version.name} had ended already: it is {version.status}.")
    return redirect(version)


@require_POST
@requires("train")
def check_status(request: PageRequest, pk: int) -> HttpResponse:
    """Asks the endpoint now instead of waiting for the sweep."""
    version = get_object_or_404(TrainingVersion, pk=pk)
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
@requires("train")
def retry(request: PageRequest, pk: int) -> HttpResponse:
    """The same parameters once more, as a new version."""
    version = get_object_or_404(TrainingVersion, pk=pk)
    try:
        again = launch.retry(version, by=request.user)
    except (launch.CannotStart, ParameterErrors) as error:
        messages.error(request, f"Nothing was started. {error}")
        return redirect(version)
    messages.success(request, f"{again.name} has started with the parameters of {version.name}.")
    return redirect(again)


@require_POST
@requires("train")
def resubmit(request: PageRequest, pk: int) -> HttpResponse:
    """The endpoint's answer is lost, and a person says that the job never arrived: send it again."""
    return resolved(request, pk, TrainingVersion.resubmit, "sent again")


@require_POST
@requires("train")
def give_up(request: PageRequest, pk: int) -> HttpResponse:
    """The endpoint's answer is lost, and nobody waits for it any longer."""
    return resolved(request, pk, TrainingVersion.give_up, "given up")


def resolved(
    request: PageRequest, pk: int, verb: Callable[[TrainingVersion, User], bool], words: str
) -> HttpResponse:
    """What a person decides about a lost answer, said back."""
    version = get_object_or_404(TrainingVersion, pk=pk)
    try:
        moved = verb(version, request.user)
    except NotLost as error:
        messages.error(request, str(error))
    else:
        state = words if moved else f"{version.status} by now"
        messages.success(request, f"{version.name} is {state}.")
    return redirect(version)


def place(request: PageRequest, otherwise: str) -> str:
    """The page on which somebody judged (``next``), so that a judgement and its undo stay there."""
    there = request.POST.get("next", "")
    here = url_has_allowed_host_and_scheme(there, allowed_hosts={request.get_host()})
    return there if here else otherwise


@require_POST
@requires("curate")
def mark_good(request: PageRequest, pk: int) -> HttpResponse:
    """Makes it the actor's good version; ``next`` is the page it was judged on."""
    version = get_object_or_404(TrainingVersion, pk=pk)
    reason = request.POST.get("reason", "").replace("\x00", "").strip()[:2000]
    there = place(request, version.get_absolute_url())
    try:
        former = version.mark_good(by=request.user, reason=reason)
    except NotCompleted as error:
        messages.error(request, str(error))
    else:
        if former and former.pk != version.pk:
            back = reverse("roll-back-good", args=[version.actor_id])
            words = f"{version.name} is the good version now instead of {former.name}."
            done(request, words, back, instead_of=str(version.pk), next=there)
        else:
            words = f"{version.name} is the good version now."
            done(request, words, reverse("unmark-good", args=[version.pk]), next=there)
    return redirect(there)


@require_POST
@requires("curate")
def roll_back_good(request: PageRequest, actor_id: int) -> HttpResponse:
    """Back to the version that was good before. ``instead_of`` is the good version that the page showed."""
    person = get_object_or_404(Actor, pk=actor_id)
    seen = request.POST.get("instead_of", "")
    instead_of = int(seen) if seen.isdecimal() and len(seen) < 19 else None
    there = place(request, reverse("versions", args=[actor_id]))
    try:
        version = roll_back(person, request.user, instead_of=instead_of)
    except NothingToRollBack as error:
        messages.error(request, str(error))
    else:
        words = f"{version.name} is the good version again."
        if instead_of:
            again = reverse("mark-good", args=[instead_of])
            done(request, words, again, reason="The roll-back was undone", next=there)
        else:
            messages.success(request, words)
    return redirect(there)


@require_POST
@requires("curate")
def unmark_good(request: PageRequest, pk: int) -> HttpResponse:
    """Takes the mark away."""
    version = get_object_or_404(TrainingVersion, pk=pk)
    reason, there = version.good_reason, place(request, version.get_absolute_url())
    if version.unmark_good(by=request.user):
        words = f"{version.name} is no longer the good version."
        done(request, words, reverse("mark-good", args=[pk]), reason=reason, next=there)
    return redirect(there)
