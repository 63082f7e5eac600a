"""The parameters as the train page shows them: values, sliders, advice, and what auto-adjust would change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from training.base_models import DEFAULT_PRESET, BaseModel, auto_adjust
from training.estimates import Estimate
from training.launch import estimate
from training.parameters import ParameterErrors, Parameters, ParameterSpec, Value, validate
from training.preset_models import PresetRevision


def written(spec: ParameterSpec, value: Value) -> str:
    """A value as people type it: ``2.5e-4``, ``2000``, ``cosine``."""
    if spec.kind != "float" or not isinstance(value, float | int):
        return str(value)
    if 0.01 <= abs(value) < 1000 or value == 0:
        return f"{value:g}"
    mantissa, exponent = f"{value:.6e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


@dataclass(frozen=True)
class Row:
    """One parameter with its value as text, the recommended one, and what is wrong with it."""

    spec: ParameterSpec
    text: str
    recommended: str
    error: str = ""

    @property
    def changed(self) -> bool:
        """Whether it differs from the recommendation."""
        if self.spec.kind in ("int", "float"):
            return self.number(self.text) != self.number(self.recommended)
        return self.text.strip() != self.recommended

    @property
    def scale(self) -> str:
        """Ranges over two orders of magnitude are shown as logarithms."""
        low, high = self.spec.minimum or 0, self.spec.maximum or 0
        return "log" if low > 0 and high / low >= 50 else "linear"

    @property
    def low(self) -> str:
        """Left end of the range."""
        return written(self.spec, self.spec.minimum or 0)

    @property
    def high(self) -> str:
        """Right end of the range."""
        return written(self.spec, self.spec.maximum or 0)

    @property
    def place(self) -> float:
        """Where the value lies on the slider, 0 to 100."""
        return self._place(self.text)

    @property
    def recommended_place(self) -> float:
        """Where the recommended value lies on the slider."""
        return self._place(self.recommended)

    @property
    def slider(self) -> int:
        """The slider's own position, 0 to 1000."""
        return round(self.place * 10)

    @property
    def slider_step(self) -> str:
        """How far an arrow key moves it: by one where numbers are whole and few, else by a hundredth."""
        span = (self.spec.maximum or 0) - (self.spec.minimum or 0)
        whole = self.spec.kind == "int" and self.scale == "linear" and span > 0
        return f"{max(10.0, 1000 / span) if whole else 10:g}"

    def _place(self, text: str) -> float:
        number = self.number(text)
        low, high = float(self.spec.minimum or 0), float(self.spec.maximum or 0)
        if number is None or high <= low:
            return 0.0
        number = min(max(number, low), high)
        part = (
            math.log(number / low) / math.log(high / low)
            if self.scale == "log"
            else (number - low) / (high - low)
        )
        return round(100 * part, 2)

    @staticmethod
    def number(text: str) -> float | None:
        """The text as a finite number, if it is one."""
        try:
            number = float(text)
        except ValueError:
            return None
        return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Change:
    """One line of auto-adjust: before → after."""

    label: str
    before: str
    after: str
    because: str = ""


