"""Presets at work: what one recommends for a dataset, and which one a training's parameters come from."""

from __future__ import annotations

from training.base_models import DEFAULT_PRESET, BaseModel, auto_adjust
from training.parameters import ParameterErrors, Parameters
from training.preset_models import PresetRevision


def preset_named(name: str) -> PresetRevision:
    """The newest revision of an offered preset, or ``ParameterErrors`` that names those there are."""
    offered = {revision.preset.name: revision for revision in PresetRevision.objects.offered()}
    if name not in offered:
        raise ParameterErrors({"preset": f"The preset must be one of {', '.join(offered)}."})
    return offered[name]


def recommend(
    image_count: int, base: BaseModel, preset: str = DEFAULT_PRESET, class_tokens: str = ""
) -> tuple[Parameters, list[str]]:
    """``auto_adjust`` by a preset's name. Raises ``ParameterErrors``."""
    return auto_adjust(image_count, base, preset_named(preset).rules(), class_tokens)


def origin(
    parameters: Parameters, image_count: int, base: BaseModel, chosen: str = ""
) -> tuple[PresetRevision | None, bool]:
    """The revision that these parameters come from, and whether somebody changed values after it.

    First the revisions of the chosen preset, the newest first: a page may be older than the last edit.
    Then the others, for programs that name none. What matches nothing belongs to the chosen preset's
    newest revision with changed values, or to no preset where none was chosen.
    """
    newest = list(PresetRevision.objects.newest())
    of_chosen = (
        list(PresetRevision.objects.filter(preset__name=chosen).select_related("preset")) if chosen else []
    )
    others = sorted(newest, key=lambda revision: not revision.preset.is_default)
    for revision in (*of_chosen, *others):
        advice = auto_adjust(image_count, base, revision.rules(), parameters.class_tokens)[0]
        if advice == parameters:
            return revision, False
    return (of_chosen[0], True) if of_chosen else (None, False)
