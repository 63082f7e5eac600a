"""What a training was billed, as columns of its version."""

from __future__ import annotations

from django.db import models


class Billed(models.Model):
    """Written once it has ended (``paid.py``), so that a price set later rewrites no past."""

    cost_usd = models.DecimalField(
        "cost in US dollars",
        max_digits=12,
        decimal_places=4,
        null=True,
        blank=True,
        editable=False,
        help_text="What it was billed. Empty before its end, and where nothing had a price.",
    )
    bill = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="Price, start and idle time that the cost was made out with.",
    )
    preview_cost_usd = models.DecimalField(
        "cost of its previews in US dollars",
        max_digits=12,
        decimal_places=4,
        null=True,
        blank=True,
        editable=False,
        help_text="Of all its previews that have ended.",
    )

    class Meta:
        abstract = True
