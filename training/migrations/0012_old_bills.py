"""What ended before bills were kept: the ledger of budgets knows what was paid, else the price of now does."""

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.conf import settings
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models import DecimalField, Exists, F, FloatField, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Cast, Ceil, Round
from django.utils import timezone

ENDED = ("completed", "failed", "cancelled")
PREVIEW_ENDED = ("done", "failed", "cancelled")


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    Version = apps.get_model("training", "TrainingVersion")
    Preview = apps.get_model("training", "Preview")
    Entry = apps.get_model("training", "BudgetEntry")
    terms = prices(Version)
    trainings = Version.objects.filter(status__in=ENDED)
    by_ledger(trainings, Entry.objects.filter(kind="training"), bill={"origin": "ledger"})
    by_price(trainings, Entry.objects.filter(kind="training"), terms, bill=terms)
    drawn = Preview.objects.filter(status__in=PREVIEW_ENDED, cost_usd=None)
    by_ledger(drawn, Entry.objects.filter(kind="preview"))
    by_price(drawn, Entry.objects.filter(kind="preview"), terms)
    paid = Preview.objects.filter(version=OuterRef("pk")).exclude(cost_usd=None).order_by()
    sums = paid.values("version").annotate(cost=Sum("cost_usd")).values("cost")
    Version.objects.filter(Exists(paid)).update(preview_cost_usd=Subquery(sums))


def by_ledger(rows: Any, entries: Any, **more: Any) -> None:
    """What it says was paid. Nothing paid is no cost: there was no price then, or no worker."""
    paid = entries.filter(object_id=OuterRef("pk"), spent__gt=0)
    rows.filter(Exists(paid)).update(cost_usd=Subquery(paid.values("spent")[:1]), **more)


def by_price(rows: Any, entries: Any, terms: dict[str, Any] | None, **more: Any) -> None:
    """What the ledger knows nothing of, and a worker has had."""
    if terms is None:
        return
    price, around = Decimal(terms["price"]), terms["start_seconds"] + terms["idle_seconds"]
    unknown = rows.exclude(Exists(entries.filter(object_id=OuterRef("pk"), spent__isnull=False)))
    seconds = Cast(F("execution_ms"), FloatField()) / Value(1000.0) + Value(around)
    whole = Cast(Ceil(seconds), DecimalField(max_digits=12, decimal_places=0))
    told = unknown.filter(execution_ms__gt=0)
    told.update(cost_usd=Round(whole * Value(price), precision=4), **more)
    # Few: the endpoint told no time, so the clock counts.
    clock = unknown.filter(Q(execution_ms=None) | Q(execution_ms=0), started_at__isnull=False)
    for pk, started, finished in list(clock.values_list("pk", "started_at", "finished_at")):
        executed = (finished - started).total_seconds() if finished else 0.0
        cost = (math.ceil(executed + around) * price).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        rows.model.objects.filter(pk=pk).update(cost_usd=cost, **more)


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


class Migration(migrations.Migration):
    dependencies = [("training", "0011_bills")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
