"""Pages of the presets: rules and results side by side, edits as revisions, and who may make them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from tests.factories import make_actor, make_version
from training.models import Preset, PresetRevision, Status, TrainingVersion, VersionScore

pytestmark = pytest.mark.django_db
RULES = {"label": "Quick: a look", "description": "", "steps": "0.4", "learning_rate": "1.25", "warmup": "20"}


def quick() -> Preset:
    return Preset.objects.get(name="quick")


def save(client: Client, **changes: Any) -> Any:
    """Posts the form of the preset quick."""
    return client.post(reverse("preset", args=["quick"]), RULES | {"based_on": "1", "then": "save"} | changes)


def test_an_edit_makes_the_next_revision_with_who_why_and_what_changed(admin_client: Client) -> None:
    answer = save(admin_client, note="still enough", network_dim="32", follow=True)
    assert answer.status_code == 302
    second = quick().current()
    assert (second.number, second.steps, second.fixed) == (2, 0.4, {"network_dim": 32})
    text = admin_client.get(quick().get_absolute_url()).text
    assert "by admin: still enough" in text
    assert '<del class="was">× 0.5</del>' in text
    assert "<ins>× 0.4</ins>" in text
    assert '<del class="was">as recommended</del>' in text


def test_before_and_after_are_shown_before_anything_is_saved(admin_client: Client) -> None:
    text = save(admin_client, then="preview").text
    assert "This would change" in text
    assert "<ins>× 0.4</ins>" in text
    assert quick().current().number == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": "0"},
        {"steps": "nan"},
        {"steps": "many"},
        {"learning_rate": "11"},
        {"warmup": "101"},
        {"network_dim": "9999"},
        {"lr_scheduler": "odd"},
        {"label": ""},
        {"label": "a\nb"},
        {"label": "x" * 81},
    ],
)
def test_what_can_not_be_trained_is_refused_with_the_reason(
    admin_client: Client, wrong: dict[str, str]
) -> None:
    answer = save(admin_client, **wrong)
    assert answer.status_code == 422
    assert 'class="err"' in answer.text
    assert quick().current().number == 1


def test_of_two_people_with_the_same_page_the_second_is_told(admin_client: Client) -> None:
    save(admin_client)
    answer = save(admin_client, steps="0.3")
    assert answer.status_code == 409
    assert "Revision 2 was made meanwhile by admin" in answer.text
    assert 'value="0.3"' in answer.text
    assert quick().current().steps == 0.4


def test_the_train_page_offers_the_newest_revision(admin_client: Client) -> None:
    save(admin_client)
    page = admin_client.get(reverse("actor", args=[make_actor().pk]), {"preset": "quick", "then": "apply"})
    assert ">Quick: a look</option>" in page.text
    assert page.context["form"].values["max_train_steps"] == "120"


def test_a_retired_preset_is_gone_from_train_page_and_api_and_comes_back(admin_client: Client) -> None:
    retire = reverse("preset-retire", args=["quick"])
    train = reverse("actor", args=[make_actor().pk])
    admin_client.post(retire)
    assert "Quick" not in admin_client.get(train).text
    assert "quick" not in [each["key"] for each in admin_client.get("/api/presets").json()["presets"]]
    assert "Retired" in admin_client.get(quick().get_absolute_url()).text
    admin_client.post(retire, {"then": "back"})
    assert "Quick" in admin_client.get(train).text


def test_the_recommended_preset_can_not_be_retired(admin_client: Client) -> None:
    answer = admin_client.post(reverse("preset-retire", args=["balanced"]), follow=True)
    assert "Edit it instead." in answer.text
    assert Preset.objects.get(name="balanced").retired_at is None


def test_restoring_makes_a_revision(admin_client: Client) -> None:
    save(admin_client)
    admin_client.post(reverse("preset-restore", args=["quick", 1]))
    assert (quick().current().number, quick().current().steps) == (3, 0.5)
    answer = admin_client.post(reverse("preset-restore", args=["quick", 7]), follow=True)
    assert "no revision 7" in answer.text


def test_a_new_preset_is_offered_under_its_own_name(admin_client: Client) -> None:
    new = reverse("preset-new")
    assert admin_client.get(new).status_code == 200
    assert admin_client.post(new, RULES | {"name": "Calm-Light"}).status_code == 302
    names = [revision.preset.name for revision in PresetRevision.objects.offered()]
    assert names == ["quick", "balanced", "thorough", "calm-light"]
    for name in ("calm-light", "new", "with space", ""):
        assert admin_client.post(new, RULES | {"name": name}).status_code == 422


def test_results_stand_beside_the_revision_that_made_them(
    admin_client: Client, settings: Settings, admin_user: User
) -> None:
    settings.GPU_PRICE_PER_SECOND, settings.WORKER_START_SECONDS = 0.001, 20.0
    first = quick().current()
    save(admin_client)
    good = make_version(preset_revision=first, execution_ms=975_000, request_id="x")
    good.mark_good(admin_user)
    VersionScore.objects.create(version=good, value=81.4)
    make_version(preset_revision=first, status=Status.FAILED)
    make_version(preset_revision=first, preset_edited=True)
    history = admin_client.get(quick().get_absolute_url()).context["history"]
    assert [told.revision.number for told in history] == [2, 1]
    assert history[0].results == []
    own, edited = sorted(history[1].results, key=lambda group: group.key)
    assert (own.figures.trainings, own.figures.success, own.figures.good) == (2, 0.5, 1)
    assert (own.figures.training, own.figures.likeness, float(own.figures.median_cost)) == (975, 81.4, 1.0)
    assert edited.figures.trainings == 1
    text = admin_client.get(quick().get_absolute_url()).text
    assert "$1.00" in text
    assert ">81</td>" in text


def test_the_pages_take_as_many_queries_for_ten_revisions_as_for_two(admin_client: Client) -> None:
    def queries(address: str) -> int:
        admin_client.get(address)
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(address).status_code == 200
        return len(captured)

    save(admin_client)
    make_version(preset_revision=quick().current())
    pages = (reverse("presets"), quick().get_absolute_url())
    few = [queries(page) for page in pages]
    for number in range(2, 10):
        save(admin_client, based_on=number, steps=str(number / 10 + 0.01))
        make_version(preset_revision=quick().current())
        Preset.objects.create(name=f"p{number}").revisions.create(number=1, label="p", **FACTORS)
    assert [queries(page) for page in pages] == few


FACTORS = {"steps": 1, "learning_rate": 1, "warmup": 0.2}


def test_the_api_names_the_revision_and_takes_only_what_is_offered(admin_client: Client) -> None:
    save(admin_client)
    offered = admin_client.get("/api/presets").json()["presets"]
    assert [each["key"] for each in offered] == ["quick", "balanced", "thorough"]
    assert (offered[0]["revision"], offered[0]["steps"], offered[0]["label"]) == (2, 0.4, "Quick: a look")
    body = {"actor": make_actor().pk, "preset": "quick"}
    made = admin_client.post("/api/versions", body, content_type="application/json")
    assert made.status_code == 201
    version = TrainingVersion.objects.get(pk=made.json()["id"])
    assert str(version.preset_revision) == "quick r2"
    for path in ("/api/versions", "/api/auto-adjust", "/api/estimate"):
        asked = {"actor": make_actor().pk, "preset": "magic"}
        refused = admin_client.post(path, asked, content_type="application/json")
        assert refused.status_code == 400
        assert "quick, balanced, thorough" in refused.json()["preset"][0]


def test_the_api_tells_a_presets_revisions_with_their_results(admin_client: Client) -> None:
    first = quick().current()
    save(admin_client, note="shorter")
    make_version(preset_revision=first)
    make_version(preset_revision=first, preset_edited=True)
    told = admin_client.get("/api/presets/quick").json()
    second, one = told["revisions"]
    assert (second["revision"], second["by"], second["note"], second["results"]) == (
        2,
        "admin",
        "shorter",
        [],
    )
    assert {each["changed"]: each["figures"]["trainings"] for each in one["results"]} == {False: 1, True: 1}
    assert admin_client.get("/api/presets/magic").status_code == 404


def test_a_trainings_page_names_its_preset_and_leads_to_the_revision(admin_client: Client) -> None:
    version = make_version(preset_revision=quick().current(), preset_edited=True)
    text = admin_client.get(version.get_absolute_url()).text
    assert '<a href="/presets/quick#r1">Quick: a first look</a>, revision 1; values changed' in text
