"""Presets: named choices between time and likeness that curators edit. Every edit is a revision that stays.

What a preset recommends is worked out by ``base_models.auto_adjust`` from a revision's rules alone, so a
version that names its revision says exactly where its parameters came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.db import models, transaction
from django.db.models import OuterRef, Q, Subquery
from django.urls import reverse
from django.utils import timezone

from training.base_models import BUILT_IN, DEFAULT_PRESET, PresetRules

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class CannotChange(Exception):
    """Why a preset stays as it is, and what to do."""


class PresetQuerySet(models.QuerySet["Preset"]):
    """Questions about presets."""

    def offered(self) -> PresetQuerySet:
        """Those that a training can be set up with, in the order of the form."""
        return self.filter(retired_at=None)

    def ensure_built_in(self) -> None:
        """The presets that every site begins with; those that are there already stay as they are."""
        here = set(self.values_list("name", flat=True))
        for position, (name, rules) in enumerate(BUILT_IN.items(), start=1):
            if name not in here:
                preset = self.create(name=name, position=position)
                preset.revisions.create(number=1, note="Built in", **rules.to_dict())


class Preset(models.Model):
    """A preset by its lasting name; its words and rules stand in its newest revision."""

    name = models.SlugField(max_length=40, unique=True, help_text="What the API calls it; never changes.")
    position = models.PositiveIntegerField(default=100)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    objects = PresetQuerySet.as_manager()

    class Meta:
        ordering = ("position", "pk")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The preset's page."""
        return reverse("preset", args=[self.name])

    @property
    def is_default(self) -> bool:
        """Whether it is what "recommended" means everywhere."""
        return self.name == DEFAULT_PRESET

    def current(self) -> PresetRevision:
        """The newest revision."""
        return self.revisions.select_related("preset").order_by("-number")[0]

    def revise(
        self,
        rules: PresetRules,
        *,
        by: User | None = None,
        note: str = "",
        based_on: int | None = None,
        restores: PresetRevision | None = None,
    ) -> PresetRevision:
        """Makes the next revision.

        Raises ``CannotChange`` when nothing differs, or when somebody else revised it since ``based_on``.
        """
        with transaction.atomic():
            # The preset's row is the lock: of two edits at once the second is told about the first.
            Preset.objects.select_for_update().get(pk=self.pk)
            newest = self.current()
            if based_on is not None and newest.number != based_on:
                who = f" by {newest.by}" if newest.by else ""
                message = f"Revision {newest.number} was made meanwhile{who}. Look at it, then edit again."
                raise CannotChange(message)
            if newest.rules() == rules:
                raise CannotChange(f"Nothing differs from revision {newest.number}.")
            return self.revisions.create(
                number=newest.number + 1, by=by, note=note, restores=restores, **rules.to_dict()
            )

    def restore(self, number: int, by: User | None = None) -> PresetRevision:
        """A former revision's rules become the newest revision. Raises like ``revise``."""
        former = self.revisions.filter(number=number).first()
        if former is None:
            raise CannotChange(f"{self.name} has no revision {number}.")
        return self.revise(former.rules(), by=by, note=f"As revision {number}", restores=former)

    def retire(self, by: User | None = None) -> bool:
        """No longer offered; versions and revisions stay. Raises ``CannotChange`` for the default."""
        if self.is_default:
            raise CannotChange("This preset is what “recommended” means everywhere. Edit it instead.")
        return self._set_retired(Q(retired_at=None), retired_at=timezone.now(), retired_by=by)

    def bring_back(self) -> bool:
        """Offered again."""
        return self._set_retired(Q(retired_at__isnull=False), retired_at=None, retired_by=None)

    def _set_retired(self, only: Q, **changes: Any) -> bool:
        changed = Preset.objects.filter(only, pk=self.pk).update(**changes)
        self.refresh_from_db()
        return bool(changed)


class PresetRevisionQuerySet(models.QuerySet["PresetRevision"]):
    """Questions about revisions."""

    def newest(self) -> PresetRevisionQuerySet:
        """The newest of each preset, in the order of the form."""
        last = PresetRevision.objects.filter(preset=OuterRef("preset")).order_by("-number")
        rows = self.filter(pk=Subquery(last.values("pk")[:1])).select_related("preset")
        return rows.order_by("preset__position", "preset__pk")

    def offered(self) -> PresetRevisionQuerySet:
        """The newest of each preset that is not retired."""
        return self.newest().filter(preset__retired_at=None)

    def update(self, **changes: Any) -> NoReturn:
        """Never."""
        raise CannotChange("A revision never changes: make the next one.")


class PresetRevision(models.Model):
    """A preset's words and rules from one edit to the next: 1, 2, … Never changed, never deleted."""

    preset = models.ForeignKey(Preset, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    label = models.CharField(max_length=80)
    description = models.TextField(blank=True)
    steps = models.FloatField(help_text="Factor on the recommended steps.")
    learning_rate = models.FloatField(help_text="Factor on the recommended learning rate.")
    warmup = models.FloatField(help_text="Share of the steps over which the learning rate rises.")
    fixed: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(
        default=dict, help_text="Values that do not depend on the dataset, by parameter."
    )
    restores = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    note = models.CharField(max_length=300, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    objects = PresetRevisionQuerySet.as_manager()

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(fields=["preset", "number"], name="one_preset_revision_per_number")
        ]

    def __str__(self) -> str:
        return f"{self.preset.name} r{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Only new ones."""
        if not self._state.adding:
            raise CannotChange("A revision never changes: make the next one.")
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """Its place on the preset's page."""
        return f"{self.preset.get_absolute_url()}#r{self.number}"

    def rules(self) -> PresetRules:
        """What ``auto_adjust`` reads."""
        return PresetRules(
            label=self.label,
            description=self.description,
            steps=self.steps,
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            fixed=self.fixed,
        )
