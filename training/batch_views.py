"""Pages of batches: choose actors, look at the plan, watch it run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.messages.storage.base import BaseStorage
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from actors.permissions import can, requires
from actors.requests import PageRequest
from training import batch_choice, batch_glance, batch_plan, batch_totals, batches
from training.batch_forms import LimitsForm, form_of
from training.batch_picture import LOOKS, TABS, picture, pictures
from training.batch_plan import CannotPlan
from training.library import Filters, Library
from training.live_parts import short
from training.models import LONG_FIELDS, Batch
from training.pages import CountedPaginator, page_links
from training.parameters import ParameterErrors

PER_PAGE = 50
#: htmx stops polling when it gets this status.
STOP_POLLING = 286
NOTHING_NEW = 204


def load(pk: int) -> Batch:
    """The batch with the people in it, or 404."""
    rows = Batch.objects.select_related("created_by", "begun_by", "planning").defer("planning__chosen")
    return get_object_or_404(rows, pk=pk)


@require_safe
@requires("view")
def all_batches(request: PageRequest) -> HttpResponse:
    """All batches, the newest first; for htmx the table alone, or nothing when nothing has moved."""
    rows = Batch.objects.select_related("created_by", "planning").defer("planning__chosen")
    page = Paginator(rows, 25).get_page(request.GET.get("page"))
    shown = pictures(list(page.object_list))
    mark = short(*((now.batch.pk, now.batch.name, *now.line) for now in shown))
    goes_on = any(now.goes_on for now in shown)
    fragment = request.htmx and not request.htmx.history_restore_request
    if fragment and request.GET.get("seen") == mark:
        return HttpResponse(status=NOTHING_NEW)
    context = {
        "section": "batches",
        "page": page,
        "page_links": page_links(page, lambda number: f"?page={number}"),
        "pictures": shown,
        "mark": mark,
        "goes_on": goes_on,
        "may_train": can(request.user, "train"),
    }
    template = "training/batches_rows.html" if fragment and shown else "training/batches.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("train")
def new_batch(request: PageRequest) -> HttpResponse:
    """Chooses actors, and makes a plan of them. Nothing is launched."""
    if request.method == "POST":
        return plan_batch(request)
    return choose(request, request.GET.get("query", ""))


def choose(request: PageRequest, query: str, status: int = 200, **more: Any) -> HttpResponse:
    """The ways to choose; ``query`` are the library's filters."""
    filters = Filters.read(QueryDict(query.removeprefix("?")))
    found = Library(filters)
    context = {
        "section": "batches",
        "query": filters.query(),
        "applied": [words for words, _ in found.applied()],
        "words": filters.q,
        "matching": found.left,
        "without_good": len(batch_choice.fit_without_good().ids),
    }
    return render(request, "training/batch_new.html", context | more, status=status)


def plan_batch(request: PageRequest) -> HttpResponse:
    """Reads the choice; unknown ids are named, and the plan is made of the others."""
    source, text = request.POST.get("source", "ids"), request.POST.get("ids", "")
    match source:
        case "filter":
            chosen = batch_choice.by_filters(request.POST.get("query", ""))
        case "fit":
            chosen = batch_choice.fit_without_good()
        case _:
            upload = request.FILES.get("csv")
            written = upload.read(batch_choice.MOST_CHARACTERS).decode(errors="replace") if upload else ""
            # Without a script the library sends one field for each box.
            chosen = batch_choice.by_list("\n".join([*request.POST.getlist("actor"), text, written]))
    if chosen.complaint:
        messages.warning(request, chosen.complaint)
    try:
        batch = batch_plan.make(chosen.ids, by=request.user)
    except (CannotPlan, ParameterErrors) as error:
        return choose(
            request,
            request.POST.get("query", ""),
            422,
            error=f"{error} {chosen.complaint}".strip(),
            ids=text,
        )
    if chosen.complaint:
        batch.tell(chosen.complaint, request.user)
    return redirect(batch)


def form_for(request: PageRequest, found: Batch, data: Any = None) -> LimitsForm:
    """What this person may set."""
    return form_of(found, data, may_judge=can(request.user, "curate"))


@require_safe
@requires("view")
def batch(request: PageRequest, pk: int) -> HttpResponse:
    """The plan while it is made, and once it is; then the batch live. For htmx only what changes."""
    found = load(pk)
    if found.is_planning:
        return planning_page(request, found)
    if request.htmx.target == "planning":
        return HttpResponseClientRefresh()  # it is made: its page is another one
    if found.is_planned:
        return plan_page(request, found)
    now = picture(found)
    context = items_of(request, found) | {"now": now, "mark": now.mark}
    if not request.htmx or request.htmx.history_restore_request:
        context |= {
            "form": form_for(request, found),
            "events": found.events.select_related("by").order_by("-pk")[:50],
        }
        return render(request, "training/batch_live.html", context)
    if request.GET.get("seen") == context["mark"]:
        return HttpResponse(status=NOTHING_NEW if now.is_live else STOP_POLLING)
    context["events"] = found.events.select_related("by").order_by("-pk")[:50]
    status = 200 if now.is_live else STOP_POLLING
    return render(request, "training/batch_live_parts.html", context | {"oob": True}, status=status)


