"""The admin: every page opens, none asks the database once per row, and nothing is written unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_q.models import OrmQ

from actors.models import Actor, RegistryProposal, RegistrySource, TrainingImage
from actors.tokens import make_token
from tests.factories import make_actor, make_version
from tests.training.batch_steps import looked_at
from training.models import Batch, TrainingVersion, Webhook, WebhookDelivery
from training.outbox import announce

pytestmark = pytest.mark.django_db

RECORDS = [{"id": 7, "name": "0007_import", "age": 30}, {"id": 8, "name": "0008_import"}]


@pytest.fixture
def curator(client: Client) -> Client:
    person = User.objects.create_user("curator")
    person.groups.add(Group.objects.get(name="Curator"))
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def changelist(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def act(client: Client, action: str, *rows: Any, **more: str) -> Any:
    values = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    return client.post(changelist(type(rows[0])), values, follow=True)


def test_every_page_of_the_admin_opens(admin_client: Client, admin_user: User) -> None:
    version = make_version(status="completed")
    version.mark_good(admin_user, "Likeness 0.9")
    make_token(admin_user, "nightly", ["read"])
    webhook = Webhook.objects.create(name="studio", url="https://example.com/hook")
    announce("training.finished", version)
    RegistrySource.objects.create(name="other", address="https://example.com/actors.json")
    RegistryProposal.objects.create(title="Upload", text=json.dumps(RECORDS), summary="2 new")
    assert webhook.deliveries.count() == 1
    page: Any
    model: Any
    for model, page in admin.site._registry.items():
        assert admin_client.get(changelist(model)).status_code == 200, model
        assert admin_client.get(changelist(model) + "?q=1").status_code == 200, model
        row = model.objects.first()
        if row is not None:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            for view in ("change", "history"):
                assert admin_client.get(reverse(f"{name}_{view}", args=[row.pk])).status_code == 200, model
        if page.has_add_permission(admin_client.get(changelist(model)).wsgi_request):
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}_add"
            assert admin_client.get(reverse(name)).status_code == 200, model


@pytest.mark.parametrize("model", [Actor, TrainingImage, TrainingVersion, WebhookDelivery])
def test_a_list_takes_the_same_queries_for_many_rows(admin_client: Client, model: Any) -> None:
    Webhook.objects.create(name="studio", url="https://example.com/hook")

    def queries() -> int:
        admin_client.get(changelist(model))
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(changelist(model)).status_code == 200
        return len(captured)

    def fill() -> None:
        version = make_version()
        version.actor.poster = version.actor.dataset.images.first()
        version.actor.save()
        announce("training.finished", version)

    fill()
    few = queries()
    for _ in range(5):
        fill()
    assert queries() == few


def test_curators_see_the_registry_and_not_people_tokens_or_webhooks(curator: Client) -> None:
    assert curator.get(changelist(Actor)).status_code == 200
    for address in ("/admin/auth/user/", "/admin/actors/accesstoken/", "/admin/training/webhook/"):
        assert curator.get(address).status_code == 403


def test_status_and_job_id_are_not_written_by_hand(admin_client: Client) -> None:
    version = make_version(status="training")
    page = reverse("admin:training_trainingversion_change", args=[version.pk])
    empty = {f"{name}-{key}_FORMS": "0" for name in ("events", "samples") for key in ("TOTAL", "INITIAL")}
    values = {"name": "V1", "description": "Softer light", "status": "completed", "job_id": "mine", **empty}
    assert admin_client.post(page, values).status_code == 302
    version.refresh_from_db()
    assert (version.description, version.status) == ("Softer light", "training")
    assert version.job_id != "mine"


def test_images_of_chosen_actors_are_marked_as_synced(curator: Client) -> None:
    actor, other = make_actor(images=3, synced=False), make_actor(images=3, synced=False)
    answer = act(curator, "mark_synced", actor)
    assert "3 images are marked as synced." in answer.content.decode()
    assert actor.dataset.images.filter(state="synced").count() == 3
    assert other.dataset.images.filter(state="synced").count() == 0


def test_actors_are_retired_and_brought_back_with_history(curator: Client) -> None:
    actor = make_actor()
    act(curator, "retire", actor)
    actor.refresh_from_db()
    assert actor.retired_at
    line = Actor.history.filter(id=actor.pk).first()
    assert (line.history_user.username, line.history_change_reason) == ("curator", "Retired in the admin")
    act(curator, "bring_back", actor)
    actor.refresh_from_db()
    assert actor.retired_at is None


def test_a_selection_is_exported_as_a_registry(curator: Client) -> None:
    actor = make_actor(name="0042_chosen")
    make_actor()
    values = {"action": "export_selection", "_selected_action": [actor.pk]}
    answer = curator.post(changelist(Actor), values)
    assert [record["name"] for record in json.loads(answer.getvalue())] == ["0042_chosen"]


def test_chosen_actors_lead_to_the_plan_of_a_batch_which_launches_nothing(curator: Client) -> None:
    able, unable = make_actor(), make_actor(images=0)
    text = act(curator, "plan_batch", able, unable).content.decode()
    assert "of 2 actors looked at" in text
    batch = looked_at(Batch.objects.get())
    text = curator.get(batch.get_absolute_url()).content.decode()
    assert "Begin with 1 actor<" in text
    assert "No training images." in text
    assert (batch.state, batch.created_by) == ("planned", User.objects.get(username="curator"))
    page = curator.get(reverse("admin:training_batch_change", args=[batch.pk])).content.decode()
    assert "View on site" in page
    assert not TrainingVersion.objects.exists()


def test_chosen_trainings_are_cancelled(curator: Client) -> None:
    running, ended = make_version(status="training"), make_version()
    answer = act(curator, "cancel", running, ended)
    assert "1 of 2 trainings are cancelled." in answer.content.decode()
    running.refresh_from_db()
    assert running.status == "cancelled"


def upload(client: Client, content: bytes) -> Any:
    file = SimpleUploadedFile("actors.json", content, content_type="application/json")
    return client.post(reverse("admin:actors_actor_import"), {"file": file}, follow=True)


def test_an_import_shows_its_difference_before_anything_is_written(curator: Client) -> None:
    Actor.objects.create(pk=7, name="0007_import", age=29)
    answer = upload(curator, json.dumps(RECORDS).encode())
    text = answer.content.decode()
    assert "Difference: 1 new, 1 changed, 0 unchanged" in text
    assert "<td>age</td><td>29</td><td>30</td>" in text
    assert not Actor.objects.filter(pk=8).exists()

    proposal = RegistryProposal.objects.get()
    decide = reverse("admin:actors_registryproposal_decide", args=[proposal.pk])
    curator.post(decide, {"apply": "yes", "seen": answer.context["seen"]})
    proposal.refresh_from_db()
    assert proposal.state == "applied"
    assert Actor.objects.get(pk=7).age == 30
    line = Actor.history.filter(id=8).first()
    assert (line.history_user.username, line.history_change_reason) == (
        "curator",
        "Import: Upload actors.json",
    )


def test_nobody_applies_another_difference_than_the_one_they_saw(curator: Client) -> None:
    answer = upload(curator, json.dumps(RECORDS).encode())
    Actor.objects.create(pk=7, name="0007_import", age=29)
    decide = reverse("admin:actors_registryproposal_decide", args=[RegistryProposal.objects.get().pk])
    later = curator.post(decide, {"apply": "yes", "seen": answer.context["seen"]}, follow=True)
    assert "has changed since you looked" in later.content.decode()
    assert Actor.objects.get(pk=7).age == 29


def test_a_declined_import_writes_nothing(curator: Client) -> None:
    upload(curator, json.dumps(RECORDS).encode())
    proposal = RegistryProposal.objects.get()
    curator.post(reverse("admin:actors_registryproposal_decide", args=[proposal.pk]), {"decline": "yes"})
    proposal.refresh_from_db()
    assert proposal.state == "declined"
    assert not Actor.objects.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "This is not JSON"),
        (b"\xff\xfe", "This is not UTF-8 text"),
        (b"{}", "A registry is a list of actors"),
        (b'[{"id": "x", "name": "a"}]', "Record 0 (id x): id"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_registry_is_refused_in_words(
    curator: Client, content: bytes, message: str
) -> None:
    answer = upload(curator, content)
    assert answer.status_code == 400
    assert message in answer.content.decode()
    assert not RegistryProposal.objects.exists()


def test_a_delivery_is_sent_again_by_admins(
    admin_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    Webhook.objects.create(name="studio", url="https://example.com/hook")
    announce("training.finished", make_version())
    delivery = WebhookDelivery.objects.get()
    delivery.settle({"status": 410}, delivered=False, final=True)
    with django_capture_on_commit_callbacks(execute=True):
        act(admin_client, "send_again", delivery)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("waiting", 0)
    assert OrmQ.objects.exists()


def test_the_admin_is_entered_through_the_sites_own_login(client: Client) -> None:
    answer = client.get("/admin/login/?next=/admin/")
    assert answer.url == "/accounts/login/?next=/admin/"  # type: ignore[attr-defined]
