"""What a person has set but not started, kept per person and actor: leaving the page loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.models import Actor
from training.base_models import DEFAULT_PRESET
from training.models import PARAMETER_NAMES, ParameterDraft

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from training.forms import ParameterForm


def draft_of(user: User, actor: Actor) -> ParameterDraft | None:
    """This person's draft for this actor."""
    return ParameterDraft.objects.filter(user=user, actor=actor).first()


def keep(user: User, actor: Actor, form: ParameterForm) -> None:
    """Saves what stands in the fields, readable or not; what is all as recommended is no draft."""
    if not form.changed_count and form.preset == DEFAULT_PRESET:
        discard(user, actor)
        return
    blank = ParameterDraft()
    values: dict[str, Any] = {name: getattr(blank, name) for name in PARAMETER_NAMES}
    for name, spec in form.base.specs().items():
        try:
            values[name] = spec.read(form.values[name])
        except ValueError:
            continue  # what is being typed is no number yet; its text is kept all the same
    ParameterDraft.objects.update_or_create(
        user=user, actor=actor, defaults=values | {"texts": form.values, "preset": form.preset}
    )


def discard(user: User, actor: Actor) -> bool:
    """Whether there was one."""
    return bool(ParameterDraft.objects.filter(user=user, actor=actor).delete()[0])
