"""The parameters as the train page shows and reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.base_models import BaseModel
from training.parameters import ParameterSpec


@dataclass(frozen=True)
class Row:
    """One parameter with its present and its recommended value."""

    spec: ParameterSpec
    value: str
    recommended: str
    error: str = ""

    @property
    def changed(self) -> bool:
        """Whether a person has chosen something else than recommended."""
        return bool(self.recommended) and self.value != self.recommended

    @property
    def has_range(self) -> bool:
        """Whether it is a number on a scale."""
        return self.spec.minimum is not None

    @property
    def at(self) -> float:
        """Place of the value on the scale, 0 to 100."""
        return self._place(self.value)

    @property
    def recommended_at(self) -> float:
        """Place of the recommended value on the scale, 0 to 100."""
        return self._place(self.recommended)

    def _place(self, text: str) -> float:
        low, high = self.spec.minimum or 0, self.spec.maximum or 1
        try:
            share = (float(text) - low) / (high - low)
        except ValueError:
            return 0.0
        return round(100 * min(1.0, max(0.0, share)), 1)


def show(value: object) -> str:
    """A value as an input field holds it: ``0.00025``, never ``2.5e-04``."""
    if isinstance(value, float):
        return f"{value:.10f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


def rows(
    base: BaseModel,
    values: Mapping[str, Any],
    recommended: Mapping[str, Any],
    errors: Mapping[str, str] | None = None,
) -> list[Row]:
    """A row for each of the eleven, in the order of the form."""
    wrong = errors or {}
    return [
        Row(spec, show(values.get(name, "")), show(recommended.get(name, "")), wrong.get(name, ""))
        for name, spec in base.specs().items()
    ]


def read(post: Mapping[str, Any], base: BaseModel) -> dict[str, str]:
    """What the form sent for the eleven; thousands separators are for people and are taken out."""
    values = {name: str(post[name]).strip() for name in base.specs() if name in post}
    return {
        name: value.replace(",", "").replace("\u202f", "")
        if base.specs()[name].minimum is not None
        else value
        for name, value in values.items()
    }
