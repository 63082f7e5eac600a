"""Datasets in the API: the verdict, what the images are, and edits beside those of people."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from actors import edits
from actors.models import TrainingDataset, TrainingImage, Verdict
from tests.factories import make_actor

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(admin_user: User) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


def patch(client: Client, address: str, body: Any, etag: str = "") -> Any:
    etag = etag or client.get(address).headers["ETag"]
    return client.patch(address, json.dumps(body), "application/json", headers={"If-Match": etag})


def give_verdict(verdict: str) -> TrainingDataset:
    dataset = make_actor(images=2).dataset
    TrainingDataset.objects.filter(pk=dataset.pk).update(verdict=verdict)
    return dataset


def test_the_verdict_is_shown_and_filtered_by(client: Client) -> None:
    fit, unfit = give_verdict(Verdict.FIT), give_verdict(Verdict.NOT_FIT)
    found = client.get("/api/actors?verdict=not_fit").json()["results"]
    assert [(each["id"], each["verdict"]) for each in found] == [(unfit.actor_id, "not_fit")]
    images = client.get("/api/images?verdict=fit").json()["results"]
    assert {each["actor"] for each in images} == {fit.actor_id}
    assert client.get(f"/api/actors/{fit.actor_id}/dataset").json()["verdict"] == "fit"


def test_a_verdict_that_does_not_exist_is_refused_by_field(client: Client) -> None:
    answer = client.get("/api/actors?verdict=splendid")
    assert (answer.status_code, list(answer.json())) == (400, ["verdict"])


def test_the_findings_of_set_and_image_come_with_what_was_accepted(client: Client) -> None:
    dataset = make_actor(images=1).dataset
    image = dataset.images.get()
    soft = {"code": "soft", "level": "warning", "message": "Sharpness 20."}
    TrainingImage.objects.filter(pk=image.pk).update(findings=[soft])
    edits.accept(dataset, image, "soft", "meant so", by=None)
    edits.change(dataset, {image.pk: {"notes": "x"}}, "notes")
    shown = client.get(f"/api/images/{image.pk}").json()
    assert shown["accepted"]["soft"]["reason"] == "meant so"
    told = client.get(f"/api/actors/{dataset.actor_id}/dataset").json()
    assert [each["code"] for each in told["findings"]] == ["too_few"]
    assert told["verdict"] == "not_fit"


def test_the_kind_is_changed_as_an_edit_that_people_can_undo(client: Client) -> None:
    dataset = make_actor(images=12).dataset
    assert (
        patch(client, f"/api/actors/{dataset.actor_id}/dataset", {"kind": "photographs"}).status_code == 200
    )
    edits.undo(dataset)
    assert TrainingDataset.objects.get(pk=dataset.pk).kind == "drawn"


def test_a_program_does_not_overwrite_what_a_person_has_saved(client: Client) -> None:
    dataset = make_actor(images=1).dataset
    image = dataset.images.get()
    read = client.get(f"/api/images/{image.pk}").headers["ETag"]
    edits.change(dataset, {image.pk: {"caption": "by a person"}}, "caption")
    assert patch(client, f"/api/images/{image.pk}", {"caption": "by a program"}, read).status_code == 412
    assert dataset.images.get().caption == "by a person"


@pytest.mark.django_db(transaction=True)
def test_people_and_programs_editing_one_dataset_at_once_wait_for_each_other(client: Client) -> None:
    """All take the dataset's lock first; in another order PostgreSQL would end one of them."""
    dataset = make_actor(images=6).dataset
    ids = list(dataset.images.values_list("pk", flat=True))
    failed: list[str] = []

    def by_program(pk: int) -> None:
        try:
            answer = patch(client, f"/api/images/{pk}", {"notes": "by a program"}, "*")
            if answer.status_code != 200:
                failed.append(answer.content.decode())
        finally:
            connection.close()

    def by_person(number: int) -> None:
        try:
            edits.change(dataset, {pk: {"caption": f"by {number}"} for pk in ids}, "captions")
        except Exception as error:  # noqa: BLE001  # told below
            failed.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=by_program, args=(pk,)) for pk in ids]
    threads += [threading.Thread(target=by_person, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    images = list(dataset.images.all())
    assert len({image.caption for image in images}) == 1, "each edit whole"
    assert {image.notes for image in images} == {"by a program"}
