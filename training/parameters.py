"""The eleven parameters of a training: what they are and what is allowed.

The form, the API, the command and the page all read one table, ``base.specs()``: ranges belong to a
base model (``training/base_models.py``), so everything that judges takes one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from training.base_models import BaseModel

Value: TypeAlias = float | int | str


class ParameterErrors(ValueError):  # it carries several
    """What is wrong, by field: ``errors["learning_rate"]`` says what is allowed."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__(" ".join(self.errors.values()))


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter on one base model: its words, and what it may be."""

    name: str
    label: str
    kind: Literal["float", "int", "choice", "text"]
    why: str
    core: bool = False
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    default: Value = ""

    @property
    def allowed(self) -> str:
        """The range in words: ``from 100 to 5000``, ``one of bf16, fp16``."""
        match self.kind:
            case "choice":
                return f"one of {', '.join(self.choices)}"
            case "text":
                return f"1 to {_TOKEN_LENGTH} characters on one line, without “|” and “--”"
            case _:
                number = "a number" if self.kind == "float" else "a whole number"
                return f"{number} from {self.minimum:g} to {self.maximum:g}"

    def read(self, raw: object) -> Value:
        """``raw`` as this parameter's type, or ``ValueError`` when it is not allowed."""
        if self.kind == "choice":
            if raw not in self.choices:
                raise ValueError(raw)
            return str(raw)
        if self.kind == "text":
            token = raw.strip() if isinstance(raw, str) else ""
            if not 1 <= len(token) <= _TOKEN_LENGTH or not _TOKEN.fullmatch(token):
                raise ValueError(raw)
            return token
        number = _number(raw)
        # The range comes before int(): int(Decimal("1e999999999")) would never end.
        if not Decimal(repr(self.minimum)) <= number <= Decimal(repr(self.maximum)):
            raise ValueError(raw)
        if self.kind == "float":
            return float(number)
        if number != number.to_integral_value():
            raise ValueError(raw)
        return int(number)


_TOKEN_LENGTH = 100
#: Trainers split sample prompts at "|" and read " --x" in them as an option.
_TOKEN = re.compile(r"(?!.*--)[^|\x00-\x1f\x7f\u2028\u2029]+")

#: The words for the eleven, with FLUX's ranges (those of the form this one replaces) and defaults.
SPECS: dict[str, ParameterSpec] = {
    spec.name: spec
    for spec in (
        ParameterSpec(
            "class_tokens",
            "Trigger token",
            "text",
            "The word that calls the actor in a prompt; a rare word meets nothing the base knows.",
            core=True,
        ),
        ParameterSpec(
            "max_train_steps",
            "Steps",
            "int",
            "More steps learn the face better and take longer; too many only memorise the images.",
            core=True,
            unit="steps",
            minimum=100,
            maximum=5000,
            default=2000,
        ),
        ParameterSpec(
            "learning_rate",
            "Learning rate",
            "float",
            "How far each step moves the LoRA: too high breaks pictures, too low learns nothing.",
            core=True,
            minimum=1e-5,
            maximum=1e-3,
            default=2.5e-4,
        ),
        ParameterSpec(
            "network_dim",
            "LoRA rank",
            "int",
            "How much the LoRA can hold; a face needs little, and a larger rank makes a larger file.",
            core=True,
            minimum=8,
            maximum=128,
            default=16,
        ),
        ParameterSpec(
            "network_alpha",
            "LoRA alpha",
            "int",
            "Scales the LoRA by alpha ÷ rank; half the rank is a calm start.",
            minimum=8,
            maximum=128,
            default=8,
        ),
        ParameterSpec(
            "batch_size",
            "Batch size",
            "int",
            "Images per step: more make steadier steps, and cost memory and time.",
            unit="images",
            minimum=1,
            maximum=8,
            default=1,
        ),
        ParameterSpec(
            "num_repeats",
            "Repeats",
            "int",
            "How often each image counts in one pass; small datasets repeat more.",
            unit="×",
            minimum=1,
            maximum=50,
            default=2,
        ),
        ParameterSpec(
            "lr_scheduler",
            "Schedule",
            "choice",
            "How the learning rate falls; cosine ends gently, so the last steps settle details.",
            choices=("cosine", "cosine_with_restarts", "constant", "linear"),
            default="cosine",
        ),
        ParameterSpec(
            "lr_warmup_steps",
            "Warm-up",
            "int",
            "Steps over which the learning rate rises from zero, so that the first images do no harm.",
            unit="steps",
            minimum=0,
            maximum=5000,
            default=400,
        ),
        ParameterSpec(
            "optimizer_type",
            "Optimizer",
            "choice",
            "adamw8bit needs a quarter of AdamW's memory for its state; adafactor needs the least.",
            choices=("adamw8bit", "adafactor"),
            default="adamw8bit",
        ),
        ParameterSpec(
            "gradient_dtype",
            "Precision",
            "choice",
            "bf16 keeps float32's range; fp16 is for GPUs that lack bf16.",
            choices=("bf16", "fp16"),
            default="bf16",
        ),
    )
}


@dataclass(frozen=True)
class Parameters:
    """The eleven, by the names they have in the database, the API, the form and the payload."""

    learning_rate: float
    max_train_steps: int
    network_dim: int
    network_alpha: int
    class_tokens: str
    batch_size: int
    num_repeats: int
    lr_scheduler: str
    lr_warmup_steps: int
    optimizer_type: str
    gradient_dtype: str

    def to_dict(self) -> dict[str, Value]:
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Parameters:
        """From a record of any age; never fails and never judges.

        Old records hold values that can no longer be launched (``AdamW8bit``, ``fp32``): those are
        kept. What is missing or of a wrong type becomes the default, so keep the record beside it.
        """
        values: dict[str, Any] = {
            field.name: _as_recorded(SPECS[field.name], record) for field in fields(cls)
        }
        return cls(**values)


def labelled(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Values by the names that people read: ``[("Steps", "60")]``. Unknown names stay as they are."""
    return [(SPECS[name].label if name in SPECS else name, str(value)) for name, value in values.items()]


def validate(values: Mapping[str, object], base: BaseModel) -> Parameters:
    """What a person or program asks for, or :class:`ParameterErrors`. Numbers may come as text."""
    read: dict[str, Any] = {}
    table = base.specs()
    errors = {name: f"{name}: there is no such parameter." for name in values if name not in table}
    for name, spec in table.items():
        try:
            read[name] = spec.read(values.get(name))
        except ValueError:
            errors[name] = f"{spec.label} must be {spec.allowed}."
    steps, warmup = read.get("max_train_steps"), read.get("lr_warmup_steps")
    if steps is not None and warmup is not None and warmup > steps:
        errors["lr_warmup_steps"] = f"Warm-up must be a whole number from 0 to {steps}, the number of steps."
    if errors:
        raise ParameterErrors(errors)
    return Parameters(**read)


def _number(raw: object) -> Decimal:
    """A finite number, or ``ValueError``. Through text, so that 0.0001 is itself, not its nearest float."""
    text = str(raw).strip() if isinstance(raw, int | float | str) and not isinstance(raw, bool) else ""
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(raw) from error
    if not number.is_finite():
        raise ValueError(raw)
    return number


def _as_recorded(spec: ParameterSpec, record: Mapping[str, Any]) -> Value:
    value = record.get(spec.name)
    if spec.kind in ("choice", "text"):
        return value if isinstance(value, str) else spec.default
    try:
        number = float(_number(value))
    except (ValueError, OverflowError):
        return spec.default
    if math.isinf(number):
        return spec.default
    return int(number) if spec.kind == "int" and number.is_integer() else number
