"""The forms of previews: what to draw, the prompt sets, and how the studio previews."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError

from training import previews
from training.models import PreviewSettings, PromptSet
from training.previews import COUNT_MOST, IMAGES_MOST, STEPS_MOST, STRENGTH_MOST, Wanted
from training.prompt_sets import (
    PROMPT_LONGEST,
    SEED_MOST,
    TRIGGER,
    PromptLine,
    lines_from_text,
    subject_of,
    text_from_lines,
)

if TYPE_CHECKING:
    from training.models import TrainingVersion

STRENGTHS_MOST = 8
FINISHED = "finished"


class StrengthsField(forms.CharField):
    """Numbers separated by commas, each once and rising."""

    def clean(self, value: Any) -> list[float]:
        """Raises ``ValidationError`` with what is expected."""
        words = super().clean(value).replace(";", ",").replace(",", " ").split()
        expected = f"Numbers between 0 and {STRENGTH_MOST:g}, separated by commas: 0, 0.5, 1"
        try:
            strengths = sorted({round(float(word), 3) for word in words})
        except (ValueError, OverflowError):
            raise ValidationError(expected) from None
        if not strengths or not all(0 <= strength <= STRENGTH_MOST for strength in strengths):
            raise ValidationError(expected)
        if len(strengths) > STRENGTHS_MOST:
            raise ValidationError(f"At most {STRENGTHS_MOST} strengths fit into one preview.")
        return strengths


class PreviewForm(forms.Form):
    """What to draw with one version."""

    prompt_set = forms.ModelChoiceField(
        PromptSet.objects.none(), required=False, label="Prompts", empty_label="A prompt of your own"
    )
    prompt = forms.CharField(
        max_length=PROMPT_LONGEST,
        required=False,
        label="Your own prompt",
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": f"portrait of {TRIGGER}, smiling"}),
        help_text=f"Drawn instead of a set. {TRIGGER} becomes the trigger token.",
    )
    seed = forms.IntegerField(
        min_value=0, max_value=SEED_MOST, initial=1, label="Seed", help_text="Of your own prompt."
    )
    strengths = StrengthsField(
        max_length=100, initial="1", label="Strength", help_text="0 is the base alone. Several make a grid."
    )
    checkpoints = forms.MultipleChoiceField(
        required=False, label="LoRA of", widget=forms.CheckboxSelectMultiple, initial=[FINISHED]
    )
    steps = forms.IntegerField(min_value=1, max_value=STEPS_MOST, label="Drawing steps")
    count = forms.IntegerField(
        min_value=1,
        max_value=COUNT_MOST,
        initial=1,
        label="Images of each",
        help_text="By seeds one after the other.",
    )
    #: The same form sent twice draws once.
    key = forms.CharField(max_length=60, widget=forms.HiddenInput)

    def __init__(self, version: TrainingVersion, data: Any = None, **kwargs: Any) -> None:
        initial = {
            "steps": previews.default_steps(version.base_model),
            "prompt_set": PromptSet.standard(version.base_model),
            "key": uuid.uuid4().hex,
            **kwargs.pop("initial", {}),
        }
        super().__init__(data, initial=initial, **kwargs)
        fitting = PromptSet.objects.filter(subject=subject_of(version.base_model))
        self.fields["prompt_set"].queryset = fitting  # type: ignore[attr-defined]
        kept = [(str(each.step), f"step {each.step:,}") for each in version.checkpoints.all()]
        if kept:
            finished = [(FINISHED, f"the end, step {version.max_train_steps or 0:,}")]
            self.fields["checkpoints"].choices = [*kept, *finished]  # type: ignore[attr-defined]
        else:
            del self.fields["checkpoints"]

    def clean(self) -> dict[str, Any]:
        """Either a set or a prompt, and not too many pictures in all."""
        values: dict[str, Any] = super().clean() or {}
        if self.errors:
            return values
        if not values["prompt_set"] and not values["prompt"]:
            self.add_error("prompt", "Choose a prompt set, or write a prompt.")
        elif (count := len(self.wanted())) > IMAGES_MOST:
            self.add_error(
                None, f"{count} pictures in all: at most {IMAGES_MOST} are drawn at once. Ask for fewer."
            )
        return values

    def wanted(self) -> list[Wanted]:
        """The pictures."""
        values = self.cleaned_data
        chosen = self.chosen_set()
        lines = chosen.prompt_lines() if chosen else [PromptLine(values["prompt"], values["seed"])]
        loras = values.get("checkpoints") or [FINISHED]
        return previews.pictures(
            lines,
            strengths=values["strengths"],
            checkpoints=[None if step == FINISHED else int(step) for step in loras],
            count=values["count"],
            steps=values["steps"],
        )

    def title(self) -> str:
        """How the preview is called in lists."""
        chosen = self.chosen_set()
        return chosen.name if chosen else self.cleaned_data["prompt"][:200]

    def chosen_set(self) -> PromptSet | None:
        """The set, unless somebody wrote a prompt of their own."""
        return None if self.cleaned_data["prompt"] else self.cleaned_data["prompt_set"]


class PromptSetForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A set, its lines as text."""

    text = forms.CharField(
        label="Prompts",
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "true"}),
        help_text=(
            f"One a line; {TRIGGER} becomes the trigger token. A number and a colon before a prompt is its "
            "seed: “2000: portrait of {trigger}, smiling”. Lines without a number get one."
        ),
    )

    class Meta:
        model = PromptSet
        fields = ("name", "description", "subject")
        widgets = {"description": forms.Textarea(attrs={"rows": 2})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["text"].initial = text_from_lines(self.instance.prompt_lines())
        if self.instance.is_standard:
            self.fields["subject"].disabled = True  # another set has to become the standard first

    def clean(self) -> dict[str, Any]:
        """Puts the lines on the set, whose ``clean`` checks them."""
        values: dict[str, Any] = super().clean() or {}
        self.instance.lines = lines_from_text(values.get("text", ""))
        return values

    def add_error(self, field: str | None, error: Any) -> None:
        """What the model says about its lines belongs to the text."""
        told = getattr(error, "error_dict", None)
        if told and "lines" in told:
            told["text"] = told.pop("lines")
        super().add_error(field, error)


class PreviewSettingsForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """How the studio previews."""

    class Meta:
        model = PreviewSettings
        fields = ("automatic", "with_base", "keep_checkpoints")
