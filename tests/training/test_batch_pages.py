"""The pages of batches: choosing, planning, watching; by the rules that hold for every page."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from actors.permissions import ensure_roles
from tests.factories import make_actor, make_version
from tests.training.batch_steps import asked, begin, begun, end_all, look_at_all, looked_at, plan, states
from training import batch_choice, batch_launches, batches
from training.models import Batch, BatchItem, Planning, Preset, Status, TrainingVersion

pytestmark = pytest.mark.django_db
SignIn = Callable[[str], Client]
NEW = "/batches/new"


@pytest.fixture
def sign_in(db: None) -> SignIn:
    """A browser of somebody with one of the four roles."""
    ensure_roles()

    def client(role: str) -> Client:
        person = User.objects.create_user(role, password="x")
        person.groups.add(Group.objects.get(name=role))
        visitor = Client()
        visitor.force_login(person)
        return visitor

    return client


def pages() -> list[str]:
    running = begun(2)
    batch_launches.advance()
    return ["/batches/", *(each.get_absolute_url() for each in (asked(2), plan(2), running))]


def test_a_viewer_reads_every_page_and_can_do_nothing(sign_in: SignIn) -> None:
    viewer = sign_in("Viewer")
    for page in pages():
        answer = viewer.get(page)
        assert answer.status_code == 200
        assert '<form method="post"' not in answer.text.split("<main")[1].split("</main>")[0]
    assert viewer.get(NEW).status_code == 403
    assert viewer.get("/batches/matching").status_code == 403
    assert viewer.post(NEW, {"ids": "0"}).status_code == 403
    batch = Batch.objects.all()[0]
    for verb in ("begin", "pause", "resume", "cancel", "retry", "discard", "look-again"):
        assert viewer.post(reverse("batch-act", args=[batch.pk, verb])).status_code == 403
    assert viewer.post(reverse("batch-change", args=[batch.pk])).status_code == 403


def test_a_get_changes_nothing(sign_in: SignIn) -> None:
    trainer, batch = sign_in("Trainer"), plan(1)
    for verb in ("begin", "discard"):
        assert trainer.get(reverse("batch-act", args=[batch.pk, verb])).status_code == 405
    assert trainer.get(reverse("batch-change", args=[batch.pk])).status_code == 405
    assert trainer.post(reverse("batch-act", args=[batch.pk, "explode"])).status_code == 404
    assert trainer.post(reverse("batch-act", args=[999, "begin"])).status_code == 404
    batch.refresh_from_db()
    assert batch.state == "planned"


def test_pages_carry_no_inline_script_or_style(admin_client: Client) -> None:
    for page in [*pages(), NEW]:
        text = admin_client.get(page).text
        assert "style=" not in text
        assert "<script>" not in text


def test_empty_states_say_what_a_batch_is(sign_in: SignIn) -> None:
    assert "Plan a batch" in sign_in("Trainer").get("/batches/").text
    assert "Whoever has the role Trainer can plan one" in sign_in("Viewer").get("/batches/").text
    text = sign_in("Curator").get(NEW).text
    assert 'value="fit" disabled' in text


@pytest.mark.parametrize("name", ["planning", "plan", "live", "list"])
def test_a_page_takes_as_many_queries_for_40_actors_as_for_4(
    admin_client: Client, settings: Settings, name: str
) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.001

    def queries(actors: int) -> int:
        Batch.objects.all().delete()
        TrainingVersion.objects.all().delete()
        for _ in range(actors if name == "list" else 1):
            people = [make_actor(images=12) for _ in range(2 if name == "list" else actors)]
            batch = plan([*people, make_actor(images=0)], ceiling=Decimal(900), concurrency=actors)
            if name == "planning":
                batches.look_again(batch, None)
            if name == "live":
                begin(batch)
                batch_launches.advance()
        page = "/batches/" if name == "list" else batch.get_absolute_url()
        admin_client.get(page)
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(page).status_code == 200
        return len(captured)

    assert queries(4) == queries(24)


# Choosing


def test_a_list_takes_ids_and_names_keeps_their_order_and_names_the_unknown(admin_client: Client) -> None:
    first, second, third = make_actor(), make_actor(), make_actor()
    text = f"{third.number}, {first.name}\n{second.pk} nobody 99999 {first.pk}"
    answer = admin_client.post(NEW, {"source": "list", "ids": text}, follow=True)
    batch = Batch.objects.get()
    assert batch.planning.chosen == [third.pk, first.pk, second.pk]
    assert "No actor has the id or name: nobody, 99999." in answer.text
    assert "No actor has the id or name: nobody, 99999." in admin_client.get(batch.get_absolute_url()).text
    assert batch.events.last().message.endswith("nobody, 99999.")  # type: ignore[union-attr]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_file_is_read_by_its_id_column(admin_client: Client, separator: str) -> None:
    actors = [make_actor(), make_actor()]
    rows = [["note", "ID"], *(["12 images", str(actor.pk)] for actor in actors)]
    content = "\ufeff" + "\r\n".join(separator.join(row) for row in rows)
    upload = SimpleUploadedFile("actors.csv", content.encode())
    admin_client.post(NEW, {"source": "list", "csv": upload})
    assert Batch.objects.get().planning.total == 2


@pytest.mark.parametrize("text", ["", "nobody", "\x00\ud83d", '"unclosed' + "x" * 200_000, "-1 1e5 ²"])
def test_a_list_of_nobody_comes_back_with_its_text_and_the_reason(admin_client: Client, text: str) -> None:
    answer = admin_client.post(NEW, {"source": "list", "ids": text.encode("utf-8", "replace").decode()})
    assert answer.status_code == 422
    assert "No actor is chosen" in answer.text
    assert not Batch.objects.exists()


def test_the_librarys_filters_choose(admin_client: Client) -> None:
    chosen = make_actor(sex="male")
    make_actor(sex="female")
    admin_client.post(NEW, {"source": "filter", "query": "?sex=male"})
    look_at_all()
    assert BatchItem.objects.get().actor == chosen
    page = admin_client.get(NEW, {"query": "?sex=male"})
    assert "Plan for this one" in page.text
    assert admin_client.get("/batches/matching?sex=male").text == str(chosen.pk)


def test_fit_without_a_good_version_leaves_out_who_has_one_or_waits_for_a_decision() -> None:
    fit, failed = make_actor(), make_actor()
    make_version(failed, status=Status.FAILED)
    make_version().mark_good()
    make_version(status=Status.COMPLETED)
    make_version(status=Status.TRAINING)
    make_actor(images=0)
    assert set(batch_choice.fit_without_good().ids) == {fit.pk, failed.pk}


def test_boxes_of_the_library_choose_without_a_script(admin_client: Client) -> None:
    actors = [make_actor() for _ in range(3)]
    library = admin_client.get("/actors/").text
    assert library.count('name="actor"') == 3
    admin_client.post(NEW, {"actor": [actors[0].pk, actors[2].pk], "ids": ""})
    assert Batch.objects.get().planning.chosen == [actors[0].pk, actors[2].pk]


def test_viewers_see_no_boxes(sign_in: SignIn) -> None:
    make_actor()
    assert 'name="actor"' not in sign_in("Viewer").get("/actors/").text


# While the plan is made


def test_the_page_says_how_far_the_plan_is_and_turns_into_it_by_itself(admin_client: Client) -> None:
    batch = asked([make_actor(), make_actor(images=0)])
    address, poll = batch.get_absolute_url(), {"HX-Request": "true", "HX-Target": "planning"}
    page = admin_client.get(address).text
    assert "of 2 actors looked at" in page
    assert "parameters, time and cost" in page
    part = admin_client.get(address, headers=poll)
    assert "<html" not in part.text
    assert 'hx-trigger="every 1s, wake"' in part.text
    batches.begin(batch, None)
    assert "then the batch begins by itself" in admin_client.get(address).text
    looked_at(batch)
    assert admin_client.get(address, headers=poll).headers["HX-Refresh"] == "true"
    assert "0</b>" not in admin_client.get(address).text


def test_a_plan_that_nobody_makes_says_what_it_waits_for(admin_client: Client) -> None:
    batch = asked(1)
    assert "has not taken it up yet" not in admin_client.get(batch.get_absolute_url()).text
    Planning.objects.update(asked_at=timezone.now() - timedelta(minutes=1))
    assert "has not taken it up yet" in admin_client.get(batch.get_absolute_url()).text
    admin_client.post(reverse("batch-act", args=[batch.pk, "discard"]))
    assert not Batch.objects.exists()


def test_why_a_batch_has_not_begun_stands_above_its_plan(admin_client: Client) -> None:
    batch = begin(plan([make_actor(images=0)]))
    text = admin_client.get(batch.get_absolute_url()).text
    assert "None of its actors can start. The plan says why, and what mends it." in text
    assert "Look at all again" in text


# The plan


def test_one_actor_gets_values_of_its_own_or_is_left_out(admin_client: Client) -> None:
    batch = plan(2, parameters={"network_dim": "32"})
    actor = batch.items.all()[0].actor
    address = reverse("batch-item", args=[batch.pk, actor.pk])
    assert 'placeholder="32"' in admin_client.get(address).text
    sent = {"max_train_steps": "60", "back": "?show=ready"}
    answer = admin_client.post(address, sent)
    assert answer.headers["Location"] == f"{batch.get_absolute_url()}?show=ready#a{actor.pk}"
    assert batch.items.all()[0].parameters["max_train_steps"] == 60
    text = admin_client.get(batch.get_absolute_url()).text
    assert "Its own values: Steps" in text
    wrong = admin_client.post(address, {"max_train_steps": "1"})
    assert (wrong.status_code, "Steps must be a whole number from 20" in wrong.text) == (422, True)
    admin_client.post(address, {"then": "leave-out", "back": "//elsewhere"})
    assert states(batch) == ["left_out", "planned"]
    text = admin_client.get(batch.get_absolute_url()).text
    assert f"Take {actor.number} in again" in text
    assert "1 is left out." in text
    admin_client.post(address, {"then": "take-in"})
    assert states(batch) == ["planned", "planned"]
    begin(batch)
    refused = admin_client.post(address, {"then": "leave-out"}, follow=True)
    assert "the plan is fixed" in refused.text
    assert "the plan is fixed" in admin_client.get(address, follow=True).text
    assert states(batch) == ["waiting", "waiting"]
    for nobody in (999, 10**30):
        assert admin_client.get(reverse("batch-item", args=[batch.pk, nobody])).status_code == 404
        assert admin_client.get(reverse("batch-item", args=[nobody, actor.pk])).status_code == 404


def test_an_actor_of_a_plan_whose_preset_is_gone_is_not_changed_and_the_page_says_why(
    admin_client: Client,
) -> None:
    batch = plan(1, preset="quick")
    Preset.objects.filter(name="quick").update(retired_at=timezone.now())
    address = reverse("batch-item", args=[batch.pk, batch.items.get().actor_id])
    for answer in (
        admin_client.get(address, follow=True),
        admin_client.post(address, {"then": "leave-out"}, follow=True),
        admin_client.post(address, {"max_train_steps": "60"}, follow=True),
    ):
        assert "The preset must be one of" in answer.text
    assert states(batch) == ["planned"]


def test_the_plan_shows_parameters_times_sums_and_reasons(admin_client: Client, settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.001
    batch = plan([make_actor(), make_actor(images=3)], ceiling=Decimal("0.10"))
    text = admin_client.get(batch.get_absolute_url()).text
    assert "Only 3 images: 10 is the floor." in text
    assert "Begin with 1 actor<" in text
    assert "At $0.10 the batch pauses" in text
    assert admin_client.get(batch.get_absolute_url() + "?show=blocked").text.count('<th scope="row">') == 1


def settings_of(batch: Batch, **changes: object) -> dict[str, object]:
    """What the form of the page sends."""
    return {"preset": batch.preset, "concurrency": batch.concurrency, "order": batch.order} | changes


def test_settings_of_the_plan_are_saved_and_the_plan_is_made_anew(admin_client: Client) -> None:
    batch = plan(1)
    address = reverse("batch-change", args=[batch.pk])
    admin_client.cookies["tz"] = "Asia/Tokyo"
    data = settings_of(
        batch,
        name="Night",
        preset="quick",
        concurrency=4,
        max_train_steps="50",
        daily_from="22:00",
        daily_until="06:00",
        starts_at="2027-01-01T09:00",
    )
    assert admin_client.post(address, data).status_code == 302
    batch.refresh_from_db()
    assert (batch.name, batch.preset, batch.concurrency, batch.time_zone) == (
        "Night",
        "quick",
        4,
        "Asia/Tokyo",
    )
    assert batch.starts_at
    assert batch.starts_at.isoformat() == "2027-01-01T00:00:00+00:00"
    look_at_all()
    assert batch.items.get().parameters["max_train_steps"] == 50


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"concurrency": "0"}, "greater than or equal to 1"),
        ({"ceiling": "5"}, "Trainings are free here"),
        ({"max_train_steps": "1"}, "Steps must be a whole number from 20"),
        ({"daily_from": "22:00"}, "Daily times need both ends"),
        ({"starts_at": "2027-01-02T09:00", "stops_at": "2027-01-01T09:00"}, "stop before it starts"),
        ({"preset": "best"}, "Select a valid choice"),
    ],
)
def test_settings_that_make_no_sense_come_back_with_the_reason(
    admin_client: Client, changes: dict[str, object], says: str
) -> None:
    batch = plan(1)
    answer = admin_client.post(reverse("batch-change", args=[batch.pk]), settings_of(batch, **changes))
    assert answer.status_code == 422
    assert says in answer.text
    batch.refresh_from_db()
    assert batch.concurrency == 1


# Live


def test_buttons_do_what_they_say(admin_client: Client) -> None:
    batch = plan(3)

    def press(verb: str) -> str:
        answer = admin_client.post(reverse("batch-act", args=[batch.pk, verb]), follow=True)
        look_at_all()
        batch.refresh_from_db()
        return str(answer.text)

    press("begin")
    assert batch.state == "running"
    batch_launches.advance()
    assert TrainingVersion.objects.get().created_by == User.objects.get()
    press("pause")
    assert batch.state == "paused"
    assert "only a running batch can pause" in press("pause")
    press("resume")
    end_all(batch, Status.FAILED, error="Out of memory.")
    batch_launches.advance()
    assert "looked at again: 0 of 3" in press("retry")
    assert states(batch)[0] == "waiting"
    press("cancel")
    assert batch.state == "cancelled"


def test_the_poll_answers_only_when_something_has_changed_and_ends_with_the_batch(
    admin_client: Client,
) -> None:
    batch = begun(1)
    batch_launches.advance()
    fragment = {"HX-Request": "true"}
    page = admin_client.get(batch.get_absolute_url()).text
    mark = page.split('"seen": "')[1].split('"')[0]
    poll = batch.get_absolute_url() + f"?seen={mark}"
    assert admin_client.get(poll, headers=fragment).status_code == 204
    TrainingVersion.objects.update(status=Status.TRAINING, step=40)
    changed = admin_client.get(poll, headers=fragment)
    assert changed.status_code == 200
    assert 'value="40"' in changed.text
    assert "<html" not in changed.text
    end_all(batch)
    batch_launches.advance()
    assert admin_client.get(poll, headers=fragment).status_code == 286


def test_limits_of_a_running_batch_are_changed_on_its_page(admin_client: Client) -> None:
    batch = begun(3)
    admin_client.post(reverse("batch-change", args=[batch.pk]), settings_of(batch, concurrency=3))
    batch.refresh_from_db()
    assert batch.concurrency == 3
    answer = admin_client.post(
        reverse("batch-change", args=[batch.pk]), settings_of(batch, concurrency=0), follow=True
    )
    assert "greater than or equal to 1" in answer.text


def test_a_batch_outside_of_its_hours_says_when_it_goes_on(admin_client: Client) -> None:
    now = timezone.now()
    batch = begun(
        1, daily_from=(now + timedelta(hours=2)).time(), daily_until=(now + timedelta(hours=3)).time()
    )
    assert "Launches go on at" in admin_client.get(batch.get_absolute_url()).text


def test_the_list_shows_how_far_each_batch_is(admin_client: Client) -> None:
    batch: Any = begun(2, name="Night")
    batch_launches.advance()
    end_all(batch)
    batch_launches.advance()
    text = admin_client.get("/batches/").text
    assert "Night" in text
    assert "1 of 2" in text


def test_the_list_asks_again_while_a_batch_goes_on_and_answers_only_when_something_has_moved(
    admin_client: Client,
) -> None:
    batch = begun(2)
    htmx = {"HX-Request": "true"}
    assert "hx-get" not in admin_client.get("/batches/?page=2").text.split('id="batches"')[0]
    found = re.search(r'hx-get="(/batches/[^"]+)"', admin_client.get("/batches/").text)
    assert found
    poll = html.unescape(found[1])
    assert admin_client.get(poll, headers=htmx).status_code == 204
    batch_launches.advance()
    rows = admin_client.get(poll, headers=htmx)
    assert rows.status_code == 200
    assert "<html" not in rows.text
    end_all(batch)
    batch_launches.advance()
    end_all(batch)
    batch_launches.advance()
    assert "hx-get" not in admin_client.get(poll, headers=htmx).text  # nothing goes on any more


def test_a_batch_stays_live_until_its_rule_has_judged_and_shows_what_it_marked(admin_client: Client) -> None:
    batch = begun(1, good_threshold=80.0)
    batch_launches.advance()
    end_all(batch)
    batch_launches.advance()
    page = admin_client.get(batch.get_absolute_url()).text
    assert "1 version waits for the rule" in page
    assert "hx-trigger" in page.split('id="poll"')[1][:400]
    TrainingVersion.objects.get().mark_good(None, "by the rule")
    BatchItem.objects.update(judged_at=timezone.now(), reason="Score 91 % ≥ threshold 80 %")
    page = admin_client.get(batch.get_absolute_url()).text
    assert "waits for the rule" not in page
    assert "hx-trigger" not in page.split('id="poll"')[1][:400]
    assert "Good version" in page
