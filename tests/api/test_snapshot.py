"""The published registry agrees with the database, whatever changed it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from actors import registry, snapshot
from actors.models import Actor, TrainingDataset, TrainingImage
from tests.factories import make_actor, make_version
from training.models import TrainingVersion


def published() -> list[dict[str, Any]]:
    """What a reader gets, checked against its gzip."""
    current = snapshot.current()
    text = b"".join(current.plain())
    assert gzip.decompress(b"".join(current.packed())) == text
    assert (len(text), sum(map(len, current.packed()))) == (current.plain_length, current.packed_length)
    records: list[dict[str, Any]] = json.loads(text)
    return records


def agrees() -> None:
    assert published() == list(registry.export_records())


def rename_in_bulk(actor: Actor) -> None:
    Actor.objects.filter(pk=actor.pk).update(description="another")


def rename_by_sql(actor: Actor) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE actors_actor SET description = 'by hand' WHERE id = %s", [actor.pk])


def leave_an_image_out(actor: Actor) -> None:
    TrainingImage.objects.filter(dataset__actor=actor, position=0).update(included=False)
    actor.dataset.touch()


def add_images_in_bulk(actor: Actor) -> None:
    TrainingImage.objects.bulk_create(
        [TrainingImage(dataset=actor.dataset, url="s3://local/new.png", file_name="new.png")]
    )


def delete_images(actor: Actor) -> None:
    actor.dataset.images.all().delete()


def mark_good(actor: Actor) -> None:
    make_version(actor).mark_good()


def unmark_good(actor: Actor) -> None:
    TrainingVersion.objects.filter(actor=actor).update(is_good=False)


def move_to_the_front(actor: Actor) -> None:
    Actor.objects.filter(pk=actor.pk).update(position=0)


CHANGES: list[Callable[[Actor], object]] = [
    rename_in_bulk,
    rename_by_sql,
    leave_an_image_out,
    add_images_in_bulk,
    delete_images,
    mark_good,
    unmark_good,
    move_to_the_front,
    lambda actor: TrainingDataset.objects.filter(actor=actor).update(local_path="elsewhere"),
    lambda actor: actor.retire(),
    lambda actor: Actor.objects.filter(pk=actor.pk).update(retired_at=None),
    lambda actor: actor.versions.all().delete(),
    lambda actor: actor.delete(),
]


@pytest.mark.django_db(transaction=True)
def test_every_way_of_changing_shows_in_the_next_read() -> None:
    actors = [make_actor(images=3) for _ in range(snapshot.BLOCK + 3)]
    actor = actors[snapshot.BLOCK + 1]
    agrees()
    for change in CHANGES:
        change(actor)
        agrees()


@pytest.mark.django_db
def test_a_change_shows_inside_its_own_transaction() -> None:
    actor = make_actor(images=1)
    agrees()
    rename_in_bulk(actor)
    agrees()


@pytest.mark.django_db(transaction=True)
def test_what_a_transaction_took_back_never_shows() -> None:
    actor = make_actor(images=1)
    before = published()
    with transaction.atomic():
        rename_in_bulk(actor)
        assert published() != before
        transaction.set_rollback(True)
    assert published() == before
    rename_by_sql(actor)
    agrees()


@pytest.mark.django_db(transaction=True)
def test_the_revision_changes_only_when_the_registry_does() -> None:
    actor = make_actor(images=1)
    first = snapshot.current().state
    version = make_version(actor)
    TrainingVersion.objects.filter(pk=version.pk).update(step=5)
    Actor.objects.filter(pk=actor.pk).update(versions_made=7)
    assert snapshot.current().state == first
    version.mark_good()
    assert snapshot.current().state.revision == first.revision + 1


@pytest.mark.django_db(transaction=True)
def test_a_change_rewrites_only_the_block_it_is_in() -> None:
    actors = [make_actor(images=1) for _ in range(snapshot.BLOCK * 2)]
    before = snapshot.current().blocks
    rename_in_bulk(actors[-1])
    after = snapshot.current().blocks
    assert after[0] is before[0]
    assert after[1] is not before[1]


@pytest.mark.django_db
def test_an_empty_registry_is_an_empty_list() -> None:
    assert published() == []


@pytest.mark.django_db
def test_whatever_a_registry_brought_in_comes_out() -> None:
    records = [{"id": 1, "name": "Zoë 🎬", "odd": "\ud800 \0 </script>", "big": 10**40}]
    registry.import_records(records)
    assert published() == records
