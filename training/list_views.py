"""Lists over all actors: the library, and the activity of all people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import push_url

from actors.permissions import can, requires
from actors.requests import PageRequest
from training.costs import bills_of
from training.endpoints import EndpointState
from training.library import COLUMN_SORTS, PAGE_SIZE, SORTS, Filters, Library
from training.live import Picture
from training.live_parts import short
from training.models import LONG_FIELDS, Preview, TrainingVersion
from training.pages import CountedPaginator, page_links
from training.queueing import places_of
from training.selection import STATUSES, Selection
from training.standing import add_likeness, standings, with_standing
from training.state_faces import faces_of


@require_safe
@requires("view")
def library(request: PageRequest) -> HttpResponse:
    """Posters or rows of the actors that the filters leave. Always the same number of queries."""
    filters = Filters.read(request.GET)
    found = Library(filters)
    page = CountedPaginator(found.actors().values_list("pk", flat=True), PAGE_SIZE, found.left).get_page(
        request.GET.get("page")
    )
    order = {pk: place for place, pk in enumerate(page.object_list)}
    people = standings(with_standing(Library.base().filter(pk__in=order)))
    people.sort(key=lambda person: order[person.actor.pk])
    if filters.view == "table":
        add_likeness(people)
    context: dict[str, Any] = {
        "section": "library",
        "filters": filters,
        "groups": [(group, found.choices(group)) for group in Filters.GROUPS],
        "applied": found.applied(),
        "found": found.found,
        "page": page,
        "page_links": page_links(page, lambda number: filters.query(page=number)),
        "next_query": filters.query(page=page.next_page_number()) if page.has_next() else "",
        "next_size": min(PAGE_SIZE, found.left - page.end_index()),
        "people": people,
        "sorts": SORTS.items(),
        "heads": {key: (*head, filters.sorted_by(key)) for key, head in COLUMN_SORTS.items()},
        "views": [(view, filters.query(view=view)) for view in ("sheet", "table")],
        "may_train": can(request.user, "train"),
    }
    if not request.htmx or request.htmx.history_restore_request:
        return render(request, "training/library.html", context)
    if request.htmx.target == "more":
        return render(request, "training/library_more.html", context | {"oob": True})
    answer = render(request, "training/library_results.html", context | {"oob": True})
    # The form sends every field; an address that people pass on holds only what was chosen.
    return push_url(answer, reverse("library") + filters.query().removesuffix("?"))


@require_safe
@requires("view")
def activity(request: PageRequest) -> HttpResponse:
    """All trainings of all people, the newest first; what is narrower comes from the dashboard's figures."""
    asked = Selection.read(request.GET.dict())
    trainings = asked.in_order()
    # Keys first: a late page would carry thousands of whole rows past the sort.
    page = Paginator(trainings.values_list("pk", flat=True), 50).get_page(request.GET.get("page"))
    fragment = request.htmx and not request.htmx.history_restore_request
    endpoint = EndpointState.current()
    undecided = TrainingVersion.objects.undecided().count(), Preview.objects.undecided().count()
    mark = mark_of(list(page.object_list), page.paginator.count, endpoint, undecided)
    if fragment and request.GET.get("seen") == mark:
        return HttpResponse(status=204)
    rows = TrainingVersion.objects.select_related("actor", "created_by").defer(*LONG_FIELDS[1:])
    shown = rows.prefetch_related(REPEATS).in_bulk(page.object_list)
    places, bills = places_of(shown.values()), bills_of(shown.values(), timezone.now())
    faces = faces_of({version.actor_id for version in shown.values()})
    context = {
        "section": "activity",
        "asked": asked,
        "tabs": [(key, label, asked.query(status=key)) for key, (label, _) in STATUSES.items()],
        "applied": asked.applied(),
        "kept": asked.kept(),
        "people": User.objects.filter(pk__in=TrainingVersion.objects.values("created_by")).order_by(
            "username"
        ),
        "page": page,
        "page_links": page_links(page, lambda number: asked.query(page=str(number))),
        "poll_query": asked.query(page=str(page.number), seen=mark),
        "pictures": [
            (Picture(shown[pk]), places.get(pk), bills.get(pk), faces.get(shown[pk].actor_id))
            for pk in page.object_list
        ],
        "undecided": [
            (kind, number, address)
            for kind, number, address in zip(("training", "preview"), undecided, DECIDE_AT, strict=True)
            if number
        ],
        "endpoint": endpoint,
        "may_train": can(request.user, "train"),
    }
    if fragment:
        return render(request, "training/activity_rows.html", context | {"oob": True})
    return render(request, "training/activity.html", context)


#: Which version tried another one again, without what lists never read.
REPEATS = Prefetch("repeated_by", TrainingVersion.objects.defer(*LONG_FIELDS))


#: Where people say what became of lost answers: about trainings, and about previews.
DECIDE_AT = (
    reverse_lazy("activity", query={"status": "queue"}),
    reverse_lazy("drawn", query={"state": "undecided"}),
)


def mark_of(
    keys: Sequence[int], count: int, endpoint: EndpointState | None, undecided: tuple[int, int]
) -> str:
    """Changes when the rows of a page of trainings do, or what is known of the endpoint."""
    rows = TrainingVersion.objects.filter(pk__in=keys).order_by("pk")
    seen = (endpoint.words, endpoint.trouble) if endpoint else ()
    return short(count, undecided, seen, *rows.values_list("pk", "status", "is_good", "updated_at"))
