"""No change goes unnoticed: who, when, what, from what to what."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client

from actors import registry
from actors.history import changing
from actors.models import Actor, TrainingImage
from tests.factories import make_actor, make_version
from training.actor_history import Change, actor_history
from training.models import TrainingVersion
from training.rollback import NothingToRollBack, former_good, roll_back

pytestmark = pytest.mark.django_db


@pytest.fixture
def mara() -> User:
    return User.objects.create_user("mara")


def test_a_saved_change_names_person_field_before_and_after(mara: User) -> None:
    actor = make_actor(images=0)
    with changing(mara, "She had a birthday"):
        actor.age = 42
        actor.save()
    entry = actor_history(actor)[0]
    assert (entry.who, entry.what, entry.action) == ("mara", "actor", "changed")
    assert entry.reason == "She had a birthday"
    assert entry.changes == (Change("age", "41", "42"),)


def test_what_is_added_is_told_by_its_values_and_people_by_their_names(
    admin_client: Client, mara: User
) -> None:
    User.objects.filter(pk=mara.pk).update(first_name="Mara", last_name="Lindqvist")
    version = make_version()
    version.mark_good(User.objects.get(pk=mara.pk), "the best of five")
    text = admin_client.get(f"/actors/{version.actor_id}/history").text
    assert "Status: <bdi>completed</bdi>" in text
    assert "nothing</bdi> → <bdi>completed" not in text
    assert 'Good: <bdi class="mute">no</bdi> → <bdi>yes</bdi>' in text
    assert "Good reason" not in text  # it stands in its own column
    # The steps of trainings name people as the changes do.
    assert text.count("Mara Lindqvist</td>") == 2


def test_saving_without_a_change_leaves_no_trace() -> None:
    actor = make_actor(images=0)
    actor.save()
    actor.save()
    assert Actor.history.filter(id=actor.pk).count() == 1


def test_update_of_many_rows_leaves_one_line_each_and_one_entry_together(mara: User) -> None:
    actor = make_actor(images=3)
    with changing(mara):
        TrainingImage.objects.filter(dataset__actor=actor).update(state="missing")
    entry = actor_history(actor)[0]
    assert (entry.who, entry.what) == ("mara", "3 images")
    assert entry.changes == (Change("state", "synced", "missing"),)
    assert TrainingImage.history.filter(history_type="~").count() == 3


def test_update_leaves_no_line_for_rows_that_had_the_value_already() -> None:
    actor = make_actor(images=3)
    images = TrainingImage.objects.filter(dataset__actor=actor)
    images.filter(position=0).update(included=False)
    images.update(included=False)
    assert TrainingImage.history.filter(history_type="~").count() == 3


def test_bulk_update_leaves_one_line_for_each_changed_row() -> None:
    actor = make_actor(images=3)
    images = list(actor.dataset.images.all())
    images[0].caption = "portrait, laughing"
    actor.dataset.images.bulk_update(images, ["caption", "position"])
    assert [row.caption for row in TrainingImage.history.filter(history_type="~")] == ["portrait, laughing"]


def test_deleting_a_set_of_images_is_remembered() -> None:
    actor = make_actor(images=3)
    actor.dataset.images.filter(position__gt=0).delete()
    assert (actor_history(actor)[0].what, actor_history(actor)[0].action) == ("2 images", "removed")


def test_progress_and_polls_write_no_history() -> None:
    version = make_version(status="training")
    before = TrainingVersion.history.count()
    TrainingVersion.objects.filter(pk=version.pk).update(step=12, loss_history=[[1, 0.5]])
    version.refresh_from_db()
    version.save()
    assert TrainingVersion.history.count() == before


def test_a_state_that_is_left_is_history_with_its_reason(mara: User) -> None:
    version = make_version(status="training")
    version.cancel(by=mara)
    entry = actor_history(version.actor)[0]
    assert (entry.who, entry.what, entry.reason) == ("mara", "V1", "Cancelled")
    assert Change("status", "training", "cancelled") in entry.changes


def test_an_import_shows_which_keys_it_changed() -> None:
    registry.import_records([{"id": 3, "name": "0003_test", "mood": "calm"}])
    registry.import_records([{"id": 3, "name": "0003_test", "mood": "lively"}])
    entry = actor_history(Actor.objects.get(pk=3))[0]
    assert entry.changes == (Change("registry key mood", "calm", "lively"),)


def test_the_visitor_of_a_page_is_the_one_who_did_it(admin_client: Client, admin_user: User) -> None:
    actor = make_actor(images=0)
    admin_client.post("/account/tokens", {"name": "nightly", "scopes": ["curate", "read"], "days": "30"})
    page = f"/admin/actors/actor/{actor.pk}/change/"
    form = admin_client.get(page).context["adminform"].form
    values = {key: value for key, value in form.initial.items() if value is not None}
    inlines = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
    answer = admin_client.post(page, values | inlines | {"description": "Tall"})
    assert answer.status_code == 302, answer.context["errors"]
    assert actor_history(actor)[0].who == admin_user.username


def test_a_page_of_history_takes_the_same_few_queries_however_long(
    django_assert_max_num_queries: object,
) -> None:
    actor = make_actor(images=30)
    make_version(actor)
    for number in range(20):
        TrainingImage.objects.filter(dataset__actor=actor).update(notes=str(number))
    with django_assert_max_num_queries(5):  # type: ignore[operator]
        assert len(actor_history(actor)) == 24


def test_marking_good_keeps_who_and_why_and_rolls_back_in_one_step(mara: User) -> None:
    first = make_version()
    second = make_version(first.actor)
    first.mark_good(mara, "Likeness 0.9")
    second.mark_good(mara, "Better hair")
    assert former_good(first.actor) == first
    assert roll_back(first.actor, mara, instead_of=second.pk) == first
    second.refresh_from_db()
    first.refresh_from_db()
    assert (first.is_good, second.is_good) == (True, False)
    assert first.good_by == mara
    reasons = [entry.reason for entry in actor_history(first.actor)]
    assert "Better hair" in reasons
    assert "Rolled back to the former good version" in reasons


def test_the_second_of_two_clicks_does_not_undo_the_roll_back(mara: User) -> None:
    first = make_version()
    second = make_version(first.actor)
    first.mark_good(mara)
    second.mark_good(mara)
    roll_back(first.actor, mara, instead_of=second.pk)
    with pytest.raises(NothingToRollBack, match="Another version is good by now"):
        roll_back(first.actor, mara, instead_of=second.pk)


def test_there_is_nothing_to_roll_back_to_at_first() -> None:
    version = make_version()
    version.mark_good(reason="First")
    with pytest.raises(NothingToRollBack):
        roll_back(version.actor)


def test_history_of_json_fields_reads_as_json() -> None:
    actor = make_actor(images=1)
    crop = {"left": 0.1, "top": 0, "width": 0.8, "height": 1}
    actor.dataset.images.update(crop=crop)
    assert json.loads(actor_history(actor)[0].changes[0].after) == crop
