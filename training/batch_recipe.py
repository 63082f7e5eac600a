"""What a training of a batch's actor would be: its parameters, its time and its cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from training import costs, launch
from training.base_models import auto_adjust
from training.batch_models import NOTHING
from training.estimates import estimate_seconds
from training.parameters import Parameters, validate
from training.presets import preset_named


@dataclass(frozen=True)
class Prospect:
    """A training on this site's base and endpoint, before it is launched."""

    parameters: dict[str, Any]
    seconds: float
    cost: Decimal | None


class Recipe:
    """A preset and the values on top of it, worked out once for each number of images.

    Raises ``ParameterErrors`` for a preset that is not offered, and for values that no training takes.
    """

    def __init__(self, preset: str, changes: Mapping[str, object]) -> None:
        self.base = launch.studio_base()
        self.rules = preset_named(preset).rules()
        self.changes = given(changes)
        self.runs = launch.finished_runs(self.base)
        self.bill = costs.bill_for(0)
        self._known: dict[int, Prospect] = {}
        self._token = self.base.specs()["class_tokens"]
        self.parameters(20)  # wrong values are told before anything is planned

    def parameters(self, image_count: int, own: Mapping[str, object] | None = None) -> Parameters:
        """For a dataset of this size; ``own`` are one actor's values, which go over the batch's.

        The warm-up follows chosen steps; the token is the actor's own.
        """
        values: dict[str, Any] = auto_adjust(image_count, self.base, self.rules, "token")[0].to_dict()
        changes = self.changes | dict(own or {})
        steps = str(changes.get("max_train_steps", ""))
        if steps.isdecimal() and len(steps) < 10:  # longer ones are refused below
            values["lr_warmup_steps"] = int(int(steps) * self.rules.warmup)
        return validate(values | changes, self.base)

    def prospect(self, image_count: int, own: Mapping[str, object] | None = None) -> Prospect:
        """For a dataset of this size. Raises ``ParameterErrors`` only for an actor's own values."""
        if own:
            return self._look_ahead(image_count, own)
        if image_count not in self._known:
            self._known[image_count] = self._look_ahead(image_count, None)
        return self._known[image_count]

    def _look_ahead(self, image_count: int, own: Mapping[str, object] | None) -> Prospect:
        parameters = self.parameters(image_count, own)
        seconds = estimate_seconds(parameters, image_count, self.base, self.runs).seconds
        bill = replace(self.bill, execution_seconds=seconds) if self.bill else None
        return Prospect(parameters.to_dict(), seconds, bill.total.quantize(NOTHING) if bill else None)

    def token_error(self, token: str) -> str:
        """Why a name can't be a trigger token, if so."""
        try:
            self._token.read(token)
        except ValueError:
            return f"{self._token.label} must be {self._token.allowed}."
        return ""


def given(values: Mapping[str, object]) -> dict[str, object]:
    """Without those that were left empty."""
    return {name: value for name, value in values.items() if value not in (None, "")}
