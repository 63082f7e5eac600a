"""Pages of previews: order, watch, compare, decide."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from actors.permissions import can, requires
from actors.requests import PageRequest
from training import idempotency, preview_recovery, preview_tasks, previews
from training.live_views import NOTHING_NEW, STOP_POLLING
from training.models import Preview, Status, TrainingVersion
from training.preview_forms import PreviewForm
from training.preview_pages import Look, drawn_places, grid_of
from training.preview_recovery import NotLost
from training.previews import CannotPreview
from training.runpod import RunPodError
from training.views import standing_or_404

#: Previews of a version on its page, the newest first.
LISTED = 30


def load_version(pk: int) -> TrainingVersion:
    """With what pages read of it."""
    return get_object_or_404(TrainingVersion.objects.select_related("actor"), pk=pk)


def load(pk: int) -> Preview:
    """With what pages read of it."""
    return get_object_or_404(Preview.objects.select_related("version__actor", "created_by"), pk=pk)


def frame(request: PageRequest, version: TrainingVersion) -> dict[str, Any]:
    """What the pages of one version share."""
    return {
        "section": "library",
        "tab": "versions",
        "standing": standing_or_404(version.actor_id),
        "actor": version.actor,
        "version": version,
        "may_train": can(request.user, "train"),
        "may_curate": can(request.user, "curate"),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@requires("view", POST="train")
def version_previews(request: PageRequest, pk: int) -> HttpResponse:
    """GET shows the previews of a version and the form; POST orders one."""
    version = load_version(pk)
    if request.htmx and request.htmx.target == "previews":
        return render(request, "training/preview_panel.html", panel(request, version))
    form = PreviewForm(version, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("preview", once(request, version, form))
        except (CannotPreview, idempotency.KeyReused) as error:
            form.add_error(None, f"Nothing is drawn. {error}")
    found = version.previews.select_related("created_by", "version").prefetch_related("images")[:LISTED]
    context = frame(request, version) | {
        "form": form if version.status == Status.COMPLETED else None,
        "looks": [Look.at(preview) for preview in found],
    }
    return render(request, "training/previews.html", context, status=422 if form.errors else 200)


def panel(request: PageRequest, version: TrainingVersion) -> dict[str, Any]:
    """The newest preview, for a training's page."""
    newest = version.previews.select_related("version").prefetch_related("images").first()
    return {
        "version": version,
        "look": Look.at(newest) if newest else None,
        "undecided": list(version.previews.undecided().defer("log")),
        "may_train": can(request.user, "train"),
    }


def once(request: PageRequest, version: TrainingVersion, form: PreviewForm) -> int:
    """The preview of this form; sent twice it is the same one."""

    def make() -> int:
        preview = previews.order(
            version, form.wanted(), title=form.title(), by=request.user, prompt_set=form.chosen_set()
        )
        return preview.pk

    body = {name: values for name, values in request.POST.lists() if name != "csrfmiddlewaretoken"}
    key = f"preview form {form.cleaned_data['key']}"
    answer, repeated = idempotency.once(request.user, key, [version.pk, body], make)
    if not repeated:
        count = len(form.wanted())
        said = f"{count} picture{pluralize(count)} of {version.name} {pluralize(count, 'is,are')} ordered."
        messages.success(request, said)
    return int(answer)


@require_safe
@requires("view")
def preview(request: PageRequest, pk: int) -> HttpResponse:
    """One preview; for htmx its live part, or nothing when nothing has changed."""
    found = load(pk)
    look = Look.at(found)
    poll = f"{reverse('preview', args=[pk])}?{urlencode({'seen': look.mark})}"
    context = {"preview": found, "look": look, "poll_url": poll}
    if request.htmx and not request.htmx.history_restore_request:
        over = not found.is_active
        if request.GET.get("seen") == look.mark:
            return HttpResponse(status=STOP_POLLING if over else NOTHING_NEW)
        shared = context | {
            "version": found.version,
            "may_train": can(request.user, "train"),
            "may_curate": can(request.user, "curate"),
            "over": over,
        }
        return render(request, "training/preview_live.html", shared, status=STOP_POLLING if over else 200)
    return render(request, "training/preview.html", frame(request, found.version) | context)


@require_safe
@requires("view")
def grid(request: PageRequest, pk: int) -> HttpResponse:
    """Strength × checkpoint of one prompt at one seed, from all previews of a version."""
    version = load_version(pk)
    places = drawn_places(version)
    chosen = request.GET.get("of", "")
    number = int(chosen) if chosen.isdecimal() and len(chosen) < 6 and int(chosen) < len(places) else 0
    context = frame(request, version) | {
        "places": places,
        "chosen": number,
        "sheet": grid_of(version, *places[number]) if places else None,
    }
    return render(request, "training/preview_grid.html", context)


@require_POST
@requires("train")
def cancel(request: PageRequest, pk: int) -> HttpResponse:
    """Ends it and stops its job."""
    found = load(pk)
    if found.cancel():
        messages.success(request, "The preview is cancelled. What was drawn stays.")
    else:
        messages.warning(request, f"The preview had ended already: it is {found.status}.")
    return redirect(found)


@require_POST
@requires("train")
def check_status(request: PageRequest, pk: int) -> HttpResponse:
    """Asks the endpoint now instead of waiting for the sweep."""
    found = load(pk)
    try:
        changed = preview_tasks.refresh(pk)
    except RunPodError as error:
        messages.error(request, f"The endpoint can't say: {error}")
    else:
        told = "The page has what the endpoint knows." if changed else "Nothing new at the endpoint."
        messages.info(request, told)
    return redirect(found)


@require_POST
@requires("train")
def send_again(request: PageRequest, pk: int) -> HttpResponse:
    """A person says that it never reached the endpoint."""
    return decided(request, load(pk), preview_recovery.send_again, "It is sent once more.")


@require_POST
@requires("train")
def give_up(request: PageRequest, pk: int) -> HttpResponse:
    """A person waits no longer for a lost answer."""
    return decided(request, load(pk), preview_recovery.give_up, "The preview is given up.")


def decided(request: PageRequest, found: Preview, decide: Any, told: str) -> HttpResponse:
    """Carries a decision out, or says why there is none to take."""
    try:
        decide(found)
    except NotLost as error:
        messages.error(request, str(error))
    else:
        messages.success(request, told)
    return redirect(found)


@require_POST
@requires("train")
def draw_again(request: PageRequest, pk: int) -> HttpResponse:
    """Orders the same pictures once more; one that goes on is not drawn twice."""
    found = load(pk)
    if not found.may_repeat:
        messages.warning(request, f"Nothing is drawn again: the preview is {found.status}.")
        return redirect(found)
    try:
        again = previews.order_again(found, request.user)
    except CannotPreview as error:
        messages.error(request, f"Nothing is drawn. {error}")
        return redirect(found)
    messages.success(request, "The same pictures are ordered once more.")
    return redirect(again)


@require_POST
@requires("curate")
def delete(request: PageRequest, pk: int) -> HttpResponse:
    """Deletes it with its pictures."""
    found = load(pk)
    previews.remove(found)
    messages.success(request, f"The preview and its pictures are deleted: {found.title}.")
    return redirect("previews", found.version_id)
