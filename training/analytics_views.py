"""The dashboard, and each of its tables as CSV."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from actors.permissions import can, requires
from actors.requests import PageRequest
from training import analytics, analytics_csv, figure_charts
from training.library import Filters
from training.spans import DEFAULT_LENGTH, LENGTHS, NoSpan, Span
from training.state_faces import faces
from training.waiting import MOST, WAITING, waiting

#: What the parts of a bar are, from below upwards.
OUTCOME_KEY = (
    ("good", "became good"),
    ("done", "completed"),
    ("failed", "failed"),
    ("soft", "cancelled"),
    ("run", "active"),
)


@require_safe
@requires("view")
def dashboard(request: PageRequest) -> HttpResponse:
    """Where the actors stand, and what the trainings of a span of days did and cost."""
    problem = ""
    try:
        span = Span.read(request.GET.dict())
    except NoSpan as error:
        span, problem = Span.of_days(DEFAULT_LENGTH), str(error)
    only = whose_costs(request.user)
    report = analytics.report(span, only)
    pictures = faces()
    context: dict[str, Any] = {
        "section": "dashboard",
        "report": report,
        "span": span,
        "problem": problem,
        "lengths": [(str(days), f"{days} days") for days in LENGTHS],
        "month": f"{timezone.localdate():%Y-%m}",
        "today": timezone.localdate(),
        "states": [(state, library_of(state.value), pictures[state.value]) for state in report.states],
        "waiting_count": sum(state.count for state in report.states if state.value in WAITING),
        "all_waiting": library_of(*WAITING),
        "places": range(sum(min(MOST, state.count) for state in report.states if state.value in WAITING)),
        "flow": figure_charts.flow(report.states),
        "outcomes": figure_charts.outcomes(report.over_time),
        "cost_per_good": figure_charts.cost_per_good(report.over_time),
        "most_failed": max((group.figures.trainings for group in report.reasons), default=0),
        "sees_everybody": only is None,
        "outcome_key": OUTCOME_KEY,
        "span_query": urlencode(span.query),
    }
    return render(request, "training/analytics.html", context, status=400 if problem else 200)


@require_safe
@requires("view")
def who_waits(request: PageRequest) -> HttpResponse:
    """Some of those who wait for a person. Fetched after the dashboard, which is quicker without."""
    return render(request, "training/analytics_waiting.html", {"waiting": waiting()})


def whose_costs(viewer: User) -> User | None:
    """Admins see what each person's trainings cost (``None``: everybody's), others their own alone."""
    return None if can(viewer, "admin") else viewer


def library_of(*states: str) -> str:
    """The library's address with the actors of these states."""
    return reverse("library") + Filters(chosen={"state": list(states)}).query()


@require_safe
@requires("view")
def download(request: PageRequest, table: str) -> StreamingHttpResponse | HttpResponse:
    """One table as CSV, for the days that the address names."""
    if table not in analytics_csv.TABLES:
        raise Http404(f"There is no table {table}. There are {', '.join(analytics_csv.TABLES)}.")
    try:
        span = Span.read(request.GET.dict())
    except NoSpan as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
    lines = analytics_csv.lines(table, analytics_csv.Asked(span, whose_costs(request.user)))
    answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    name = f"{table}_{span.first}_{span.last}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
