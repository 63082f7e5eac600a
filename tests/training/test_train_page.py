"""The train page, as a browser without scripts and as htmx see it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.factories import make_actor, make_version
from tests.training.pages import HTMX, STEPS, form_of, undo
from training.base_models import EMBEDDED, PresetRules
from training.models import ParameterDraft, Preset, Status, TrainingVersion

pytestmark = pytest.mark.django_db


def test_start_sends_what_the_page_shows_and_leads_to_the_training(admin_client: Client) -> None:
    actor = make_actor()
    values = form_of(admin_client.get(reverse("actor", args=[actor.pk])).text)
    assert len(values) == 11
    answer = admin_client.post(reverse("start", args=[actor.pk]), values)
    version = TrainingVersion.objects.get(actor=actor)
    assert answer["Location"] == version.get_absolute_url()
    assert version.created_by is not None
    assert str(version.max_train_steps) == values["max_train_steps"]


def test_a_bad_value_starts_nothing_and_is_kept_with_the_reason(admin_client: Client) -> None:
    actor = make_actor()
    answer = admin_client.post(reverse("start", args=[actor.pk]), {"max_train_steps": "9<b>"})
    assert answer.status_code == 422
    assert "9&lt;b&gt;" in answer.text
    assert "Steps must be a whole number from" in answer.text
    assert not TrainingVersion.objects.exists()


def test_a_bad_value_stands_among_what_keeps_a_start_back_and_leads_to_its_field(
    admin_client: Client,
) -> None:
    text = admin_client.get(reverse("actor", args=[make_actor().pk]), {"learning_rate": "x"}).text
    checks = text.partition('id="checks"')[2]
    assert "not yet" in checks
    assert 'href="#p-learning_rate">Correct it' in checks


def test_a_second_start_leads_to_the_training_that_runs(admin_client: Client) -> None:
    running = make_version(status=Status.TRAINING)
    answer = admin_client.post(reverse("start", args=[running.actor_id]), {}, follow=True)
    assert answer.redirect_chain[-1][0] == running.get_absolute_url()
    assert "is training already" in answer.text
    assert TrainingVersion.objects.count() == 1


@pytest.mark.parametrize("images", [0, 12])
def test_the_page_says_why_a_start_is_not_possible(admin_client: Client, images: int) -> None:
    actor = make_actor(images=images, synced=False)
    text = admin_client.get(reverse("actor", args=[actor.pk])).text
    assert ("No training images." if images == 0 else "12 of 12 images are not in the object store.") in text
    assert not re.search(r">Start V1</button>", text)
    assert admin_client.post(reverse("start", args=[actor.pk]), {}).status_code == 422
    assert not TrainingVersion.objects.exists()


def test_auto_adjust_shows_before_and_after_and_applies_it(admin_client: Client) -> None:
    address = reverse("actor", args=[make_actor().pk])
    text = admin_client.get(address, {"max_train_steps": "900"}).text
    assert "Auto-adjust would change 1 value" in text
    assert '<span class="was">900</span>' in text
    applied = admin_client.get(address, {"max_train_steps": "900", "then": "apply"}).text
    assert form_of(applied)["max_train_steps"] == STEPS
    quick = form_of(admin_client.get(address, {"preset": "quick", "then": "apply"}).text)
    assert quick["max_train_steps"] == str(int(STEPS) // 2)


def test_each_change_says_why(admin_client: Client) -> None:
    rules = PresetRules("Slow", steps=2, learning_rate=0.5, warmup=0.3, fixed={"network_dim": 32})
    Preset.objects.get(name="quick").revise(rules)
    text = admin_client.get(reverse("actor", args=[make_actor(images=16).pk]), {"preset": "quick"}).text
    told = re.findall(r'class="mute because">([^<]+)<', text)
    seen = 2 * int(STEPS) * EMBEDDED.batch_size // 16
    assert f"each image is seen about {seen} times" in told
    assert "0.5 times what is recommended for 16 images" in told
    assert "fixed by the preset" in told
    assert "30 % of the steps" in told


def test_buttons_of_the_form_work_without_a_script(admin_client: Client) -> None:
    actor = make_actor()
    sent = {"max_train_steps": "900", "learning_rate": "1e-3", "then": "use:max_train_steps"}
    answer = admin_client.post(reverse("start", args=[actor.pk]), sent, follow=True)
    values = form_of(answer.text)
    assert (values["max_train_steps"], values["learning_rate"]) == (STEPS, "1e-3")
    assert not TrainingVersion.objects.exists()


def test_enter_in_a_field_is_the_preview_and_not_the_start(admin_client: Client) -> None:
    text = admin_client.get(reverse("actor", args=[make_actor().pk])).text
    first = re.search(r"<(?:button|input)[^>]*form=\"params\"[^>]*>", text)
    assert first is not None
    assert 'value="preview"' in first[0]


def test_an_edited_value_survives_leaving_the_page_until_the_start(admin_client: Client) -> None:
    actor = make_actor()
    page, keep = (reverse(name, args=[actor.pk]) for name in ("actor", "keep-draft"))
    typed = {"max_train_steps": "900", "learning_rate": "x", "preset": "quick"}
    kept = admin_client.post(keep, typed, headers=HTMX)
    assert "Draft saved" in kept.text
    assert 'name="max_train_steps"' not in kept.text
    values = form_of(admin_client.get(page).text)
    # What can't be read yet is kept too, and so is the preset.
    assert (values["max_train_steps"], values["learning_rate"]) == ("900", "x")
    again = admin_client.get(page).text
    assert "Draft saved" in again
    assert '<option value="quick" selected>' in again
    values["learning_rate"] = "2e-3"
    # Values in the address win, and looking at them saves nothing.
    assert form_of(admin_client.get(page, {"max_train_steps": "300"}).text)["max_train_steps"] == "300"
    admin_client.post(reverse("start", args=[actor.pk]), values)
    assert not ParameterDraft.objects.exists()


def test_a_draft_is_discarded_by_a_button_or_by_recommended_values(admin_client: Client) -> None:
    actor = make_actor()
    page, keep = (reverse(name, args=[actor.pk]) for name in ("actor", "keep-draft"))
    admin_client.post(keep, {"max_train_steps": "900"})
    answer = admin_client.post(reverse("discard-draft", args=[actor.pk]), follow=True)
    assert "The draft is discarded." in answer.text
    assert form_of(answer.text)["max_train_steps"] == STEPS
    undo(admin_client, answer.text)
    assert form_of(admin_client.get(page).text)["max_train_steps"] == "900"
    admin_client.post(reverse("discard-draft", args=[actor.pk]))
    admin_client.post(keep, {"max_train_steps": "900"})
    admin_client.post(keep, {"max_train_steps": "900", "then": "use:max_train_steps"})
    assert form_of(admin_client.get(page).text)["max_train_steps"] == STEPS
    assert not ParameterDraft.objects.exists()


def test_a_draft_belongs_to_one_person_and_one_actor(admin_client: Client, admin_user: User) -> None:
    actor, other = make_actor(), make_actor()
    ParameterDraft.objects.create(user=admin_user, actor=other, max_train_steps=900)
    somebody = User.objects.create_user("somebody")
    ParameterDraft.objects.create(user=somebody, actor=actor, max_train_steps=800)
    for person, steps in ((actor, STEPS), (other, "900")):
        text = admin_client.get(reverse("actor", args=[person.pk])).text
        assert form_of(text)["max_train_steps"] == steps


def test_buttons_without_a_script_keep_the_draft_too(admin_client: Client) -> None:
    actor = make_actor()
    admin_client.post(reverse("start", args=[actor.pk]), {"max_train_steps": "900", "then": "preview"})
    assert form_of(admin_client.get(reverse("actor", args=[actor.pk])).text)["max_train_steps"] == "900"


def test_parameters_of_any_version_can_be_loaded(admin_client: Client) -> None:
    version = make_version(max_train_steps=777, class_tokens="rare word")
    other = make_version(max_train_steps=555)
    address = reverse("actor", args=[version.actor_id])
    assert form_of(admin_client.get(address, {"from": version.pk}).text)["max_train_steps"] == "777"
    assert form_of(admin_client.get(address, {"from": other.pk}).text)["max_train_steps"] == STEPS
    assert admin_client.get(address, {"from": "x" * 99}).status_code == 200


def test_a_typed_value_gets_new_advice_and_leaves_the_fields_alone(admin_client: Client) -> None:
    address = reverse("actor", args=[make_actor().pk])
    text = admin_client.get(address, {"max_train_steps": "900"}, headers=HTMX).text
    assert "<html" not in text
    assert 'name="max_train_steps"' not in text
    assert f"Use {STEPS}" in text
    assert all("hx-swap-oob" in part for part in re.findall(r"<(?:aside|section id|div id)[^>]*>", text))


def test_the_payload_can_be_looked_at_and_holds_no_signature(admin_client: Client) -> None:
    address = reverse("payload", args=[make_actor().pk])
    payload: dict[str, Any] = json.loads(admin_client.get(address, {"max_train_steps": "321"}).content)
    assert payload["input"]["training_config"]["max_train_steps"] == 321
    assert len(payload["input"]["training_data"]["s3_urls"]) == 15
    assert "token=" not in json.dumps(payload)
    assert "webhook" not in payload
    assert admin_client.get(address, {"max_train_steps": "0"}).status_code == 422


def test_the_embedded_base_is_named_as_one_for_drawn_portraits(admin_client: Client) -> None:
    text = admin_client.get(reverse("actor", args=[make_actor().pk])).text
    assert "Embedded base, for drawn portraits" in text
    assert "no photographs" in text
