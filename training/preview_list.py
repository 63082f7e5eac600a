"""All previews of all actors: what is drawn, what it cost, and what waits for a decision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from actors.permissions import can, requires
from actors.requests import PageRequest
from training.live_parts import short
from training.models import Preview
from training.pages import page_links
from training.preview_models import PreviewQuerySet, PreviewStatus
from training.preview_pages import state_of
from training.selection import Selection

STATES = {
    "": "All",
    "active": "Active",
    "undecided": "Needs a decision",
    "done": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
ON_A_PAGE = 50


@require_safe
@requires("view")
def drawn(request: PageRequest) -> HttpResponse:
    """The newest first. The address narrows the versions as it does on the activity page, and the state."""
    asked, state = Selection.read(request.GET.dict()), request.GET.get("state", "")
    state = state if state in STATES else ""
    # Keys first: only a page of them is joined with its pictures.
    keys = chosen(asked, state).values_list("pk", flat=True)
    page = Paginator(keys, ON_A_PAGE).get_page(request.GET.get("page"))
    rows = with_pictures(page.object_list)
    mark = short(page.paginator.count, *((row.pk, row.status, row.updated_at) for row in rows))
    fragment = request.htmx and not request.htmx.history_restore_request
    if fragment and request.GET.get("seen") == mark:
        return HttpResponse(status=204)
    context: dict[str, Any] = {
        "section": "activity",
        "tabs": [(key, label, asked.query(state=key)) for key, label in STATES.items()],
        "state": state,
        "applied": [(words, f"{query}&state={state}") for words, query in asked.applied()],
        "narrowed": bool(state) or not asked.is_everything,
        "page": page,
        "page_links": page_links(page, lambda number: asked.query(state=state, page=str(number))),
        "poll_query": asked.query(state=state, page=str(page.number), seen=mark),
        "rows": [(preview, *state_of(preview)) for preview in rows],
        "active": any(preview.is_active for preview in rows),
        "may_train": can(request.user, "train"),
    }
    name = "training/drawn_rows.html" if fragment else "training/drawn.html"
    return render(request, name, context)


def chosen(asked: Selection, state: str) -> PreviewQuerySet:
    """Previews of the versions that a selection is about."""
    rows = Preview.objects.order_by("-pk")
    match state:
        case "active":
            rows = rows.active()
        case "undecided":
            rows = rows.undecided()
        case "done" | "failed" | "cancelled":
            rows = rows.filter(status=PreviewStatus(state))
    if not asked.is_everything:
        rows = rows.filter(version__in=asked.rows().values("pk"))
    return rows


def with_pictures(keys: Iterable[int]) -> list[Any]:
    """These previews in this order; how many pictures each has, and how many have arrived."""
    rows = Preview.objects.select_related("version__actor", "created_by").defer("log")
    counted = {"ordered": Count("images"), "arrived": Count("images", filter=~Q(images__url=""))}
    found: Any = rows.annotate(**counted).order_by().in_bulk(list(keys))
    return [found[key] for key in keys]
