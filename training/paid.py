"""What was paid is kept with what it was paid for, in the transaction that ends it.

Everything that shows a cost of the past reads these columns: pages, figures, CSV, API and the budgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Sum
from django.utils import timezone

if TYPE_CHECKING:
    from training.models import Preview, TrainingVersion


def keep_bill(version: TrainingVersion) -> None:
    """Makes out the bill of a version that has just ended.

    One that ends anew (presumed lost, and completed after all) keeps the prices of its first end.
    """
    from training.costs import final_bill

    if bill := final_bill(version):
        version.cost_usd, version.bill = bill.total, bill.to_dict()
        rows = type(version).objects.filter(pk=version.pk)
        rows.update(cost_usd=version.cost_usd, bill=version.bill)


def keep_preview_cost(preview: Preview) -> None:
    """What an ended preview has cost: as it was billed, else by the clock; and the sum of its version's."""
    from training.costs import bill_for

    if preview.cost_usd is None and preview.started_at:
        clock = (preview.finished_at or timezone.now()) - preview.started_at
        bill = bill_for(clock.total_seconds(), "clock")
        preview.cost_usd = bill.total if bill else None
        type(preview).objects.filter(pk=preview.pk).update(cost_usd=preview.cost_usd)
    add_up_previews(preview.version_id)


def add_up_previews(version_id: int) -> None:
    """Writes the sum from the rows, with the version locked: of two that end at once both are in it.

    The version comes before the budget's month, as when a training ends: no two can wait for each other.
    """
    from training.models import Preview, TrainingVersion

    rows = TrainingVersion.objects.filter(pk=version_id)
    # The key stays free: whoever orders a preview holds it meanwhile.
    if rows.order_by().select_for_update(no_key=True).values_list("pk", flat=True).first() is None:
        return
    # Deleting takes a row out of the sum. What a person's month has spent stays spent.
    found = Preview.objects.filter(version=version_id).aggregate(cost=Sum("cost_usd"))
    rows.update(preview_cost_usd=found["cost"])
