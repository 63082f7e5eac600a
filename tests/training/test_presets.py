"""Presets as rows: their revisions, and which one a training remembers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from tests.factories import make_actor
from training import launch
from training.base_models import BUILT_IN, EMBEDDED
from training.models import TrainingVersion
from training.parameters import ParameterErrors
from training.preset_models import CannotChange, Preset, PresetRevision
from training.presets import preset_named, recommend

pytestmark = pytest.mark.django_db
QUICK = BUILT_IN["quick"]


def quick() -> Preset:
    return Preset.objects.get(name="quick")


def launched(preset: str = "", **changes: object) -> TrainingVersion:
    """A training of 15 images with the preset's values, some of them changed."""
    actor = make_actor()
    values = recommend(15, EMBEDDED, preset or "balanced", actor.trigger_token)[0].to_dict()
    return launch.launch(actor, {**values, **changes}, preset=preset)


def test_every_site_begins_with_the_built_in_presets_and_making_them_again_changes_nothing() -> None:
    Preset.objects.ensure_built_in()
    found = {each.preset.name: each.rules() for each in PresetRevision.objects.offered()}
    assert found == BUILT_IN
    assert list(found) == ["quick", "balanced", "thorough"]
    assert PresetRevision.objects.count() == 3


def test_an_edit_is_a_revision_and_the_former_one_stays(admin_user: User) -> None:
    second = quick().revise(replace(QUICK, steps=0.4), by=admin_user, note="shorter")
    assert (second.number, second.by, second.note) == (2, admin_user, "shorter")
    assert preset_named("quick") == second
    assert [revision.steps for revision in quick().revisions.all()] == [0.4, 0.5]


def test_a_revision_never_changes() -> None:
    first = quick().current()
    with pytest.raises(CannotChange):
        first.save()
    with pytest.raises(CannotChange):
        PresetRevision.objects.update(steps=3)
    with pytest.raises(CannotChange, match="Nothing differs"):
        quick().revise(QUICK)


def test_an_edit_of_an_outdated_page_is_refused_and_says_who_was_faster(admin_user: User) -> None:
    quick().revise(replace(QUICK, steps=0.4), by=admin_user, based_on=1)
    with pytest.raises(CannotChange, match="Revision 2 was made meanwhile by admin"):
        quick().revise(replace(QUICK, steps=0.3), based_on=1)
    assert quick().current().steps == 0.4


def test_restoring_makes_a_new_revision_with_the_former_rules() -> None:
    quick().revise(replace(QUICK, steps=0.4))
    restored = quick().restore(1)
    assert (restored.number, restored.rules()) == (3, QUICK)
    assert restored.restores == quick().revisions.get(number=1)
    with pytest.raises(CannotChange, match="no revision 9"):
        quick().restore(9)


def test_a_retired_preset_is_not_offered_until_it_is_brought_back(admin_user: User) -> None:
    assert quick().retire(admin_user)
    assert not quick().retire(admin_user)
    with pytest.raises(ParameterErrors, match="one of balanced, thorough"):
        recommend(20, EMBEDDED, "quick")
    assert quick().bring_back()
    assert recommend(20, EMBEDDED, "quick")


def test_the_default_preset_stays() -> None:
    with pytest.raises(CannotChange, match="recommended"):
        Preset.objects.get(name="balanced").retire()


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_training_remembers_the_revision_that_its_parameters_come_from(name: str) -> None:
    version = launched(name)
    assert str(version.preset_revision) == f"{name} r1"
    assert not version.preset_edited


def test_values_that_somebody_changed_are_kept_apart() -> None:
    version = launched("quick", network_dim=32)
    assert (str(version.preset_revision), version.preset_edited) == ("quick r1", True)


def test_a_page_that_is_older_than_the_last_edit_still_names_its_own_revision() -> None:
    actor = make_actor()
    shown = recommend(15, EMBEDDED, "quick", actor.trigger_token)[0].to_dict()
    quick().revise(replace(QUICK, steps=0.4))
    version = launch.launch(actor, shown, preset="quick")
    assert (str(version.preset_revision), version.preset_edited) == ("quick r1", False)


def test_a_preset_that_was_chosen_but_not_applied_is_not_the_origin() -> None:
    actor = make_actor()
    balanced = recommend(15, EMBEDDED, "balanced", actor.trigger_token)[0].to_dict()
    version = launch.launch(actor, balanced, preset="thorough")
    assert (str(version.preset_revision), version.preset_edited) == ("balanced r1", False)


def test_a_program_that_names_no_preset_is_recognised_by_its_values_or_not_at_all() -> None:
    assert str(launched().preset_revision) == "balanced r1"
    assert launched(network_dim=32).preset_revision is None


def test_training_again_keeps_what_the_first_training_knew() -> None:
    first = launched("quick", network_dim=32)
    first.cancel()
    again = launch.retry(first)
    assert (again.preset_revision, again.preset_edited) == (first.preset_revision, True)


def test_a_revision_with_trainings_can_not_be_deleted() -> None:
    revision = launched("quick").preset_revision
    assert revision is not None
    with pytest.raises(Exception, match="protected"), transaction.atomic():
        revision.delete()


def test_training_again_with_other_values_is_looked_at_anew() -> None:
    first = launched("quick")
    first.cancel()
    values = recommend(15, EMBEDDED, "thorough", first.class_tokens)[0].to_dict()
    again = launch.launch(first.actor, values, repeats=first, preset="thorough")
    assert (str(again.preset_revision), again.preset_edited) == ("thorough r1", False)


def test_the_api_says_which_preset_a_version_comes_from(admin_client: Client) -> None:
    version = launched("quick", network_dim=32)
    told = admin_client.get(f"/api/versions/{version.pk}").json()
    assert (told["preset"], told["preset_edited"]) == ({"key": "quick", "revision": 1}, True)
