"""The dashboard's tables as CSV, line by line, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.utils import timezone

from training import analytics, costs, failures
from training.analytics import Group
from training.figures import Figures, Trainings, dollars
from training.models import Preview
from training.selection import Selection, size_of_dataset
from training.spans import Span

Row = Iterable[object]
#: A cell that begins with one of these is a formula to a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
FIGURES = (
    "trainings",
    "active",
    "completed",
    "failed",
    "cancelled",
    "became good",
    "success rate",
    "cost in US dollars",
    "cost of previews",
    "cost per training",
    "cost per good version",
)
MEDIANS = ("median seconds of training", "median likeness")


class Asked(NamedTuple):
    """Which days, and whose costs: one person's, or everybody's (``None``)."""

    span: Span
    only: User | None

    def trainings(self) -> Trainings:
        """All of these days."""
        return analytics.launched(self.span, costs.bill_for(0.0))


class _Echo:
    """A file that hands each line on instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def safe(cell: object) -> object:
    """Text that a spreadsheet would run gets an apostrophe before it. Numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def lines(table: str, asked: Asked) -> Iterator[str]:
    """The header and each row as text."""
    # A stream is read after the request, when the visitor's time zone is no longer active.
    return _written(TABLES[table](asked), timezone.get_current_timezone())


def _written(rows: Iterator[Row], zone: tzinfo) -> Iterator[str]:
    write = csv.writer(_Echo()).writerow
    while True:
        with timezone.override(zone):
            row = next(rows, None)
        if row is None:
            return
        yield write([safe(cell) for cell in row])


def _figures(figures: Figures, *, medians: bool = False) -> list[object]:
    cells: list[object] = [
        *(figures.trainings, figures.active, figures.completed, figures.failed, figures.cancelled),
        *(figures.good, figures.success, figures.cost, figures.preview_cost),
        *(figures.cost_per_training, figures.cost_per_good),
    ]
    return [*cells, figures.training, figures.likeness] if medians else cells


def _groups(name: str, groups: Iterable[Group], *, medians: bool = False) -> Iterator[Row]:
    yield [name, "key", *FIGURES, *(MEDIANS if medians else ())]
    for group in groups:
        yield [group.label, group.key, *_figures(group.figures, medians=medians)]


def _actors(asked: Asked) -> Iterator[Row]:
    yield ["state", "key", "actors"]
    for state in analytics.states():
        yield [state.label, state.value, state.count]


def _over_time(asked: Asked) -> Iterator[Row]:
    yield ["first day", "last day", *FIGURES]
    for part in analytics.over_time(asked.span, asked.trainings()):
        yield [part.span.first, part.span.last, *_figures(part.figures)]


def _failures(asked: Asked) -> Iterator[Row]:
    yield ["reason", "key", "trainings", "cost in US dollars"]
    for group in analytics.reasons(asked.span, costs.bill_for(0.0)):
        yield [group.label, group.key, group.figures.trainings, group.figures.cost]


def _people(asked: Asked) -> Iterator[Row]:
    return _groups("person", analytics.people(asked.span, asked.trainings(), asked.only))


def _presets(asked: Asked) -> Iterator[Row]:
    return _groups("preset", analytics.presets(asked.trainings(), asked.span), medians=True)


def _sizes(asked: Asked) -> Iterator[Row]:
    return _groups("images", analytics.sizes(asked.span, asked.trainings()), medians=True)


def _times(asked: Asked) -> Iterator[Row]:
    found = asked.trainings().figures()
    yield ["time", "median seconds"]
    yield from (("queue", found.queue), ("training", found.training), ("review", found.review))


def _prices(asked: Asked) -> Iterator[Row]:
    yield ["what", "value", "unit", "source"]
    found = analytics.prices(costs.bill_for(0.0))
    if found:
        yield [found.gpu or "GPU", found.per_second, "US dollars a second", found.setting]
        for name, price in found.gpus:
            if name != found.gpu:
                yield [f"{name} (not this endpoint's)", price, "US dollars a second", found.setting]
        yield ["worker start", found.start_seconds, "seconds", found.start_source]
        yield ["idle time", found.idle_seconds, "seconds", "configured"]


def _trainings(asked: Asked) -> Iterator[Row]:
    """The rows behind all of it. Who launched another person's is left out where costs are not to be seen."""
    yield [
        *("id", "actor", "actor name", "version", "launched", "status", "failure", "became good"),
        *("person", "preset", "preset changed", "images", "steps", "worker took it", "ended"),
        *("execution seconds", "cost in US dollars", "cost of previews", "error"),
    ]
    rows = (
        Selection.launched(asked.span).rows().select_related("actor", "created_by", "preset_revision__preset")
    )
    rows = rows.annotate(
        kind=failures.failure_kind(), size=size_of_dataset(), dollars=dollars(costs.bill_for(0.0))
    )
    heavy = ("stages", "loss_history", "log", "images", "source", "description")
    version: Any
    for version in rows.defer(*heavy).order_by("created_at", "pk").iterator(500):
        yield [
            *(version.pk, version.actor_id, version.actor.name, version.name, _moment(version.created_at)),
            *(
                version.status,
                failures.LABELS.get(version.kind, ""),
                bool(version.is_good or version.first_good_at),
            ),
            str(version.created_by or "") if asked.only in (None, version.created_by) else "",
            *(
                version.preset_revision or "",
                version.preset_edited,
                version.image_count,
                version.max_train_steps,
            ),
            *(_moment(version.started_at), _moment(version.finished_at), version.execution_seconds),
            *(version.dollars, version.preview_cost_usd, version.error),
        ]


def _previews(asked: Asked) -> Iterator[Row]:
    """The previews behind their cost: of these trainings' versions, whoever ordered them and whenever."""
    yield [
        *("id", "actor", "version id", "version", "preview", "ordered", "status", "by itself", "person"),
        *("ended", "execution seconds", "cost in US dollars", "error"),
    ]
    rows = Preview.objects.filter(version__in=Selection.launched(asked.span).rows().values("pk"))
    rows = rows.select_related("version", "created_by").defer("log").order_by("pk")
    for preview in rows.iterator(500):
        version = preview.version
        yield [
            *(preview.pk, version.actor_id, version.pk, version.name, preview.title),
            *(_moment(preview.created_at), preview.status, preview.automatic),
            str(preview.created_by or "") if asked.only in (None, preview.created_by) else "",
            *(_moment(preview.finished_at), (preview.execution_ms or 0) / 1000 or None),
            *(preview.cost_usd, preview.error),
        ]


def _moment(moment: Any) -> str:
    return timezone.localtime(moment).isoformat(timespec="seconds") if moment else ""


#: Name in the address to the rows, the header first.
TABLES: dict[str, Callable[[Asked], Iterator[Row]]] = {
    "actors": _actors,
    "over-time": _over_time,
    "times": _times,
    "failures": _failures,
    "people": _people,
    "presets": _presets,
    "sizes": _sizes,
    "prices": _prices,
    "trainings": _trainings,
    "previews": _previews,
}