def planning_page(request: PageRequest, found: Batch) -> HttpResponse:
    """How many actors have been looked at; for the poll that alone."""
    context = {"section": "batches", "batch": found, "now": picture(found)}
    if request.htmx.target == "planning":
        return render(request, "training/batch_planning_parts.html", context)
    context["may_train"] = can(request.user, "train")
    answer = render(request, "training/batch_planning.html", context)
    storage = messages.get_messages(request)
    if isinstance(storage, BaseStorage):
        storage.used = False  # this page leaves in a second: the plan shows them, too
    return answer


def plan_page(request: PageRequest, found: Batch, form: Any = None, status: int = 200) -> HttpResponse:
    """Each actor's parameters and time, the sums, and what can be set."""
    totals = batch_totals.totals(found)
    context = items_of(request, found) | {
        "form": form or form_for(request, found),
        "totals": totals,
        "reasons": batch_totals.reasons(found),
        "warnings": batch_totals.warnings(found, totals, request.user),
        "events": found.events.select_related("by").order_by("-pk")[:50],
    }
    return render(request, "training/batch_plan.html", context, status=status)


def items_of(request: PageRequest, found: Batch) -> dict[str, Any]:
    """One page of the items, by state."""
    tab = request.GET.get("show", "")
    tab = tab if tab in TABS else ""
    counts = found.counts()
    items = found.items.select_related("actor", "version__actor").order_by(*found.queue(), "pk")
    items = items.defer(*(f"version__{name}" for name in LONG_FIELDS), "actor__source")
    states = TABS[tab][1]
    if states:
        items = items.filter(state__in=states)
    number = sum(count for state, count in counts.items() if not states or state in states)
    page = CountedPaginator(items, PER_PAGE, number).get_page(request.GET.get("page"))

    def query(**changes: Any) -> str:
        asked = {"show": tab} | changes
        return "?" + urlencode({name: value for name, value in asked.items() if value})

    return {
        "section": "batches",
        "batch": found,
        "items": [(item, LOOKS.get(item.state, "fit")) for item in page.object_list],
        "page": page,
        "page_links": page_links(page, lambda number: query(page=number)),
        "tabs": [
            (key, label, sum(counts.get(state, 0) for state in states) if states else sum(counts.values()))
            for key, (label, states) in TABS.items()
        ],
        "tab": tab,
        "here": query(page=page.number if page.number > 1 else ""),
        "may_train": can(request.user, "train"),
    }


@require_POST
@requires("train")
def change(request: PageRequest, pk: int) -> HttpResponse:
    """Other settings; of a plan also its preset and values, and then it is made anew."""
    found = load(pk)
    form = form_for(request, found, request.POST)
    if form.is_valid():
        try:
            batches.change(found, request.user, **form.settings())
        except (batches.NotPossible, CannotPlan, ParameterErrors) as error:
            messages.error(request, str(error))
        else:
            messages.success(request, "The plan is being made anew." if found.is_planning else "Changed.")
            return redirect(found)
    elif found.is_planned:
        return plan_page(request, found, form, status=422)
    else:
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
    return redirect(found)


def _discard(found: Batch, _by: Any) -> None:
    batches.discard(found)


#: What a button does, and what is said of it where the page does not show it anyway.
VERBS: dict[str, tuple[Callable[[Batch, Any], object], str]] = {
    "begin": (batches.begin, ""),
    "look-again": (batches.look_again, ""),
    "pause": (batches.pause, "Paused: nothing more is launched, and trainings that run go on."),
    "resume": (batches.resume, "It goes on."),
    "cancel": (batches.cancel, "Cancelled. Trainings that ran are being stopped."),
    "retry": (batches.retry_failed, ""),
    "discard": (_discard, "The plan is gone."),
}


@require_POST
@requires("train")
def act(request: PageRequest, pk: int, verb: str) -> HttpResponse:
    """One of ``VERBS``."""
    if verb not in VERBS:
        raise Http404
    found = load(pk)
    do, said = VERBS[verb]
    try:
        do(found, request.user)
    except (batches.NotPossible, CannotPlan, ParameterErrors) as error:
        messages.error(request, str(error))
    else:
        if said:
            messages.success(request, said)
        if verb == "discard":
            return redirect("batches")
    return redirect(found)


@require_safe
@requires("train")
def matching_ids(request: PageRequest) -> HttpResponse:
    """The ids of everyone whom the library's filters leave, one a line: "select all"."""
    ids = batch_choice.by_filters(request.GET.urlencode()).ids
    return HttpResponse("\n".join(str(pk) for pk in ids), content_type="text/plain")


@require_safe
@requires("train")
def selected(request: PageRequest) -> HttpResponse:
    """What training the selected actors would take, and who can't be trained: a sentence."""
    ids = [int(word) for word in request.GET.get("ids", "").split(",") if word.isdecimal() and len(word) < 10]
    return HttpResponse(batch_glance.glance(ids), content_type="text/plain")
