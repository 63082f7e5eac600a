"""The form of a preset: its words, its factors, and what it fixes on this site's base model."""

from __future__ import annotations

from typing import Any

from django import forms

from training.base_models import FIXABLE, PresetRules
from training.launch import studio_base
from training.models import Preset
from training.parameters import ParameterSpec

#: Factors outside of this are slips of the keyboard.
LEAST, MOST = 0.1, 10.0


class PresetForm(forms.Form):
    """The rules of the next revision."""

    label = forms.CharField(max_length=80, help_text="As the train page offers it.")
    description = forms.CharField(
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="When to take it.",
    )
    steps = forms.FloatField(
        min_value=LEAST, max_value=MOST, label="Steps ×", help_text="Times the recommended steps."
    )
    learning_rate = forms.FloatField(
        min_value=LEAST, max_value=MOST, label="Learning rate ×", help_text="Times the recommended rate."
    )
    warmup = forms.FloatField(
        min_value=0,
        max_value=100,
        label="Warm-up, %",
        help_text="Share of the steps over which the rate rises.",
    )
    note = forms.CharField(max_length=300, required=False, help_text="Why; stands in the history.")
    based_on = forms.IntegerField(min_value=0, max_value=2**31 - 1, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        specs = studio_base().specs()
        own = {name: self.fixed_field(specs[name]) for name in FIXABLE}
        # What is fixed stands between the factors and the note.
        order = ["label", "description", "steps", "learning_rate", "warmup", *own, "note", "based_on"]
        self.fields |= own
        self.order_fields(order)

    @staticmethod
    def fixed_field(spec: ParameterSpec) -> forms.Field:
        """Empty: as recommended for the dataset."""
        if spec.kind == "choice":
            choices = [("", "as recommended"), *((choice, choice) for choice in spec.choices)]
            return forms.ChoiceField(choices=choices, required=False, label=spec.label)
        return forms.IntegerField(
            min_value=int(spec.minimum or 0),
            max_value=int(spec.maximum or 0),
            required=False,
            label=spec.label,
            help_text=f"Empty: as recommended. {spec.minimum:g} to {spec.maximum:g}.",
        )

    @classmethod
    def showing(cls, rules: PresetRules, number: int) -> PresetForm:
        """Filled with a revision's rules."""
        values = rules.to_dict() | {"warmup": f"{100 * rules.warmup:g}", "based_on": number}
        return cls(initial=values | dict(rules.fixed))

    @property
    def fixed(self) -> list[forms.BoundField]:
        """The fields of what it may fix."""
        return [self[name] for name in FIXABLE]

    def clean_label(self) -> str:
        """One line of printable text."""
        label: str = self.cleaned_data["label"]
        if any(ord(char) < 32 for char in label):
            raise forms.ValidationError("Must be one line, without control characters.")
        return label

    def rules(self) -> PresetRules:
        """What was typed, once it is valid."""
        typed = self.cleaned_data
        return PresetRules(
            label=typed["label"],
            description=typed["description"],
            steps=typed["steps"],
            learning_rate=typed["learning_rate"],
            warmup=typed["warmup"] / 100,
            fixed={name: typed[name] for name in FIXABLE if typed[name] not in (None, "")},
        )


class NewPresetForm(PresetForm):
    """A preset that is not there yet."""

    name = forms.SlugField(
        max_length=40,
        help_text="Small letters, digits and hyphens; programs call it so, and it never changes.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields(["name"])

    def clean_name(self) -> str:
        """Not one that is there, retired ones included."""
        name: str = self.cleaned_data["name"].lower()
        if name == "new":
            raise forms.ValidationError("This is the address of this very page. Choose another name.")
        if Preset.objects.filter(name=name).exists():
            raise forms.ValidationError("There is a preset of this name already. Choose another.")
        return name
