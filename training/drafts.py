"""What a person has set but not started, kept per person and actor: leaving the page loses nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
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


def merge(draft: ParameterDraft | None, sent: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What a tab sends, with what another tab has saved since; and the names that come from there.

    ``known`` is what the tab has last seen: only where it still sends that, the saved value is newer. Without
    it (a version has been loaded, say) everything that is sent replaces the draft.
    """
    data, known = dict(sent.items()), _read(sent.get("known", ""))
    if draft is None or not known:
        return data, []
    saved = draft.texts | {"preset": draft.preset}
    newer = [
        name
        for name, text in saved.items()
        if name in data and data[name] == known.get(name) and data[name] != text
    ]
    return data | {name: saved[name] for name in newer}, newer


def known(form: ParameterForm) -> str:
    """What a page shows, for it to send along with what is changed there."""
    return json.dumps(form.values | {"preset": form.preset}, ensure_ascii=False)


def _read(text: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def discard(user: User, actor: Actor) -> bool:
    """Whether there was one."""
    return bool(ParameterDraft.objects.filter(user=user, actor=actor).delete()[0])
