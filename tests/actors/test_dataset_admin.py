"""Datasets in the admin: the verdict to look for, and edits that count like those on the pages."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from actors import edits
from actors.models import Actor, TrainingDataset, TrainingImage, Verdict
from tests.factories import make_actor

pytestmark = pytest.mark.django_db


def saved(client: Client, row: Any, **changes: Any) -> Any:
    """The form as the page shows it, with some fields changed, is sent back."""
    page = reverse(f"admin:actors_{row._meta.model_name}_change", args=[row.pk])
    shown = client.get(page).context
    forms = [shown["adminform"].form]
    values: dict[str, Any] = {}
    for inline in shown["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    for form in forms:
        for name in form.fields:
            value = form[name].value()
            values[form.add_prefix(name)] = "" if value is None else value
    values = {name: value for name, value in values.items() if value is not False}
    return client.post(page, values | changes)


def test_datasets_are_found_by_their_verdict(admin_client: Client) -> None:
    unfit, fit = make_actor(), make_actor()
    TrainingDataset.objects.filter(actor=unfit).update(verdict=Verdict.NOT_FIT)
    TrainingDataset.objects.filter(actor=fit).update(verdict=Verdict.FIT)
    for model, query in ((TrainingDataset, "verdict__exact"), (Actor, "dataset__verdict__exact")):
        address = reverse(f"admin:actors_{model._meta.model_name}_changelist")
        page = admin_client.get(f"{address}?{query}=not_fit")
        assert page.context["cl"].result_count == 1
        assert unfit.name in page.content.decode()


def test_an_image_changed_in_the_admin_is_an_edit_that_others_notice_and_can_undo(
    admin_client: Client,
) -> None:
    dataset = make_actor(images=1).dataset
    image = dataset.images.get()
    assert saved(admin_client, image, caption="from the admin").status_code == 302
    with pytest.raises(edits.Overtaken):
        edits.change(dataset, {image.pk: {"caption": "mine"}}, "caption", expected={image.pk: image.edit})
    edits.undo(dataset)
    assert dataset.images.get().caption == image.caption


def test_images_changed_with_their_dataset_are_one_edit(admin_client: Client) -> None:
    dataset = make_actor(images=3).dataset
    answer = saved(admin_client, dataset, **{"images-0-notes": "one", "images-2-notes": "three"})
    assert answer.status_code == 302
    assert [image.notes for image in dataset.images.all()] == ["one", "", "three"]
    edits.undo(dataset)
    assert [image.notes for image in dataset.images.all()] == ["", "", ""]


def test_the_kind_changed_in_the_admin_can_be_undone(admin_client: Client) -> None:
    dataset = make_actor(images=1).dataset
    assert saved(admin_client, dataset, kind="photographs").status_code == 302
    assert TrainingDataset.objects.get(pk=dataset.pk).kind == "photographs"
    edits.undo(dataset)
    assert TrainingDataset.objects.get(pk=dataset.pk).kind == "drawn"


def test_nobody_writes_that_an_image_is_synced_it_is_looked_at(admin_client: Client) -> None:
    image = make_actor(images=1, synced=False).dataset.images.get()
    saved(admin_client, image, state="synced")
    image.refresh_from_db()
    assert image.state == TrainingImage.State.LOCAL_ONLY
    changelist = reverse("admin:actors_actor_changelist")
    admin_client.post(changelist, {"action": "compare", "_selected_action": [image.dataset.actor_id]})
    assert [task.task["func"] for task in OrmQ.objects.all()] == ["actors.tasks.sync"]
