"""Training versions in the JSON of the old system."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.factories import make_actor, make_version
from training import wire
from training.models import Status, TrainingVersion

pytestmark = pytest.mark.django_db

PARAMETERS = {"learning_rate": 0.0003, "max_train_steps": 2100, "network_dim": 8, "gradient_dtype": "fp32"}
VERSIONS: list[dict[str, Any]] = [
    {
        "id": "job-3-e2",
        "name": "V3",
        "timestamp": "2026-01-03T08:42:57.422Z",
        "parameters": PARAMETERS | {"class_tokens": "someone", "lr_warmup_steps": 0},
        "status": "completed",
        "imageCount": 23,
        "loraUrl": "https://bucket.s3-accelerate.amazonaws.com/models/actor_6_V3.safetensors",
        "completedAt": "2026-01-03T09:14:16.685Z",
        "isGood": True,
    },
    {
        "id": "job-1-e1",
        "name": "V1",
        "description": "first try",
        "timestamp": "2026-01-01T13:01:14.942Z",
        "parameters": PARAMETERS,
        "status": "failed",
        "imageCount": 21,
        "error": "Training failed",
        "note": "unknown keys stay",
    },
]


def on_the_wire(actor_id: int) -> list[dict[str, Any]]:
    return [wire.to_wire(version) for version in TrainingVersion.objects.filter(actor_id=actor_id)]


def test_an_imported_file_comes_out_as_it_went_in() -> None:
    actor = make_actor()
    outcome = wire.import_versions(actor, wire.check({"versions": VERSIONS}))
    assert (outcome.created, outcome.warnings) == (2, [])
    assert on_the_wire(actor.pk) == VERSIONS


def test_importing_twice_changes_nothing() -> None:
    actor = make_actor()
    wire.import_versions(actor, VERSIONS)
    outcome = wire.import_versions(actor, VERSIONS)
    assert (outcome.created, outcome.changed, outcome.unchanged) == (0, 0, 2)


def test_numbers_follow_names_and_are_never_given_again() -> None:
    actor = make_actor()
    wire.import_versions(actor, VERSIONS)
    assert list(actor.versions.values_list("number", flat=True)) == [3, 1]
    actor.versions.all().delete()
    assert actor.next_version_number() == 4


def test_the_newest_unfinished_training_is_taken_over_and_older_ones_are_not_kept_waiting() -> None:
    actor = make_actor()
    stuck = [VERSIONS[0] | {"status": "training", "isGood": False}, VERSIONS[1] | {"status": "pending"}]
    outcome = wire.import_versions(actor, stuck)
    newest, oldest = actor.versions.all()
    assert (newest.status, newest.job_id) == (Status.TRAINING, "job-3-e2")
    assert (oldest.status, outcome.warnings) == (
        Status.FAILED,
        ["V1 never finished in the old system: taken in as failed."],
    )


def test_a_good_version_chosen_here_stays_good() -> None:
    actor = make_actor()
    chosen = make_version(actor, number=9)
    chosen.mark_good()
    outcome = wire.import_versions(actor, VERSIONS)
    assert "V9 is the good version here and stays it" in outcome.warnings[0]
    assert actor.versions.get(is_good=True) == chosen


def test_a_version_trained_here_is_told_in_the_old_words() -> None:
    version = make_version(status=Status.QUEUED)
    told = wire.to_wire(version)
    assert told["status"] == "pending"
    assert set(told) == {"id", "name", "timestamp", "parameters", "status", "imageCount", "isGood"}
    assert len(told["parameters"]) == 11


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": None}, "id: must be a text"),
        ({"id": ""}, "id: is empty"),
        ({"status": "done"}, "status: must be one of"),
        ({"timestamp": "yesterday"}, "timestamp: must be a time"),
        ({"timestamp": "2026-02-31T00:00:00Z"}, "timestamp: must be a time"),
        ({"parameters": []}, "parameters: must be an object"),
        ({"imageCount": -1}, "imageCount: must be between"),
        ({"isGood": "yes"}, "isGood: must be true or false"),
        ({"loraUrl": "x" * 1201}, "loraUrl: longer than"),
    ],
)
def test_a_bad_version_names_index_id_and_field(change: dict[str, Any], says: str) -> None:
    with pytest.raises(wire.WireError) as error:
        wire.check([VERSIONS[0], VERSIONS[1] | change])
    assert says in str(error.value)
    assert "Version 1" in str(error.value)


def test_the_command_reads_a_folder_and_nothing_of_it_when_one_file_is_bad(tmp_path: Path) -> None:
    one, two = make_actor(), make_actor()
    (tmp_path / f"{one.pk}.json").write_text(json.dumps({"versions": VERSIONS}))
    (tmp_path / f"{two.pk}.json").write_text('{"versions": [{}]}')
    with pytest.raises(CommandError, match="Version 0"):
        call_command("import_training_versions", str(tmp_path))
    assert not TrainingVersion.objects.exists()
    (tmp_path / f"{two.pk}.json").write_text('{"versions": []}')
    out = io.StringIO()
    call_command("import_training_versions", str(tmp_path), stdout=out)
    assert "2 new" in out.getvalue()
    assert one.versions.count() == 2
