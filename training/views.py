"""Pages of the trainings. Each view loads, checks the role (``requires``), calls one verb, answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from actors.models import Actor, prefetch_images
from actors.permissions import can, requires
from training import forms, launch, live, tasks
from training.base_models import PRESETS, auto_adjust
from training.library import PAGE_SIZE, SORTS, Filters, Poster
from training.models import ACTIVE, NotCompleted, ParameterDraft, Status, TrainingVersion
from training.parameters import ParameterErrors, validate
from training.runpod import RunPodError

if TYPE_CHECKING:
    from django.contrib.auth.models import User

STOP_POLLING = 286


def person(request: HttpRequest) -> User:
    """Who asks; every page here is for signed-in people."""
    return cast("User", request.user)


# Library


@require_safe
@requires("view")
def library(request: HttpRequest) -> HttpResponse:
    """All actors: filtered, sorted, in pages. htmx gets the sheet and the counts alone."""
    filters = Filters.read(request.GET)
    page = Paginator(filters.actors(), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "filters": filters,
        "sorts": {key: label for key, (label, _) in SORTS.items()},
        "page": page,
        "posters": [Poster(actor) for actor in page.object_list],
        "next_query": filters.query(page=page.next_page_number()) if page.has_next() else "",
        "previous_query": filters.query(page=page.previous_page_number()) if page.has_previous() else "",
    }
    fragment = request.htmx and request.headers.get("HX-Target") == "sheet-more"  # type: ignore[attr-defined]  # django-htmx
    if not fragment:
        context["groups"] = list(filters.groups())
    return render(request, "training/posters.html" if fragment else "training/library.html", context)


# One actor


def load_actor(pk: int) -> Actor:
    """An actor with all that its pages show, in four queries."""
    actors = Actor.objects.select_related("dataset", "poster").prefetch_related(prefetch_images())
    return get_object_or_404(actors, pk=pk)


def header(request: HttpRequest, actor: Actor, tab: str) -> dict[str, Any]:
    """What the head of every page of an actor shows, and its one next step."""
    versions = list(actor.versions.defer("source", "images", "loss_history", "log"))
    dataset = getattr(actor, "dataset", None)
    included = dataset.included_images() if dataset else []
    good = next((version for version in versions if version.is_good), None)
    active = next((version for version in versions if version.is_active), None)
    since = good.number if good else 0
    done = [version for version in versions if version.status == Status.COMPLETED]
    return {
        "actor": actor,
        "tab": tab,
        "versions": versions,
        "good": good,
        "active": active,
        "to_judge": [version for version in done if version.number > since],
        "dataset": dataset,
        "included": included,
        "poster": actor.poster or next((image for image in included if image.is_synced), None),
        "next_number": actor.versions_made + 1,
        "may_train": can(person(request), "train"),
        "may_curate": can(person(request), "curate"),
    }


@require_safe
@requires("view")
def train(request: HttpRequest, pk: int) -> HttpResponse:
    """Parameters, estimate, checks and the start of the next training."""
    return render(request, "training/train.html", train_context(request, load_actor(pk)))


def train_context(
    request: HttpRequest,
    actor: Actor,
    values: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The train page: given values, else the draft, a version's or a preset's, else what is recommended."""
    base, context = launch.studio_base(), header(request, actor, "train")
    count = len(actor.dataset.trainable_images()) if context["dataset"] else 0
    asked = request.GET.get("preset", "")
    preset = asked if asked in PRESETS else "balanced"
    recommended: dict[str, Any] = {"class_tokens": actor.trigger_token}
    notes: list[str] = []
    if count:
        parameters, notes = auto_adjust(count, base, preset, actor.trigger_token)
        recommended = parameters.to_dict()
    draft = ParameterDraft.objects.filter(user=person(request), actor=actor).first()
    if values is None:
        number = request.GET.get("from", "")
        source = actor.versions.filter(number=number).first() if number.isdecimal() else draft
        values = {**recommended, **(source.parameters() if source and not asked else {})}
    parameter_rows = forms.rows(base, values, recommended, errors)
    return {
        **context,
        **estimate_context(values, count),
        "base": base,
        "local_endpoint": settings.LOCAL_ENDPOINT,
        "presets": PRESETS,
        "preset": preset,
        "draft": draft,
        "core": [row for row in parameter_rows if row.spec.core],
        "advanced": [row for row in parameter_rows if not row.spec.core],
        "changed": [row for row in parameter_rows if row.changed],
        "notes": notes,
        "errors": errors or {},
        "checks": launch.checks(actor),
        "blocked": launch.obstacles(actor),
        "payload": json.dumps(launch.preview_body(actor, values), indent=2) if count else "",
    }


def estimate_context(values: dict[str, Any], count: int) -> dict[str, Any]:
    """Time and cost of these values, or what is wrong with them."""
    base = launch.studio_base()
    try:
        parameters = validate(values, base)
    except ParameterErrors as error:
        return {"estimate": None, "estimate_errors": error.errors}
    found = launch.estimate(parameters, count)
    return {"estimate": found, "estimate_cost": launch.cost_of(found.seconds), "estimate_errors": {}}


