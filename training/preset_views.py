"""Pages of the presets: what there is, its history and results; curators edit, retire and restore."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from actors.permissions import can, requires
from actors.requests import PageRequest
from training import analytics, costs, preset_page
from training.launch import studio_base
from training.models import Preset, PresetRevision
from training.preset_forms import NewPresetForm, PresetForm
from training.preset_models import CannotChange


@require_safe
@requires("view")
def presets(request: PageRequest) -> HttpResponse:
    """All of them, each with its newest revision and what all its trainings came to."""
    bill = costs.bill_for(0.0)
    revisions = list(PresetRevision.objects.newest())
    results = {group.key: group for group in analytics.results_of_revisions(revisions, bill)}
    rows = [
        (revision, results.get(f"{revision.preset.name}.{revision.number}"))
        for revision in sorted(revisions, key=lambda each: each.preset.retired_at is not None)
    ]
    context = {
        "section": "presets",
        "rows": rows,
        "priced": analytics.priced(bill, (group.figures for group in results.values())),
        "may_curate": can(request.user, "curate"),
    }
    return render(request, "training/presets.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("curate")
def new_preset(request: PageRequest) -> HttpResponse:
    """GET shows the form, POST makes the preset with its first revision."""
    form = NewPresetForm(request.POST if request.method == "POST" else None, initial=NEW)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                preset = Preset.objects.create(name=form.cleaned_data["name"])
                values = form.rules().to_dict()
                preset.revisions.create(number=1, by=request.user, note=form.cleaned_data["note"], **values)
        except IntegrityError:
            form.add_error("name", "There is a preset of this name already. Choose another.")
        else:
            messages.success(request, f"The train page offers “{form.cleaned_data['label']}” now.")
            return redirect(preset)
    status = 422 if form.errors else 200
    context = {"section": "presets", "form": form, "base": studio_base()}
    return render(request, "training/preset_new.html", context, status=status)


NEW = {"steps": 1, "learning_rate": 1, "warmup": 20}


@require_http_methods(["GET", "HEAD", "POST"])
@requires("view", POST="curate")
def preset(request: PageRequest, name: str) -> HttpResponse:
    """GET shows one preset; POST makes its next revision, or only shows before → after."""
    found = get_object_or_404(Preset, name=name)
    if request.method != "POST":
        return preset_answer(
            request, found, PresetForm.showing(found.current().rules(), found.current().number)
        )
    form = PresetForm(request.POST)
    if not form.is_valid():
        return preset_answer(request, found, form, status=422)
    if request.POST.get("then") == "preview":
        return preset_answer(request, found, form)
    try:
        revision = found.revise(
            form.rules(),
            by=request.user,
            note=form.cleaned_data["note"],
            based_on=form.cleaned_data["based_on"],
        )
    except CannotChange as why:
        messages.error(request, f"Nothing was saved. {why}")
        return preset_answer(request, found, form, status=409)
    messages.success(request, f"Revision {revision.number} is what the train page offers now.")
    return redirect(found)


def preset_answer(request: PageRequest, found: Preset, form: PresetForm, status: int = 200) -> HttpResponse:
    """The page of one preset."""
    revisions = list(found.revisions.select_related("by", "preset", "restores"))
    newest = revisions[0]
    bill = costs.bill_for(0.0)
    results = analytics.results_of_preset(found.name, bill)
    typed = form.rules() if form.is_bound and form.is_valid() else None
    context: dict[str, Any] = {
        "section": "presets",
        "preset": found,
        "newest": newest,
        "form": form,
        "history": preset_page.history(revisions, results),
        "preview": preset_page.changes(newest.rules(), typed) if typed else None,
        "examples": preset_page.examples(typed or newest.rules(), studio_base()),
        "base": studio_base(),
        "priced": analytics.priced(bill, (group.figures for group in results)),
        "may_curate": can(request.user, "curate"),
    }
    return render(request, "training/preset.html", context, status=status)


@require_POST
@requires("curate")
def retire(request: PageRequest, name: str) -> HttpResponseRedirect:
    """No longer offered; with ``back`` it is again."""
    found = get_object_or_404(Preset, name=name)
    try:
        if request.POST.get("then") == "back":
            found.bring_back()
            messages.success(request, "The train page offers it again.")
        else:
            found.retire(request.user)
            messages.success(request, "The train page no longer offers it. Its trainings keep it.")
    except CannotChange as why:
        messages.error(request, str(why))
    return redirect(found)


@require_POST
@requires("curate")
def restore(request: PageRequest, name: str, number: int) -> HttpResponseRedirect:
    """A former revision's rules become the newest revision."""
    found = get_object_or_404(Preset, name=name)
    try:
        revision = found.restore(number, request.user)
    except CannotChange as why:
        messages.error(request, str(why))
    else:
        messages.success(request, f"Revision {revision.number} is as revision {number} was.")
    return redirect(found)
