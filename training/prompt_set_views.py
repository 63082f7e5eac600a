"""Pages of the prompt sets, and how the studio previews."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from actors.permissions import can, requires
from actors.requests import PageRequest
from training.models import PreviewSettings, PromptSet
from training.preview_forms import PreviewSettingsForm, PromptSetForm


@require_safe
@requires("view")
def prompt_sets(request: PageRequest) -> HttpResponse:
    """All sets; for curators also the settings."""
    may_curate = can(request.user, "curate")
    rules = PreviewSettings.current()
    context = {
        "section": "prompt-sets",
        "sets": PromptSet.objects.select_related("created_by"),
        "rules": rules,
        "form": PreviewSettingsForm(instance=rules) if may_curate else None,
        "may_curate": may_curate,
    }
    return render(request, "training/prompt_sets.html", context)


@require_POST
@requires("curate")
def settings(request: PageRequest) -> HttpResponse:
    """Keeps what every completed version is to be drawn with."""
    form = PreviewSettingsForm(request.POST, instance=PreviewSettings.current())
    if form.is_valid():
        form.instance.updated_by = request.user
        form.save()
        drawn = "is drawn" if form.instance.automatic else "is no longer drawn"
        messages.success(request, f"Kept: the standard set {drawn} for every completed version.")
    return redirect("prompt-sets")


@require_http_methods(["GET", "HEAD", "POST"])
@requires("curate")
def new_prompt_set(request: PageRequest) -> HttpResponse:
    """GET shows an empty form, POST makes the set."""
    return edited(request, PromptSet(created_by=request.user))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("view", POST="curate")
def prompt_set(request: PageRequest, pk: int) -> HttpResponse:
    """GET shows a set, to curators as a form; POST changes it."""
    found = get_object_or_404(PromptSet.objects.select_related("created_by"), pk=pk)
    return edited(request, found)


def edited(request: PageRequest, found: PromptSet) -> HttpResponse:
    """The form of a set, kept when it is right."""
    name = found.name  # a form writes on the set even when it is wrong
    form = PromptSetForm(request.POST if request.method == "POST" else None, instance=found)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, f"“{found.name}” is kept. Pictures drawn before stay as they are.")
        return redirect("prompt-sets")
    context = {
        "section": "prompt-sets",
        "set": found,
        "name": name,
        "form": form,
        "may_curate": can(request.user, "curate"),
    }
    return render(request, "training/prompt_set.html", context, status=422 if form.errors else 200)


@require_POST
@requires("curate")
def make_standard(request: PageRequest, pk: int) -> HttpResponse:
    """From now on it is drawn for every completed version of its subject."""
    found = get_object_or_404(PromptSet, pk=pk)
    found.make_standard()
    messages.success(request, f"“{found.name}” is the standard set of {found.get_subject_display()} now.")
    return redirect("prompt-sets")


@require_POST
@requires("curate")
def delete(request: PageRequest, pk: int) -> HttpResponse:
    """Deletes a set; what was drawn with it stays. The standard set stays, too."""
    found = get_object_or_404(PromptSet, pk=pk)
    if found.is_standard:
        messages.error(request, "The standard set can't be deleted: make another one the standard first.")
        return redirect(found)
    found.delete()
    messages.success(request, f"“{found.name}” is deleted. Pictures drawn with it stay.")
    return redirect("prompt-sets")
