"""What the pages of the presets show: rules in words, before → after, and what their trainings came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.analytics import Group
from training.base_models import BaseModel, PresetRules, auto_adjust
from training.forms import written
from training.parameters import SPECS
from training.preset_models import PresetRevision

#: Datasets of these sizes show what a preset would recommend.
EXAMPLES = (12, 24, 48, 96)


@dataclass(frozen=True)
class Line:
    """One line of an edit: before → after."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Told:
    """A revision with what changed, and what it came to."""

    revision: PresetRevision
    changes: list[Line]
    results: list[Group]

    @property
    def words(self) -> list[tuple[str, str]]:
        """Its rules in words."""
        return list(in_words(self.revision.rules()).items())


def in_words(rules: PresetRules) -> dict[str, str]:
    """Every rule by its label, as people read it."""
    words = {
        "Label": rules.label,
        "Description": rules.description or "none",
        "Steps": f"× {rules.steps:g}",
        "Learning rate": f"× {rules.learning_rate:g}",
        "Warm-up": f"{100 * rules.warmup:g} % of the steps",
    }
    return words | {SPECS[name].label: str(value) for name, value in rules.fixed.items()}


def changes(before: PresetRules | None, after: PresetRules) -> list[Line]:
    """What differs, line by line; everything for a first revision."""
    old, new = in_words(before) if before else {}, in_words(after)
    return [
        Line(label, old.get(label, "as recommended"), new.get(label, "as recommended"))
        for label in dict.fromkeys((*old, *new))
        if before and old.get(label) != new.get(label)
    ]


def history(revisions: Sequence[PresetRevision], results: Sequence[Group]) -> list[Told]:
    """The revisions, the newest first, each with its edit and its results."""
    told = []
    for revision, former in zip(revisions, (*revisions[1:], None), strict=True):
        key = f"{revision.preset.name}.{revision.number}"
        own = [group for group in results if group.key in (key, f"{key}+")]
        told.append(Told(revision, changes(former.rules() if former else None, revision.rules()), own))
    return told


def examples(rules: PresetRules, base: BaseModel) -> list[tuple[int, list[str]]]:
    """Steps, learning rate, rank and batch size that the rules give for datasets of a few sizes."""
    names = ("max_train_steps", "learning_rate", "network_dim", "batch_size", "lr_warmup_steps")
    shown = []
    for images in EXAMPLES:
        values = auto_adjust(images, base, rules)[0].to_dict()
        shown.append((images, [written(SPECS[name], values[name]) for name in names]))
    return shown