@dataclass
class ParameterForm:
    """The eleven for one actor, as the page shows and sends them."""

    base: BaseModel
    image_count: int
    trigger: str
    preset: str = DEFAULT_PRESET
    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.offered = {each.preset.name: each.rules() for each in PresetRevision.objects.offered()}
        if self.preset not in self.offered:
            self.preset = DEFAULT_PRESET
        for name, text in self.recommended().items():
            self.values.setdefault(name, text)
        if not self.errors:
            self.errors = self.find_errors()

    @classmethod
    def read(
        cls,
        base: BaseModel,
        image_count: int,
        trigger: str,
        data: Mapping[str, str],
        start: Mapping[str, Any],
    ) -> ParameterForm:
        """From a query string or a posted form, on top of ``start`` (parameters of a version)."""
        specs = base.specs()
        values = {name: written(specs[name], value) for name, value in start.items() if name in specs}
        values |= {name: str(data[name])[:300] for name in specs if name in data}
        return cls(base, image_count, trigger, data.get("preset", DEFAULT_PRESET), values)

    def find_errors(self) -> dict[str, str]:
        """What a start would refuse, by parameter."""
        try:
            validate(self.values, self.base)
        except ParameterErrors as errors:
            return errors.errors
        return {}

    def recommended(self, preset: str = DEFAULT_PRESET) -> dict[str, str]:
        """The preset's values as text; without images those for a dataset of the best size."""
        rules = self.offered[preset]
        advice = auto_adjust(self.image_count or 20, self.base, rules, self.trigger)[0].to_dict()
        return {name: written(spec, advice[name]) for name, spec in self.base.specs().items()}

    @property
    def advice(self) -> list[str]:
        """What to mind about a dataset of this size."""
        return auto_adjust(self.image_count, self.base)[1] if self.image_count else []

    def rows(self) -> list[Row]:
        """In the order of the form."""
        recommended = self.recommended()
        return [
            Row(spec, self.values[name], recommended[name], self.errors.get(name, ""))
            for name, spec in self.base.specs().items()
        ]

    @property
    def core(self) -> list[Row]:
        """What most trainings are tuned by."""
        return [row for row in self.rows() if row.spec.core]

    @property
    def advanced(self) -> list[Row]:
        """The rest."""
        return [row for row in self.rows() if not row.spec.core]

    @property
    def wrong(self) -> list[Row]:
        """Those that a start would refuse."""
        return [row for row in self.rows() if row.error]

    @property
    def changed_count(self) -> int:
        """How many differ from the recommendation."""
        return sum(row.changed for row in self.rows())

    @property
    def advanced_changed(self) -> int:
        """How many of the advanced ones differ."""
        return sum(row.changed for row in self.advanced)

    @property
    def advanced_open(self) -> bool:
        """Advanced ones show when there is something to see."""
        return bool(self.advanced_changed or any(row.error for row in self.advanced))

    def changes(self) -> list[Change]:
        """What auto-adjust with the chosen preset would change. The trigger token stays."""
        specs, after = self.base.specs(), self.recommended(self.preset)
        return [
            Change(spec.label, self.values[name], after[name], self.because(name, after))
            for name, spec in specs.items()
            if name != "class_tokens" and Row(spec, self.values[name], after[name]).changed
        ]

    def because(self, name: str, after: Mapping[str, str]) -> str:
        """Why the preset wants this value of this dataset, in a few words."""
        rules, images = self.offered[self.preset], self.image_count or 20
        if name in rules.fixed:
            return "fixed by the preset"
        if name == "max_train_steps":
            seen = int(after[name]) * int(after["batch_size"]) / images
            return f"each image is seen about {seen:.0f} times"
        if name == "lr_warmup_steps":
            return f"{rules.warmup:.0%} of the steps".replace("%", " %")
        if name == "learning_rate" and rules.learning_rate != 1:
            return f"{rules.learning_rate:g} times what is recommended for {images} images"
        return f"recommended for {images} images"

    def adjusted(self) -> ParameterForm:
        """With the chosen preset's values."""
        values = self.recommended(self.preset) | {"class_tokens": self.values["class_tokens"]}
        return ParameterForm(self.base, self.image_count, self.trigger, self.preset, values)

    def using(self, name: str) -> ParameterForm:
        """With one value as recommended."""
        values = self.values | {name: self.recommended()[name]} if name in self.values else self.values
        return ParameterForm(self.base, self.image_count, self.trigger, self.preset, values)

    def presets(self) -> list[tuple[str, str]]:
        """Key and words of each preset."""
        return [(key, rules.label) for key, rules in self.offered.items()]

    def parameters(self) -> Parameters | None:
        """Read and checked; ``None`` while something is wrong."""
        return None if self.errors else validate(self.values, self.base)

    def estimate(self) -> Estimate | None:
        """How long it would take."""
        parameters = self.parameters()
        return estimate(parameters, self.image_count) if parameters and self.image_count else None

    def query(self) -> str:
        """The values as a query string: every state of the form has an address."""
        return "?" + urlencode(self.values | {"preset": self.preset})
