"""Likeness rights: what they stop, and how the registry follows the calendar."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from actors import registry, snapshot, storage
from actors.models import Actor, RightsPolicy
from actors.rights import Basis, State
from tests.actors.rights_on_record import days, give_rights
from tests.factories import make_actor, make_version
from tests.simulated_jobs import tiny_lora
from tests.training.previewing import make_drawable, ordered
from tests.training.ready import messages, recommended
from training import launch, previews
from training.models import TrainingVersion

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("valid_from", "expires_on", "state"),
    [
        (None, None, State.VALID),
        (None, 31, State.VALID),
        (None, 30, State.EXPIRING),
        (None, 0, State.EXPIRING),
        (None, -1, State.EXPIRED),
        (1, None, State.FUTURE),
        (0, 90, State.VALID),
    ],
)
def test_a_right_is_valid_through_its_last_day(
    valid_from: int | None, expires_on: int | None, state: State
) -> None:
    dates = {
        "valid_from": None if valid_from is None else days(valid_from),
        "expires_on": None if expires_on is None else days(expires_on),
    }
    assert give_rights(make_actor(), **dates).state == state


def test_the_last_day_ends_at_the_studios_midnight(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STUDIO_TIME_ZONE = "America/Los_Angeles"
    rights = give_rights(make_actor(), expires_on=date(2030, 6, 1))
    for hour, state in ((6, State.EXPIRING), (8, State.EXPIRED)):
        now = datetime(2030, 6, 2, hour, tzinfo=UTC)
        monkeypatch.setattr(timezone, "now", lambda now=now: now)
        assert rights.state == state


@pytest.mark.parametrize("dates", [{"expires_on": -1}, {"valid_from": 1}])
def test_rights_outside_their_time_stop_a_launch_with_the_way_out(dates: dict[str, int]) -> None:
    actor = make_actor()
    give_rights(actor, **{name: days(number) for name, number in dates.items()})
    with pytest.raises(launch.CannotStart, match="a Curator") as refusal:
        launch.launch(actor, recommended(), override_reason="I want to")
    assert [check.mend for check in refusal.value.checks] == ["rights"]
    assert not TrainingVersion.objects.exists()


def test_missing_rights_stop_a_launch_only_where_they_are_required() -> None:
    launch.launch(make_actor(), recommended())
    RightsPolicy.switch(required=True, by=None)
    with pytest.raises(launch.CannotStart, match="No rights to this likeness are on record"):
        launch.launch(make_actor(), recommended())
    actor = make_actor()
    give_rights(actor, basis=Basis.SYNTHETIC, reference="")
    launch.launch(actor, recommended())
    RightsPolicy.switch(required=False, by=None)
    launch.launch(make_actor(), recommended())


def test_rights_that_end_soon_only_warn() -> None:
    actor = make_actor()
    give_rights(actor, expires_on=days(3))
    assert [check.level for check in launch.checks(actor) if check.mend == "rights"] == ["warning"]
    launch.launch(actor, recommended())


def test_a_retry_is_stopped_as_well() -> None:
    version = make_version(status="failed")
    give_rights(version.actor, expires_on=days(-1))
    with pytest.raises(launch.CannotStart):
        launch.retry(version)


@pytest.mark.parametrize("basis", [Basis.CONSENT, Basis.LICENCE])
def test_consent_and_licence_need_a_proof_and_synthetic_needs_none(basis: Basis) -> None:
    with pytest.raises(ValidationError, match="Say where the paper is"):
        give_rights(make_actor(), basis=basis, reference=" ")
    give_rights(make_actor(), basis=Basis.SYNTHETIC, reference="")


def test_rights_do_not_end_before_they_begin() -> None:
    with pytest.raises(ValidationError, match="before the first one"):
        give_rights(make_actor(), valid_from=days(2), expires_on=days(1))


def published() -> dict[int, Any]:
    text = b"".join(snapshot.current().plain())
    return {record["id"]: record.get("likeness_rights") for record in json.loads(text)}


def test_the_registry_says_how_rights_stand_only_where_they_are_on_record() -> None:
    bare, held = make_actor(), make_actor()
    give_rights(held, expires_on=days(5))
    assert published() == {
        bare.pk: None,
        held.pk: {"basis": "consent", "state": "valid", "expires_on": days(5).isoformat()},
    }
    assert "likeness_rights" not in registry.export_record(bare)


def test_the_registry_turns_at_midnight_without_anybody_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    actor = make_actor()
    rights = give_rights(actor, valid_from=days(1), expires_on=days(2))
    seen = []
    for day in range(5):
        later = timezone.now() + timedelta(days=day)
        with monkeypatch.context() as patch:
            patch.setattr(timezone, "now", lambda later=later: later)
            tag = snapshot.current_state().tag
            seen.append((published()[actor.pk]["state"], tag))
            assert snapshot.current_state().tag == tag, "read again on the same day, nothing has changed"
    states, tags = zip(*seen, strict=True)
    assert states == ("future", "valid", "valid", "expired", "expired")
    assert [tags[day] == tags[day + 1] for day in range(4)] == [False, True, False, True]
    rights.refresh_from_db()
    assert rights.turns_on is None


def test_reading_the_registry_stays_one_query(client: Client) -> None:
    give_rights(make_actor(), expires_on=days(5))
    snapshot.current_state()
    with CaptureQueriesContext(connection) as captured:
        snapshot.current_state()
    assert len(captured) == 1


def test_a_registry_does_not_bring_rights_in_over_our_own() -> None:
    actor = make_actor()
    give_rights(actor, expires_on=days(-1))
    record = registry.export_record(Actor.objects.get(pk=actor.pk))
    claimed = record | {"likeness_rights": {"basis": "consent", "state": "valid"}, "mood": "calm"}
    plan = registry.import_records([claimed])
    assert [keys for _, _, keys in plan.changed] == [["mood"]]
    after = Actor.objects.get(pk=actor.pk)
    assert registry.export_record(after)["likeness_rights"]["state"] == "expired"
    after.rights.delete()
    assert "likeness_rights" not in registry.export_record(Actor.objects.get(pk=actor.pk))


def test_export_and_import_with_rights_is_the_identity() -> None:
    give_rights(make_actor(), expires_on=days(5))
    records = list(registry.export_records())
    plan = registry.import_records(registry.parse("".join(registry.write_json(records))))
    assert (plan.created, plan.changed, plan.unchanged) == ([], [], 1)


def test_rights_from_elsewhere_are_kept_where_we_have_none() -> None:
    actor = make_actor()
    claim = {"basis": "licence", "state": "expired", "expires_on": "2020-01-01"}
    registry.import_records([{"id": actor.pk, "name": actor.name, "likeness_rights": claim}])
    assert registry.export_record(Actor.objects.get(pk=actor.pk))["likeness_rights"] == claim


def test_expired_rights_stop_previews_and_the_one_of_a_completion(media: Path) -> None:
    version = make_drawable()
    give_rights(version.actor, expires_on=days(-1))
    with pytest.raises(previews.CannotPreview, match=r"ended on .* a Curator enters"):
        ordered(version)
    running = make_version(status="training")
    give_rights(running.actor, expires_on=days(-1))
    storage.save(running.lora_key, ContentFile(tiny_lora(running.model_name)))
    assert running.complete(storage.own(running.lora_key).s3)
    assert "No preview was drawn: The rights to this likeness ended" in messages(running)
    give_rights(version.actor, expires_on=days(0))
    ordered(TrainingVersion.objects.get(pk=version.pk))


def test_missing_rights_stop_previews_where_they_are_required(media: Path) -> None:
    version = make_drawable()
    RightsPolicy.switch(required=True, by=None)
    with pytest.raises(previews.CannotPreview, match="No rights to this likeness are on record"):
        ordered(version)
