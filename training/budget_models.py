"""What a person may spend in a month, and the ledger of what they have.

``BudgetMonth`` is the lock: whoever adds to a person's month holds its row until the transaction ends, so
that of many launches at once each sees what the ones before have reserved. Its sums are written from the
entries below it, never counted up, so they can't drift while rows are written here.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Self

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Count, Q, Sum

from actors.history import Tracked, TrackedQuerySet

NOTHING = Decimal("0.0000")


class BudgetRuleQuerySet(TrackedQuerySet["BudgetRule"]):
    """Changes of several rules at once are history too."""


class BudgetRule(models.Model):
    """A ceiling for each month: for everybody, for a role, or for one person. The narrower one counts."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="budget_rule",
        verbose_name="person",
    )
    group = models.OneToOneField(
        Group,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="budget_rule",
        verbose_name="role",
    )
    dollars = models.DecimalField(
        max_digits=10,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="US dollars a month; empty for no ceiling.",
    )
    trainings = models.PositiveIntegerField(
        null=True, blank=True, help_text="Trainings a month; empty for no ceiling."
    )
    updated_at = models.DateTimeField(auto_now=True)

    objects = BudgetRuleQuerySet.as_manager()
    history = Tracked("user", "group", "dollars", "trainings")

    class Meta:
        app_label = "training"
        constraints = [
            models.CheckConstraint(
                condition=Q(user=None) | Q(group=None),
                name="budget_of_a_person_or_a_role",
                violation_error_message="Choose a person or a role, not both.",
            ),
            # A unique index takes any number of NULLs, so "everybody" needs one of its own.
            models.UniqueConstraint(
                models.Value(1),
                condition=Q(user=None, group=None),
                name="one_budget_for_everybody",
                violation_error_message="There is a budget for everybody already.",
            ),
        ]

    def __str__(self) -> str:
        return f"Budget of {self.whose}"

    @property
    def whose(self) -> str:
        """``ines``, ``the role Trainer`` or ``everybody``."""
        if self.user:
            return self.user.get_username()
        return f"the role {self.group.name}" if self.group else "everybody"


class BudgetMonth(models.Model):
    """One person's month: the first day of it, in the studio's time zone, and the sums of its entries."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="budget_months")
    month = models.DateField()
    spent = models.DecimalField(max_digits=12, decimal_places=4, default=NOTHING)
    reserved = models.DecimalField(max_digits=12, decimal_places=4, default=NOTHING)
    trainings = models.PositiveIntegerField(default=0)
    warned = models.PositiveSmallIntegerField(
        default=0, help_text="The highest threshold, in percent, that was told."
    )

    class Meta:
        app_label = "training"
        ordering = ("-month",)
        constraints = [
            models.UniqueConstraint(fields=["user", "month"], name="one_ledger_per_person_and_month")
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.month:%B %Y}"

    @property
    def used(self) -> Decimal:
        """Spent, or promised to what runs."""
        return self.spent + self.reserved

    @classmethod
    def lock(cls, user_id: int, month: date) -> Self:
        """The row, made when missing, for one transaction at a time."""
        row, _made = cls.objects.get_or_create(user_id=user_id, month=month)
        return cls.objects.select_for_update(of=("self",)).get(pk=row.pk)

    def sums(self) -> tuple[Decimal, Decimal, int]:
        """Spent, reserved and trainings, from the entries."""
        found = self.entries.aggregate(
            settled=Sum("spent", default=NOTHING),
            promised=Sum("reserved", filter=Q(spent=None), default=NOTHING),
            counted=Count("pk", filter=Q(counts=True)),
        )
        # SQLite adds in floating point.
        return found["settled"].quantize(NOTHING), found["promised"].quantize(NOTHING), found["counted"]

    def add_up(self) -> None:
        """Writes the sums; call with the row locked."""
        self.spent, self.reserved, self.trainings = self.sums()
        self.save(update_fields=["spent", "reserved", "trainings"])


class BudgetEntry(models.Model):
    """One training or preview: reserved at its start, settled at its end."""

    class Kind(models.TextChoices):
        """What costs money."""

        TRAINING = "training"
        PREVIEW = "preview"

    month = models.ForeignKey(BudgetMonth, on_delete=models.CASCADE, related_name="entries")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    #: No foreign key: what was spent stays spent when the version goes.
    object_id = models.PositiveBigIntegerField()
    label = models.CharField(max_length=400)
    reserved = models.DecimalField(max_digits=12, decimal_places=4, help_text="The estimate at its start.")
    spent = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, help_text="The real cost; empty until it has ended."
    )
    counts = models.BooleanField(help_text="Whether it is one of the month's trainings.")
    created_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "training"
        ordering = ("-id",)
        verbose_name_plural = "budget entries"
        constraints = [models.UniqueConstraint(fields=["kind", "object_id"], name="one_budget_entry_each")]
        indexes = [models.Index(fields=["kind"], condition=Q(spent=None), name="open_budget_entries")]

    def __str__(self) -> str:
        return self.label
