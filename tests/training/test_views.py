"""The train page, a training's page and the library, as a browser without scripts and as htmx see them."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from actors import edits
from actors.models import Actor, TrainingImage
from tests.factories import make_actor, make_version
from training.base_models import EMBEDDED
from training.models import EndpointState, ParameterDraft, Status, TrainingVersion

pytestmark = pytest.mark.django_db
#: What auto-adjust recommends here.
STEPS = str(EMBEDDED.table[0].max_train_steps)
HTMX = {"HX-Request": "true"}


def form_of(text: str) -> dict[str, str]:
    """What a browser would send for the parameters on a page."""
    fields = re.findall(r'<input class="in[^"]*" id="p-\w+" name="(\w+)" value="([^"]*)"', text)
    chosen = re.findall(r'<select class="in" id="p-\w+" name="(\w+)".*?<option selected>([^<]*)', text)
    return dict(fields) | dict(chosen)


def undo(client: Client, text: str) -> Any:
    """Presses the button of the toast."""
    form = re.search(
        r'<form method="post" action="([^"]+)">((?:(?!</form>).)*)<button class="btn">Undo', text
    )
    assert form, "There is no Undo."
    fields = re.findall(r'name="(\w+)" value="([^"]*)"', form[2])
    return client.post(html.unescape(form[1]), {name: html.unescape(value) for name, value in fields})


# The train page


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


# A training's page


def poll(client: Client, version: TrainingVersion, seen: str = "") -> Any:
    return client.get(version.get_absolute_url(), {"seen": seen}, headers=HTMX)


def seen_in(text: str) -> str:
    found = re.search(r"seen=([\w.]+)", text)
    assert found
    return found[1]


def test_the_poll_answers_nothing_until_something_changes(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING, step=10, stage="training")
    page = admin_client.get(version.get_absolute_url()).text
    assert poll(admin_client, version, seen_in(page)).status_code == 204
    TrainingVersion.objects.filter(pk=version.pk).update(step=20, updated_at=timezone.now())
    answer = poll(admin_client, version, seen_in(page))
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert f"20 <small>of {STEPS} steps" in answer.text
    # Only what has moved: no open dialog closes, no picture is fetched again.
    assert set(re.findall(r'id="(\w+)"[^>]* hx-swap-oob', answer.text)) == {"progress", "loss"}
    version.note("Looked at")
    answer = poll(admin_client, version, seen_in(answer.text))
    assert set(re.findall(r'id="(\w+)"[^>]* hx-swap-oob', answer.text)) == {"progress", "console"}


def test_within_one_second_the_sites_events_come_before_the_workers_lines(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING)
    at = datetime(2026, 1, 1, 10, 0, 2, tzinfo=UTC)
    for number, message in enumerate(("Sending to the endpoint", "In the endpoint's queue", "taken")):
        version.events.create(kind="note", message=message, at=at + timedelta(milliseconds=300 * number))
    log = [(at, "info", "15 images read"), (at + timedelta(seconds=1), "warning", "one is blurred")]
    version.log = [{"at": when.isoformat(), "level": level, "message": text} for when, level, text in log]
    version.save()
    answer = admin_client.get(reverse("console", args=[version.pk]))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    assert answer.text.splitlines() == [
        "2026-01-01 10:00:02 info    Sending to the endpoint",
        "2026-01-01 10:00:02 info    In the endpoint's queue",
        "2026-01-01 10:00:02 info    taken",
        "2026-01-01 10:00:02 info    15 images read",
        "2026-01-01 10:00:03 warning one is blurred",
    ]


def test_the_cost_runs_along_when_a_price_is_configured(admin_client: Client, settings: Any) -> None:
    version = make_version(status=Status.TRAINING, execution_ms=90_000)
    assert "cost so far" not in admin_client.get(version.get_absolute_url()).text
    settings.GPU_PRICE_PER_SECOND, settings.WORKER_START_SECONDS = 0.001, 5.0
    settings.WORKER_IDLE_SECONDS = 5.0
    text = admin_client.get(version.get_absolute_url()).text
    assert re.search(r"<dt>cost so far, of ≈ \$[\d.]+</dt><dd>\$0\.10</dd>", text)


def test_polling_stops_when_the_training_is_over(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING)
    version.complete("https://b.s3.us-east-1.amazonaws.com/x.safetensors")
    answer = poll(admin_client, version)
    assert answer.status_code == 286
    assert "every" not in answer.text
    assert "Mark good" in answer.text


def test_cancel_ends_it_once(admin_client: Client) -> None:
    version = make_version(status=Status.PENDING)
    first = admin_client.post(reverse("cancel", args=[version.pk]), follow=True)
    assert "is cancelled" in first.text
    again = admin_client.post(reverse("cancel", args=[version.pk]), follow=True)
    assert "had ended already" in again.text


def test_marking_good_keeps_the_reason_and_takes_the_mark_from_the_former(admin_client: Client) -> None:
    first = make_version()
    first.mark_good()
    second = make_version(first.actor)
    answer = admin_client.post(
        reverse("mark-good", args=[second.pk]), {"reason": "likeness <holds>"}, follow=True
    )
    assert "V2 is the good version now instead of V1." in answer.text
    assert "likeness &lt;holds&gt;" in answer.text
    first.refresh_from_db()
    assert not first.is_good
    undo(admin_client, answer.text)
    first.refresh_from_db()
    assert first.is_good


def test_taking_a_good_mark_away_can_be_undone_with_its_reason(admin_client: Client) -> None:
    version = make_version()
    answer = admin_client.post(reverse("mark-good", args=[version.pk]), {"reason": "likeness"}, follow=True)
    undo(admin_client, answer.text)
    version.refresh_from_db()
    assert not version.is_good
    version.mark_good(reason="likeness")
    answer = admin_client.post(reverse("unmark-good", args=[version.pk]), follow=True)
    undo(admin_client, answer.text)
    version.refresh_from_db()
    assert (version.is_good, version.good_reason) == (True, "likeness")


def test_a_failed_training_can_not_be_marked_good(admin_client: Client) -> None:
    version = make_version(status=Status.FAILED, error="Out of memory.")
    page = admin_client.get(version.get_absolute_url()).text
    assert "Out of memory." in page
    assert "Try again" in page
    answer = admin_client.post(reverse("mark-good", args=[version.pk]), follow=True)
    assert "only a completed version can be good" in answer.text


def test_trying_again_makes_a_version_with_the_same_parameters(admin_client: Client) -> None:
    failed = make_version(status=Status.FAILED, max_train_steps=321)
    answer = admin_client.post(reverse("retry", args=[failed.pk]), follow=True)
    again = TrainingVersion.objects.get(repeats=failed)
    assert again.max_train_steps == 321
    assert answer.redirect_chain[-1][0] == again.get_absolute_url()
    for page in (failed.get_absolute_url(), reverse("activity")):
        text = admin_client.get(page).text
        assert "Tried again as" in text
        assert reverse("retry", args=[failed.pk]) not in text


def test_checking_an_endpoint_that_is_down_says_so(admin_client: Client, settings: Any) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    version = make_version(status=Status.QUEUED)
    answer = admin_client.post(reverse("check-status", args=[version.pk]), follow=True)
    assert "The endpoint can&#x27;t say" in answer.text


def test_a_version_imported_from_the_old_system_has_a_page(admin_client: Client) -> None:
    version = make_version(max_train_steps=None, learning_rate=None, base_model="", image_count=0, stages=[])
    assert "This training has no samples" in admin_client.get(version.get_absolute_url()).text


# The library


def posters(text: str) -> list[str]:
    return re.findall(r'<span class="no">(\d+)</span>', text)


def posters_of(client: Client) -> str:
    found = re.search(r'<ul class="posters".*?</ul>', client.get(reverse("library")).text, flags=re.DOTALL)
    assert found
    return found[0]


def counts(text: str, group: str) -> dict[str, int]:
    pattern = rf'name="{group}" value="([^"]*)".*?<span class="n">(\d+)</span>'
    return {value: int(count) for value, count in re.findall(pattern, text, flags=re.DOTALL)}


def test_people_who_need_somebody_come_first(admin_client: Client) -> None:
    fit, failed, good, choose = (
        make_actor(),
        *(
            make_version(status=status).actor
            for status in (Status.FAILED, Status.COMPLETED, Status.COMPLETED)
        ),
    )
    TrainingVersion.objects.get(actor=good).mark_good()
    none = make_actor(images=0)
    text = admin_client.get(reverse("library")).text
    assert posters(text) == [actor.number for actor in (choose, failed, none, fit, good)]


def test_within_a_group_or_between_groups_and(admin_client: Client) -> None:
    for sex, ethnicity in (("male", "asian"), ("female", "asian"), ("female", "nordic"), ("", "black")):
        make_actor(sex=sex, ethnicity=ethnicity)
    address = reverse("library")
    both = admin_client.get(address, {"ethnicity": ["asian", "nordic"]}).text
    assert len(posters(both)) == 3
    women = admin_client.get(address, {"ethnicity": ["asian", "nordic"], "sex": "female"}).text
    assert len(posters(women)) == 2
    # A group's counts leave its own choices out: they say what a further choice would add.
    assert counts(women, "ethnicity") == {"asian": 1, "black": 0, "nordic": 1}
    assert counts(women, "sex") == {"": 0, "female": 2, "male": 1}


def test_ages_and_states_filter_too(admin_client: Client) -> None:
    young, old = make_actor(age=22), make_actor(age=71, images=0)
    make_actor(age=None)
    address = reverse("library")
    assert posters(admin_client.get(address, {"age": "-39"}).text) == [young.number]
    assert posters(admin_client.get(address, {"age": ["60-", "-39"], "state": "none"}).text) == [old.number]
    assert counts(admin_client.get(address).text, "age") == {"-39": 1, "40-59": 0, "60-": 1, "?": 1}


def test_a_search_finds_words_and_numbers_and_nothing_breaks_it(admin_client: Client) -> None:
    actor = make_actor(description="purple mohawk")
    numbered = make_actor(id=4711)
    address = reverse("library")
    assert posters(admin_client.get(address, {"q": "mohawk"}).text) == [actor.number]
    assert posters(admin_client.get(address, {"q": "4711"}).text) == [numbered.number]
    assert posters(admin_client.get(address, {"q": "4711 mohawk"}).text) == []
    for words in ("%", "\x00", "9" * 40, "<script>", "' OR 1=1"):
        answer = admin_client.get(address, {"q": words, "page": "x", "sort": "?", "view": "?", "state": "?"})
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text


def test_pages_are_numbered_and_more_can_be_shown_below(admin_client: Client) -> None:
    Actor.objects.bulk_create(Actor(name=f"a{number}", position=number) for number in range(80))
    address = reverse("library")
    first = admin_client.get(address).text
    assert len(posters(first)) == 36
    assert "?page=3" in first
    assert len(posters(admin_client.get(address, {"page": 3}).text)) == 8
    more = admin_client.get(address, {"page": 2}, headers=HTMX | {"HX-Target": "more"}).text
    assert "<html" not in more
    assert len(posters(more)) == 36
    assert 'hx-swap-oob="beforeend:#sheet"' in more


def test_a_filter_by_htmx_answers_results_and_counts_only(admin_client: Client) -> None:
    make_actor()
    answer = admin_client.get(reverse("library"), {"sex": "female"}, headers=HTMX | {"HX-Target": "results"})
    assert "<html" not in answer.text
    assert 'id="facets" hx-swap-oob="true"' in answer.text


def test_the_address_of_a_filter_holds_only_what_was_chosen(admin_client: Client) -> None:
    address, asked = reverse("library"), HTMX | {"HX-Target": "results"}
    form = {"q": "", "sort": "need", "view": "table", "state": ["good", "fit"]}
    answer = admin_client.get(address, form, headers=asked)
    assert answer["HX-Push-Url"] == f"{address}?state=good&state=fit&view=table"
    # Taking all filters away keeps the view.
    assert 'href="?view=table">Clear' in answer.text
    assert admin_client.get(address, {"q": "", "sort": "need"}, headers=asked)["HX-Push-Url"] == address


def test_images_are_a_filter_with_counts(admin_client: Client) -> None:
    few, some, many = (make_actor(images=images) for images in (4, 12, 31))
    make_actor(images=0)
    text = admin_client.get(reverse("library"), {"images": ["10-19", "31-"], "sort": "number"}).text
    assert posters(text) == [some.number, many.number]
    assert counts(text, "images") == {"-9": 2, "10-19": 1, "20-30": 0, "31-": 1}
    both = admin_client.get(reverse("library"), {"images": "-9", "state": "unfit"}).text
    assert posters(both) == [few.number]
    assert "Images Under 10" in both


def test_a_submission_whose_answer_is_lost_needs_somebody(admin_client: Client) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    version = make_version(status=Status.SUBMITTING, submitted_at=long_ago)
    assert f"{version.name}: answer lost" in posters_of(admin_client)
    text = admin_client.get(reverse("actor", args=[version.actor_id])).text
    assert f'href="{version.get_absolute_url()}">Decide on {version.name}' in text
    assert "Nothing to do meanwhile" not in text


def test_the_table_keeps_filters_and_shows_the_same_people(admin_client: Client) -> None:
    actor = make_actor(sex="male")
    text = admin_client.get(reverse("library"), {"view": "table", "sex": "male"}).text
    assert reverse("actor", args=[actor.pk]) in text
    assert "?sex=male" in text


def test_an_actor_whose_images_are_not_stored_is_not_fit(admin_client: Client) -> None:
    actor = make_actor()
    TrainingImage.objects.filter(dataset__actor=actor, position__lt=3).update(state="local_only")
    assert "Not fit: 3 not stored" in admin_client.get(reverse("library")).text


def test_no_poster_says_fit_while_a_start_is_refused(admin_client: Client) -> None:
    actor = make_actor()
    dataset = actor.dataset
    dataset.images.update(inspected_at=timezone.now())
    dataset.write_verdict()
    assert "Fit · 15 images" in admin_client.get(reverse("library")).text
    flaw = {"code": "too_small", "level": "error", "message": "96 × 96 pixels."}
    image = dataset.images.all()[0]
    TrainingImage.objects.filter(pk=image.pk).update(findings=[flaw])
    dataset.touch()
    refused = admin_client.post(reverse("start", args=[actor.pk]), {})
    assert refused.status_code == 422
    assert "Not fit: the inspection found errors" in admin_client.get(reverse("library")).text
    edits.accept(dataset, TrainingImage.objects.get(pk=image.pk), "too_small", "the only profile", by=None)
    assert "Not fit" not in posters_of(admin_client)


# Activity


def test_activity_filters_by_state(admin_client: Client) -> None:
    make_version(status=Status.FAILED, error="Broke.")
    make_version(status=Status.TRAINING)
    address = reverse("activity")
    assert admin_client.get(address).text.count("<tr>") == 3
    failed = admin_client.get(address, {"status": "failed"}).text
    assert "Broke." in failed
    assert failed.count("<tr>") == 2
    assert admin_client.get(address, {"status": "'"}).status_code == 200


def trainings(text: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="([^"]+)"', text)


def test_activity_filters_by_person_and_actor_at_once(admin_client: Client, admin_user: User) -> None:
    somebody = User.objects.create_user("some&body")
    mine = make_version(make_actor(description="purple mohawk"), created_by=admin_user)
    theirs = make_version(mine.actor, created_by=somebody)
    make_version(created_by=somebody)
    address = reverse("activity")
    by_them = {"by": "some&body"}
    assert len(trainings(admin_client.get(address, by_them).text)) == 2
    both = admin_client.get(address, by_them | {"actor": "mohawk"})
    assert trainings(both.text) == [theirs.get_absolute_url()]
    assert "by=some%26body" in both.text  # the tabs keep the filters
    nobody = admin_client.get(address, {"by": "\x00nobody", "actor": "%", "page": "x"})
    assert "No training matches" in nobody.text


def test_activity_tells_the_whole_error_and_tries_again(admin_client: Client) -> None:
    failed = make_version(status=Status.FAILED, error="The worker ran out of memory. " * 20 + "THE END")
    text = admin_client.get(reverse("activity")).text
    assert "THE END" in text
    assert f'action="{reverse("retry", args=[failed.pk])}"' in text


def test_activity_tells_the_queue_and_what_is_wrong_with_the_endpoint(admin_client: Client) -> None:
    now = timezone.now()
    for minutes in (2, 1):
        make_version(status=Status.QUEUED, submitted_at=now - timedelta(minutes=minutes))
    text = admin_client.get(reverse("activity"), {"status": "queue"}).text
    assert text.index("Next in the queue") < text.index("Number 2 in the queue")
    EndpointState.troubled("local", "Connection refused.")
    assert "Connection refused." in admin_client.get(reverse("activity")).text


def test_the_activitys_poll_answers_nothing_until_something_changes(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING)
    address = reverse("activity")
    asked = {"seen": seen_in(admin_client.get(address).text)}
    assert admin_client.get(address, asked, headers=HTMX).status_code == 204
    version.cancel()
    assert "Cancelled" in admin_client.get(address, asked, headers=HTMX).text


def test_a_container_that_reports_no_steps_gets_a_bar_by_the_clock_marked_as_an_estimate(
    admin_client: Client,
) -> None:
    started = timezone.now() - timedelta(seconds=30)
    version = make_version(status=Status.TRAINING, started_at=started)
    page = admin_client.get(version.get_absolute_url()).content.decode()
    assert "estimated from the time" in page
    TrainingVersion.objects.filter(pk=version.pk).update(step=12, stage="training")
    page = admin_client.get(version.get_absolute_url()).content.decode()
    assert "estimated from the time" not in page


def test_a_queued_training_says_its_place_and_a_good_one_the_way_back(admin_client: Client) -> None:
    waiting = make_version(status=Status.QUEUED, submitted_at=timezone.now())
    assert "Next in the queue" in admin_client.get(waiting.get_absolute_url()).content.decode()
    first = make_version()
    second = make_version(first.actor)
    first.mark_good()
    second.mark_good()
    assert "Back to V1" in admin_client.get(second.get_absolute_url()).content.decode()


def test_a_cost_is_shown_in_its_parts(admin_client: Client, settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.01
    version = make_version(status=Status.COMPLETED, execution_ms=100_000)
    page = admin_client.get(version.get_absolute_url()).content.decode()
    assert "Training $1.00 (as the endpoint says)" in page
    assert "Worker start $" in page