@require_POST
@requires("train")
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Keeps the edited parameters for this person and actor; answers with the new estimate."""
    actor = load_actor(pk)
    base = launch.studio_base()
    values = forms.read(request.POST, base)
    count = len(actor.dataset.trainable_images()) if hasattr(actor, "dataset") else 0
    context = estimate_context(values, count)
    if context["estimate"]:
        ParameterDraft.objects.update_or_create(
            user=person(request), actor=actor, defaults=validate(values, base).to_dict()
        )
    return render(request, "training/estimate.html", context)


@require_POST
@requires("train")
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Launches; what stands in the way is shown on the page with everything the person typed."""
    actor = load_actor(pk)
    values = forms.read(request.POST, launch.studio_base())
    try:
        version = launch.launch(actor, values, by=person(request))
    except ParameterErrors as error:
        context = train_context(request, actor, values, error.errors)
        return render(request, "training/train.html", context, status=400)
    except launch.CannotStart as error:
        for check in error.checks:
            messages.error(request, f"{check.fact} {check.reason}".strip())
        return render(
            request, "training/train.html", train_context(request, load_actor(pk), values), status=409
        )
    ParameterDraft.objects.filter(user=person(request), actor=actor).delete()
    return redirect(version)


@require_safe
@requires("view")
def versions(request: HttpRequest, pk: int) -> HttpResponse:
    """All versions of an actor, newest first, with what differs from one to the next."""
    context = header(request, load_actor(pk), "versions")
    return render(
        request, "training/versions.html", context | {"timeline": live.timeline(context["versions"])}
    )


# One training


@require_safe
@requires("view")
def training(request: HttpRequest, pk: int) -> HttpResponse:
    """A training, live: htmx asks for the fragment every two seconds until it ends."""
    version = get_object_or_404(
        TrainingVersion.objects.select_related("actor", "actor__poster", "created_by", "good_by", "repeats"),
        pk=pk,
    )
    context = {
        **live.context(version),
        "may_train": can(person(request), "train"),
        "may_curate": can(person(request), "curate"),
    }
    if not request.htmx:  # type: ignore[attr-defined]  # django-htmx adds it
        return render(request, "training/training.html", context)
    status = 200 if version.is_active else STOP_POLLING
    return render(request, "training/progress.html", context, status=status)


@require_safe
@requires("view")
def console(request: HttpRequest, pk: int) -> HttpResponse:
    """The console as a text file."""
    version = get_object_or_404(TrainingVersion, pk=pk)
    lines = (f"{line.at:%Y-%m-%d %H:%M:%S} {line.level:7} {line.message}\n" for line in live.console(version))
    response = HttpResponse("".join(lines), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{version.model_name}.log"'
    return response


def load_version(pk: int) -> TrainingVersion:
    """The version an action is about."""
    return get_object_or_404(TrainingVersion.objects.select_related("actor"), pk=pk)


@require_POST
@requires("train")
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stops a training. Twice, or too late, says what it is now."""
    version = load_version(pk)
    if version.cancel(by=person(request)):
        messages.success(request, f"{version.name} is cancelled.")
    else:
        messages.info(request, f"{version.name} is {version.status} already.")
    return redirect(version)


@require_POST
@requires("train")
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Starts an ended training again, as a new version."""
    version = load_version(pk)
    try:
        again = launch.retry(version, by=person(request))
    except (launch.CannotStart, ParameterErrors) as error:
        messages.error(request, str(error))
        return redirect(version)
    return redirect(again)


@require_POST
@requires("train")
def check_status(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks the endpoint now."""
    version = load_version(pk)
    try:
        changed = tasks.refresh(version.pk)
    except RunPodError as error:
        messages.error(request, str(error))
    else:
        messages.info(request, "Brought up to date." if changed else "Nothing new.")
    return redirect(version)


@require_POST
@requires("curate")
def mark_good(request: HttpRequest, pk: int) -> HttpResponse:
    """Makes it the actor's one good version."""
    version = load_version(pk)
    try:
        former = version.mark_good(by=person(request), reason=request.POST.get("reason", "").strip())
    except NotCompleted as error:
        messages.error(request, str(error))
    else:
        instead = f" instead of {former.name}" if former and former.pk != version.pk else ""
        messages.success(request, f"{version.name} is the good version of {version.actor}{instead}.")
    return redirect(version)


@require_POST
@requires("curate")
def unmark_good(request: HttpRequest, pk: int) -> HttpResponse:
    """Takes the mark away."""
    version = load_version(pk)
    if version.unmark_good(by=person(request)):
        messages.success(request, f"{version.actor} has no good version now.")
    return redirect(version)


# All trainings


@require_safe
@requires("view")
def activity(request: HttpRequest) -> HttpResponse:
    """All trainings of all people, the running ones first."""
    trainings = TrainingVersion.objects.select_related("actor", "created_by")
    counts = dict(trainings.order_by().values_list("status").annotate(found=Count("pk")))
    state, words = request.GET.get("state", ""), request.GET.get("q", "").strip()
    groups = {"active": ACTIVE, **{word: (word,) for word in ("completed", "failed", "cancelled")}}
    if state in groups:
        trainings = trainings.filter(status__in=groups[state])
    if words:
        trainings = trainings.filter(actor__in=Actor.objects.search(words))
    newest = trainings.defer("source", "images", "loss_history", "log").order_by("-created_at", "-pk")
    totals = {key: sum(counts.get(word, 0) for word in group) for key, group in groups.items()}
    context = {
        "page": Paginator(newest, PAGE_SIZE).get_page(request.GET.get("page")),
        "tabs": [("", "All", sum(totals.values()))]
        + [(key, key.capitalize(), total) for key, total in totals.items()],
        "state": state,
        "words": words,
        "keep": urlencode({"state": state, "q": words}),
    }
    fragment = request.htmx  # type: ignore[attr-defined]  # django-htmx adds it
    return render(request, "training/activity_rows.html" if fragment else "training/activity.html", context)
