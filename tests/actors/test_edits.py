"""Edits of a dataset: several people at once, and undo."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client

from actors import edits
from actors.models import TrainingImage
from tests.factories import make_actor

pytestmark = pytest.mark.usefixtures("tasks_at_once")


def test_an_edit_can_be_undone_one_after_the_other(db: None) -> None:
    dataset = make_actor(images=2).dataset
    first = dataset.images.all()[0]
    old = first.caption
    edits.change(dataset, {first.pk: {"caption": "one"}}, "caption")
    edits.change(dataset, {first.pk: {"included": False}}, "left out")
    edits.undo(dataset)
    first.refresh_from_db()
    assert (first.caption, first.included) == ("one", True)
    edits.undo(dataset)
    first.refresh_from_db()
    assert first.caption == old
    assert edits.undo(dataset) == (None, 0)


def test_an_undo_leaves_what_somebody_changed_since(db: None) -> None:
    dataset = make_actor(images=2).dataset
    first, second = dataset.images.all()
    edits.change(dataset, {first.pk: {"notes": "a"}, second.pk: {"notes": "a"}}, "notes")
    TrainingImage.objects.filter(pk=second.pk).update(notes="newer")
    assert edits.undo(dataset)[1] == 1
    assert [image.notes for image in dataset.images.all()] == ["", "newer"]


def test_a_save_that_read_an_older_edit_is_refused(db: None) -> None:
    dataset = make_actor(images=1).dataset
    image = dataset.images.get()
    edits.change(dataset, {image.pk: {"caption": "theirs"}}, "caption", expected={image.pk: 0})
    with pytest.raises(edits.Overtaken):
        edits.change(dataset, {image.pk: {"caption": "mine"}}, "caption", expected={image.pk: 0})
    assert dataset.images.get().caption == "theirs"


@pytest.mark.django_db(transaction=True)
def test_of_ten_people_saving_one_caption_at_once_exactly_one_succeeds() -> None:
    dataset = make_actor(images=1).dataset
    pk = dataset.images.get().pk
    outcomes: list[str] = []

    def save(number: int) -> None:
        try:
            edits.change(dataset, {pk: {"caption": f"by {number}"}}, "caption", expected={pk: 0})
            outcomes.append(f"by {number}")
        except edits.Overtaken:
            outcomes.append("overtaken")
        finally:
            connection.close()

    threads = [threading.Thread(target=save, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("overtaken") == 9
    assert dataset.images.get().caption in outcomes


def test_captions_in_bulk_by_replace_prefix_and_template(db: None) -> None:
    actor = make_actor(images=2, name="0700_nordic_41_female")
    dataset = actor.dataset
    edits.replace_in_captions(dataset, "smiling", "laughing", by=None)
    edits.prefix_captions(dataset, "photo, ", by=None)
    edits.prefix_captions(dataset, "photo, ", by=None)
    assert {image.caption for image in dataset.images.all()} == {f"photo, portrait of {actor.name}, laughing"}
    edits.template_captions(dataset, "{trigger}, {age} year old {sex}, {caption}", empty_only=False, by=None)
    expected = f"{actor.name}, 41 year old female, photo, portrait of {actor.name}, laughing"
    assert {image.caption for image in dataset.images.all()} == {expected}


def test_the_order_can_be_changed_and_undone(db: None) -> None:
    dataset = make_actor(images=4).dataset
    one, two, three, four = dataset.images.all()
    edits.move(dataset, three, before=one.pk, by=None)
    assert list(dataset.images.all()) == [three, one, two, four]
    edits.move(dataset, one, after=four.pk, by=None)
    assert list(dataset.images.all()) == [three, two, four, one]
    edits.undo(dataset)
    edits.undo(dataset)
    assert list(dataset.images.all()) == [one, two, three, four]
    with pytest.raises(edits.CannotEdit, match="which other image"):
        edits.move(dataset, one, before=one.pk, by=None)


def test_two_people_ordering_at_once_both_get_what_they_asked_for(db: None) -> None:
    dataset = make_actor(images=4).dataset
    one, two, three, four = dataset.images.all()
    edits.move(dataset, four, before=one.pk, by=None)
    edits.move(dataset, two, after=three.pk, by=None)  # from a page that still shows the old order
    assert list(dataset.images.all()) == [four, one, three, two]


def test_a_new_order_does_not_refuse_the_caption_that_somebody_is_writing(db: None) -> None:
    dataset = make_actor(images=3).dataset
    one, two, _three = dataset.images.all()
    edits.move(dataset, two, before=one.pk, by=None)
    edits.change(dataset, {one.pk: {"caption": "written meanwhile"}}, "caption", expected={one.pk: one.edit})
    one.refresh_from_db()
    assert one.caption == "written meanwhile"


def test_of_a_pair_the_kept_one_is_kept_even_when_somebody_has_just_left_it_out(db: None) -> None:
    dataset = make_actor(images=2).dataset
    one, two = dataset.images.all()
    edits.keep_one(dataset, two, one, by=None)
    edits.keep_one(dataset, one, two, by=None)
    assert [image.included for image in dataset.images.all()] == [True, False]


def test_two_people_accepting_findings_of_one_image_keep_both_reasons(db: None) -> None:
    dataset = make_actor(images=1).dataset
    mine, theirs = dataset.images.get(), dataset.images.get()
    edits.accept(dataset, mine, "soft", "meant so", by=None)
    edits.accept(dataset, theirs, "too_small", "the only one", by=None)
    assert set(dataset.images.get().accepted) == {"soft", "too_small"}


def test_an_undo_takes_back_what_the_person_saw_and_nothing_newer(db: None) -> None:
    dataset = make_actor(images=1).dataset
    image = dataset.images.get()
    mine = edits.change(dataset, {image.pk: {"notes": "mine"}}, "my notes")
    edits.change(dataset, {image.pk: {"caption": "theirs"}}, "their caption")
    assert mine
    with pytest.raises(edits.CannotEdit, match="newer change: their caption"):
        edits.undo(dataset, seen=mine.pk)
    assert dataset.images.get().caption == "theirs"


def test_the_choice_of_a_poster_can_be_undone(db: None) -> None:
    actor = make_actor(images=2)
    one, two = actor.dataset.images.all()
    for image in (one, two):
        edits.choose_poster(actor.dataset, image, by=None)
    edits.undo(actor.dataset)
    actor.refresh_from_db()
    assert actor.poster == one
    edits.undo(actor.dataset)
    actor.refresh_from_db()
    assert actor.poster is None


def test_what_a_dataset_is_can_be_changed_and_undone(db: None) -> None:
    dataset = make_actor(images=1).dataset
    edits.set_kind(dataset, "photographs", by=None)
    edits.undo(dataset)
    dataset.refresh_from_db()
    assert dataset.kind == "drawn"


@pytest.mark.parametrize("crop", ["10 5 80", "0 0 0 10", "50 0 60 10", "a b c d", "-1 0 10 10"])
def test_a_crop_hint_that_makes_no_sense_changes_nothing(
    media: Path, admin_client: Client, crop: str
) -> None:
    actor = make_actor(images=1)
    image = actor.dataset.images.get()
    admin_client.post(f"/actors/{actor.pk}/images/{image.pk}", {"crop": crop})
    image.refresh_from_db()
    assert image.crop is None
