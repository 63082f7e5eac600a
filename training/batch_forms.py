"""What people set of a batch: preset and values, places, ceiling, order and times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from training import costs
from training.batch_models import MOST_AT_ONCE, Batch, BatchItem, Order
from training.batch_recipe import Recipe
from training.launch import studio_base
from training.parameters import SPECS, ParameterErrors
from training.preset_models import PresetRevision

#: The trigger token is each actor's own.
OVERRIDES = tuple(name for name in SPECS if name != "class_tokens")
_TIME = forms.TimeInput(format="%H:%M", attrs={"type": "time"})


def preset_choices() -> list[tuple[str, str]]:
    """The presets that are offered."""
    return [(revision.preset.name, revision.label) for revision in PresetRevision.objects.offered()]


def add_parameter_errors(form: forms.Form, errors: ParameterErrors) -> None:
    """Each at its field."""
    for name, why in errors.errors.items():
        form.add_error(name if name in form.fields else None, ValidationError(why))


def value_fields(without: Mapping[str, object] | None = None) -> dict[str, forms.Field]:
    """A field for each value that may go over what is recommended.

    Empty: as recommended, or as it is ``without`` them, which stands in the empty field then.
    """
    fields: dict[str, forms.Field] = {}
    for name, spec in studio_base().specs().items():
        if name not in OVERRIDES:
            continue
        empty = str(without[name]) if without else ""
        if spec.kind == "choice":
            choices = [("", empty or "As the preset says"), *((each, each) for each in spec.choices)]
            fields[name] = forms.ChoiceField(label=spec.label, required=False, choices=choices)
        else:
            told, shown = f"{spec.allowed.capitalize()}.", forms.TextInput({"placeholder": empty})
            fields[name] = forms.CharField(
                label=spec.label, required=False, max_length=100, help_text=told, widget=shown
            )
    return fields


class LimitsForm(forms.Form):
    """What may change at any time: name, places, ceiling, order and times."""

    name = forms.CharField(max_length=200, required=False)
    concurrency = forms.IntegerField(
        label="At once", min_value=1, max_value=MOST_AT_ONCE, initial=1, help_text="Trainings side by side."
    )
    ceiling = forms.DecimalField(
        label="Ceiling in US dollars",
        min_value=0.01,
        max_value=10_000_000,
        decimal_places=2,
        required=False,
        help_text="Never crossed. Empty: none.",
    )
    order = forms.ChoiceField(choices=Order.choices, initial=Order.CHOSEN)
    starts_at = forms.DateTimeField(
        label="Not before",
        required=False,
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
    )
    stops_at = forms.DateTimeField(
        label="Not after",
        required=False,
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
        help_text="Trainings that run then go on.",
    )
    daily_from = forms.TimeField(label="Each day from", required=False, widget=_TIME)
    daily_until = forms.TimeField(
        label="Each day until",
        required=False,
        widget=_TIME,
        help_text="May be the next morning: 22:00 to 06:00.",
    )

    good_threshold = forms.FloatField(
        label="Mark good from a score of",
        min_value=0,
        max_value=100,
        required=False,
        help_text="Percent of likeness. Empty: people decide. An actor's good version stays.",
    )

    def __init__(self, *arguments: Any, may_judge: bool = True, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not may_judge:
            del self.fields["good_threshold"]

    def clean(self) -> dict[str, Any]:
        """The visitor's zone is that of the daily times."""
        found = super().clean() or {}
        if found.get("ceiling") is not None and costs.price() is None:
            self.add_error("ceiling", "Trainings are free here: leave it empty, or set GPU_PRICE_PER_SECOND.")
        start, stop = found.get("starts_at"), found.get("stops_at")
        if start and stop and start >= stop:
            self.add_error("stops_at", "It would stop before it starts.")
        if (found.get("daily_from") is None) != (found.get("daily_until") is None):
            self.add_error("daily_until", "Daily times need both ends.")
        zone = timezone.get_current_timezone_name()
        found["time_zone"] = zone if zone in available_timezones() else "UTC"
        return found

    def settings(self) -> dict[str, Any]:
        """For ``batches.change`` and ``batch_plan.make``. An empty name stays what it was."""
        found = dict(self.cleaned_data)
        return found if found["name"] else {name: value for name, value in found.items() if name != "name"}


class PlanForm(LimitsForm):
    """All of it, before the batch has begun."""

    preset = forms.ChoiceField(choices=preset_choices, initial="balanced")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fields.update(value_fields())

    def clean(self) -> dict[str, Any]:
        """Values that no training takes are told at their fields."""
        found = super().clean()
        found["parameters"] = {name: text for name in OVERRIDES if (text := found.pop(name, "").strip())}
        if not self.errors:
            try:
                Recipe(found["preset"], found["parameters"])
            except ParameterErrors as errors:
                add_parameter_errors(self, errors)
        return found

    @property
    def values(self) -> list[forms.BoundField]:
        """The fields that go over the preset's values."""
        return [self[name] for name in OVERRIDES]

    @property
    def values_open(self) -> bool:
        """Whether any is set or wrong."""
        return any(field.value() or field.errors for field in self.values)


def form_of(batch: Batch, data: Any = None, *, may_judge: bool = False) -> LimitsForm:
    """The form that fits the batch's state, with what it has now. The rule is for curators."""
    names = [*LimitsForm.base_fields, "preset"]
    initial = {name: getattr(batch, name) for name in names} | batch.parameters
    return (PlanForm if batch.is_planned else LimitsForm)(data, initial=initial, may_judge=may_judge)


class ItemForm(forms.Form):
    """One actor's own values; what it gets without them stands in the empty fields."""

    def __init__(self, item: BatchItem, data: Any = None) -> None:
        super().__init__(data, initial=item.own_values)
        recipe = Recipe(item.batch.preset, item.batch.parameters)
        self.fields.update(value_fields(recipe.parameters(item.image_count or 20).to_dict()))
