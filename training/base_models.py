"""Base models: what each is for, which values it allows, and which it recommends for how many images.

The tables stand here and nowhere else. FLUX's is the old system's; the embedded base's was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from training.parameters import SPECS, ParameterErrors, Parameters, ParameterSpec, Value


@dataclass(frozen=True)
class Recommendation:
    """What suits datasets of up to ``up_to`` images (None: of any size above)."""

    up_to: int | None
    max_train_steps: int
    learning_rate: float
    num_repeats: int


@dataclass(frozen=True)
class BaseModel:
    """A base model and what it wants. ``key`` is the payload's ``base_model``."""

    key: str
    name: str
    subject: str
    table: tuple[Recommendation, ...]
    batch_size: int
    #: Ranges and defaults that differ from ``SPECS``, by parameter name.
    changes: Mapping[str, Mapping[str, Any]]
    #: The rule for durations until finished runs teach a better one.
    seconds_per_step: float
    overhead_seconds: float
    curate_above: int | None = None

    def specs(self) -> dict[str, ParameterSpec]:
        """The eleven in the order of the form, with the ranges and defaults of this base."""
        return {name: replace(spec, **self.changes.get(name, {})) for name, spec in SPECS.items()}


FLUX = BaseModel(
    key="black-forest-labs/FLUX.1-dev",
    name="FLUX.1-dev",
    subject="photographs",
    table=(
        Recommendation(15, 1500, 2e-4, 2),
        Recommendation(30, 2000, 2.5e-4, 2),
        Recommendation(60, 2500, 1.5e-4, 1),
        Recommendation(None, 3000, 1e-4, 1),
    ),
    batch_size=1,
    changes={},
    seconds_per_step=1.5,
    overhead_seconds=120,
    curate_above=60,
)

#: Tiny models want a higher learning rate and several images a step. Measured on a drawn actor of 15 images
#: (docs/trainer.md): every mark is there by step 240, and a batch of 15 learns no more than one of 8.
EMBEDDED = BaseModel(
    key="embedded",
    name="Embedded base",
    subject="drawn portraits of 64 × 64 pixels",
    table=(Recommendation(None, 300, 2e-3, 1),),
    batch_size=8,
    changes={
        "learning_rate": {"minimum": 1e-4, "maximum": 1e-2, "default": 2e-3},
        "max_train_steps": {"minimum": 20, "maximum": 2000, "default": 300},
        "batch_size": {"maximum": 16, "default": 8},
        "num_repeats": {"default": 1},
        "network_dim": {"minimum": 4},
        "network_alpha": {"minimum": 1},
        "lr_warmup_steps": {"maximum": 2000, "default": 60},
    },
    seconds_per_step=0.25,
    overhead_seconds=40,
)


#: What a preset may fix for every dataset; the rest follows the number of images.
FIXABLE = (
    "network_dim",
    "network_alpha",
    "batch_size",
    "num_repeats",
    "lr_scheduler",
    "optimizer_type",
    "gradient_dtype",
)


@dataclass(frozen=True)
class PresetRules:
    """A choice between time and likeness: factors on the recommended values, and values it fixes.

    Studios edit these (``training/preset_models.py``); here they are data, so recommending stays pure.
    """

    label: str
    steps: float = 1.0
    learning_rate: float = 1.0
    description: str = ""
    #: Share of the steps over which the learning rate rises.
    warmup: float = 0.2
    #: By the names in ``FIXABLE``.
    fixed: Mapping[str, Value] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As the columns of a revision."""
        return asdict(self) | {"fixed": dict(self.fixed)}


#: The presets that every site begins with, by name.
BUILT_IN: dict[str, PresetRules] = {
    "quick": PresetRules(
        "Quick: a first look", 0.5, 1.25, "Half the steps at a higher rate: shows whether a dataset works."
    ),
    "balanced": PresetRules(
        "Balanced: recommended", 1, 1, "The values measured to be best for most datasets."
    ),
    "thorough": PresetRules(
        "Thorough: the best likeness", 1.5, 0.75, "More and smaller steps, for the version that is to stay."
    ),
}
#: "Recommended" means this one everywhere.
DEFAULT_PRESET = "balanced"


def base_model(key: str) -> BaseModel:
    """The base of this name; any other hub id or directory is taken for a FLUX model."""
    if key == EMBEDDED.key:
        return EMBEDDED
    if key in ("", "flux", FLUX.key):
        return FLUX
    return replace(FLUX, key=key, name=key)


def auto_adjust(
    image_count: int,
    base: BaseModel,
    preset: PresetRules = BUILT_IN[DEFAULT_PRESET],
    class_tokens: str = "",
) -> tuple[Parameters, list[str]]:
    """Recommended parameters for a dataset of this size, and what to mind about it. Reads no database."""
    if image_count < 1:
        raise ParameterErrors({"image_count": "There are no images to train on: add some and include them."})
    table = base.specs()
    row = next(row for row in base.table if row.up_to is None or image_count <= row.up_to)
    steps = int(_clamp(table["max_train_steps"], round(row.max_train_steps * preset.steps)))
    rate = float(f"{row.learning_rate * preset.learning_rate:.2g}")
    values: dict[str, Any] = {
        "network_dim": 16,
        "network_alpha": 8,
        "batch_size": base.batch_size,
        "num_repeats": row.num_repeats,
        "lr_scheduler": "cosine",
        "optimizer_type": "adamw8bit",
        "gradient_dtype": "bf16",
    }
    values |= {name: _within(table[name], value) for name, value in preset.fixed.items() if name in FIXABLE}
    values["batch_size"] = min(values["batch_size"], image_count)
    parameters = Parameters(
        learning_rate=_clamp(table["learning_rate"], rate),
        max_train_steps=steps,
        class_tokens=class_tokens,
        lr_warmup_steps=int(steps * preset.warmup),
        **values,
    )
    warnings = []
    if base.curate_above is not None and image_count > base.curate_above:
        warnings.append(f"{image_count} images are many: a choice of the best 30 to 60 trains better.")
    if image_count < 10:
        count = f"{image_count} image{'s' if image_count > 1 else ''}"
        warnings.append(f"Only {count}: 20 to 30 in varied light and pose train better.")
    return parameters, warnings


def _within(spec: ParameterSpec, value: Value) -> Value:
    """A preset's value on a base that allows less: the nearest one, or the base's own choice."""
    if spec.kind == "choice":
        return value if value in spec.choices else spec.default
    return int(_clamp(spec, float(value)))


def _clamp(spec: ParameterSpec, value: float) -> float:
    low, high = spec.minimum, spec.maximum
    return value if low is None or high is None else min(max(value, low), high)
