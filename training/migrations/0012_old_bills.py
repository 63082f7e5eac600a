"""What ended before bills were kept: the ledger of budgets knows what was paid, else today's price has to do."""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.conf import settings
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models import Q, Sum
from django.utils import timezone

ENDED = ("completed", "failed", "cancelled")
PREVIEW_ENDED = ("done", "failed", "cancelled")
#: Rows written in one go.
BATCH = 500


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    Version = apps.get_model("training", "TrainingVersion")
    Preview = apps.get_model("training", "Preview")
    Entry = apps.get_model("training", "BudgetEntry")
    terms = prices(Version)
    billed(Version.objects.filter(status__in=ENDED), ledger(Entry, "training"), terms)
    drawn = Preview.objects.filter(status__in=PREVIEW_ENDED, cost_usd=None)
    billed(drawn, ledger(Entry, "preview"), terms)
    sums = Preview.objects.exclude(cost_usd=None).values("version").annotate(cost=Sum("cost_usd"))
    write(
        Version,
        ["preview_cost_usd"],
        (Version(pk=row["version"], preview_cost_usd=row["cost"]) for row in sums.order_by()),
    )


def ledger(Entry: Any, kind: str) -> dict[int, Decimal]:
    """What it says was paid, by the key of what it was paid for."""
    rows = Entry.objects.filter(kind=kind).exclude(spent=None)
    return dict(rows.values_list("object_id", "spent"))


def prices(Version: Any) -> dict[str, Any] | None:
    """Price, start and idle time as they are configured today; None where nothing has a price."""
    if not settings.GPU_PRICE_PER_SECOND:
        return None
    start, source = settings.WORKER_START_SECONDS, "configured"
    if start is None:
        runs = Version.objects.filter(
            status="completed", endpoint_id=settings.RUNPOD_ENDPOINT_ID, delay_ms__gt=0
        )
        delays = list(runs.order_by("-finished_at").values_list("delay_ms", flat=True)[:50])
        start, source = (min(delays) / 1000, "learned") if len(delays) >= 5 else (0.0, "not known")
    return {
        "price": str(settings.GPU_PRICE_PER_SECOND),
        "start_seconds": start,
        "start_source": source,
        "idle_seconds": settings.WORKER_IDLE_SECONDS,
        "origin": "later",
        "on": f"{timezone.now():%Y-%m-%d}",
    }


def billed(rows: Any, known: dict[int, Decimal], terms: dict[str, Any] | None) -> None:
    """Writes the cost of each row that has run; versions keep how it came to be beside it."""
    fields = ["cost_usd", "bill"] if hasattr(rows.model, "bill") else ["cost_usd"]
    ran = rows.filter(Q(execution_ms__gt=0) | Q(started_at__isnull=False)).order_by()
    write(rows.model, fields, costs(rows.model, ran, known, terms))


def costs(model: Any, ran: Any, known: dict[int, Decimal], terms: dict[str, Any] | None) -> Iterator[Any]:
    for pk, execution_ms, started, finished in ran.values_list(
        "pk", "execution_ms", "started_at", "finished_at"
    ):
        if pk in known:
            cost, bill = known[pk], {"origin": "ledger"}
        elif terms:
            cost, bill = reckoned(seconds(execution_ms, started, finished), terms), terms
        else:
            continue
        if cost:
            row = model(pk=pk, cost_usd=cost)
            row.bill = bill
            yield row


def seconds(execution_ms: int | None, started: datetime | None, finished: datetime | None) -> float:
    if execution_ms:
        return execution_ms / 1000
    return (finished - started).total_seconds() if started and finished else 0.0


def reckoned(executed: float, terms: dict[str, Any]) -> Decimal:
    whole = math.ceil(terms["start_seconds"] + executed + terms["idle_seconds"])
    return (whole * Decimal(terms["price"])).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def write(model: Any, fields: list[str], rows: Iterable[Any]) -> None:
    model.objects.bulk_update(list(rows), fields, batch_size=BATCH)


class Migration(migrations.Migration):
    dependencies = [("training", "0011_bills")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
