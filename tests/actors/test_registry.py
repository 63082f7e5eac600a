"""actors.json in and out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from actors import registry
from actors.models import Actor, TrainingImage
from training.models import Status, TrainingVersion

pytestmark = pytest.mark.django_db

REGISTRY: list[dict[str, Any]] = [
    {
        "id": 7,
        "age": "52",
        "sex": "female",
        "name": "0007_nordic_52_female",
        "ethnicity": "nordic",
        "description": "A 52 year old woman with “silver” hair — 銀",
        "poster_frames": {"standard": {"png": "https://example.com/7.png"}, "sizes": [1, 2.50, None, True]},
        "good": False,
        "url": "https://studio-bucket.s3-accelerate.amazonaws.com/loras/0007.safetensors",
    },
    {
        "name": "0000_indian_33_male",
        "id": 0,
        "age": 33,
        "training_data": {
            "s3_urls": [
                "s3://studio-bucket/actors/0000/training_data/image_1.png",
                "https://studio-bucket.s3.us-west-1.amazonaws.com/actors/0000/training_data/image%202.png",
            ],
            "local_path": "data/actors/0000/training_data",
            "count": 15,
            "synced": True,
            "reviewer": "unknown keys stay",
        },
        "validated_lora_model": {
            "version_id": "2b1f7d1e-e1",
            "version_name": "V4",
            "lora_url": "https://s3-accelerate.amazonaws.com/studio-bucket/loras/actor_0_V4.safetensors",
            "marked_at": "2026-02-03T10:20:30.456Z",
            "parameters": {
                "learning_rate": 0.00025,
                "max_train_steps": 2000,
                "optimizer_type": "AdamW8bit",
                "old": 1,
            },
        },
    },
    {"id": 3, "name": 'Zoë "O\'Hara" / 🎬', "age": None, "extra": []},
]


def exported() -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads("".join(registry.write_json(registry.export_records())))
    return records


def test_export_gives_back_what_was_imported_with_order_keys_and_types() -> None:
    registry.import_records(REGISTRY)
    assert exported() == REGISTRY
    assert [list(record) for record in exported()] == [list(record) for record in REGISTRY]
    assert isinstance(exported()[0]["age"], str)


def test_importing_twice_changes_nothing() -> None:
    registry.import_records(REGISTRY)
    before = list(Actor.objects.values("id", "updated_at"))
    plan = registry.import_records(exported())
    assert (plan.created, plan.changed, plan.unchanged) == ([], [], 3)
    assert list(Actor.objects.values("id", "updated_at")) == before


def test_facts_become_columns() -> None:
    registry.import_records(REGISTRY)
    actor = Actor.objects.get(pk=7)
    assert (actor.age, actor.sex, actor.title, actor.number) == (52, "female", "Nordic, 52, female", "0007")


def test_a_fact_changed_here_keeps_its_json_type() -> None:
    registry.import_records(REGISTRY)
    Actor.objects.filter(pk=7).update(age=53)
    assert exported()[0]["age"] == "53"


def test_images_are_known_by_one_spelling_and_exported_in_their_own_until_the_dataset_changes() -> None:
    registry.import_records(REGISTRY)
    dataset = Actor.objects.get(pk=0).dataset
    urls = [image.url for image in dataset.images.all()]
    assert urls[1] == "s3://studio-bucket/actors/0000/training_data/image 2.png"
    assert dataset.claim_warnings() == ["The registry claims 15 images; 2 are listed here."]

    TrainingImage.objects.filter(url=urls[0]).update(included=False)
    dataset.touch()
    data = exported()[1]["training_data"]
    assert (data["s3_urls"], data["count"], data["synced"], data["reviewer"]) == (
        [urls[1]],
        1,
        True,
        "unknown keys stay",
    )


def test_an_incoming_validated_model_becomes_a_completed_good_version() -> None:
    registry.import_records(REGISTRY)
    version = TrainingVersion.objects.get(actor_id=0)
    assert (version.number, version.status, version.is_good) == (4, Status.COMPLETED, True)
    assert (
        version.lora_address
        == "https://studio-bucket.s3-accelerate.amazonaws.com/loras/actor_0_V4.safetensors"
    )
    assert version.max_train_steps == 2000
    assert Actor.objects.get(pk=0).next_version_number() == 5


def test_the_next_new_actor_follows_the_highest_id() -> None:
    registry.import_records(REGISTRY)
    highest = max(actor["id"] for actor in REGISTRY)
    assert Actor.objects.create(name="new").pk > highest  # an id that was ever given never comes again


def test_two_actors_may_swap_names() -> None:
    registry.import_records(REGISTRY)
    first, second = exported()[0], exported()[1]
    first["name"], second["name"] = second["name"], first["name"]
    registry.import_records([first, second])
    assert Actor.objects.get(pk=7).name == "0000_indian_33_male"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ('{"id": 1}', "a list of actors, not an object"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"id": NaN, "name": "x"}]', "NaN is not a JSON number"),
        (b"\xff\xfe[]", "not"),
        ('[{"name": "x"}]', "Record 0: 'id' is a required property"),
        ('[{"id": "1", "name": "x"}]', "id: '1' is not of type 'integer'"),
        ('[{"id": -1, "name": "x"}]', "id: -1 is less than the minimum"),
        ('[{"id": true, "name": "x"}]', "id: True is not of type 'integer'"),
        ('[{"id": 9223372036854775808, "name": "x"}]', "greater than the maximum"),
        ('[{"id": 1, "name": "  "}]', "name: '  ' does not match"),
        ('[{"id": 1, "name": "x\\u0000"}]', "name: "),
        ('[{"id": 1, "name": "\\ud800"}]', "holds characters that are not text"),
        ('[{"id": 1, "name": "x"}, {"id": 1, "name": "y"}]', "Record 1 (id 1): id 1 is taken by record 0"),
        (
            '[{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]',
            "Record 1 (id 2): name 'x' is taken by record 0",
        ),
        ('[{"id": 1, "name": "x", "age": []}]', "Record 0 (id 1): age: [] is not of type"),
        ('[{"id": 1, "name": "x", "training_data": {"s3_urls": [1]}}]', "training_data.s3_urls.0: 1 is not"),
        (
            '[{"id": 1, "name": "x", "validated_lora_model": {}}]',
            "validated_lora_model: 'version_id' is a required",
        ),
    ],
)
def test_a_bad_registry_names_index_id_and_field(text: str | bytes, says: str) -> None:
    with pytest.raises(registry.RegistryError) as error:
        registry.parse(text)
    assert says in str(error.value)


def test_a_name_that_another_actor_holds_writes_nothing() -> None:
    registry.import_records(REGISTRY)
    with pytest.raises(registry.RegistryError, match="actor 7 is called"):
        registry.import_records([{"id": 50, "name": "ok"}, {"id": 51, "name": "0007_nordic_52_female"}])
    assert not Actor.objects.filter(pk=50).exists()


def test_the_commands_read_write_and_show_the_difference(tmp_path: Path) -> None:
    source, target = tmp_path / "actors.json", tmp_path / "out.json"
    source.write_text(json.dumps(REGISTRY))
    out = io.StringIO()
    call_command("import_actors", str(source), dry_run=True, stdout=out)
    assert "+ 7 0007_nordic_52_female" in out.getvalue()
    assert "3 new" in out.getvalue()
    assert not Actor.objects.exists()
    call_command("import_actors", str(source), stdout=out)
    call_command("export_actors", output=target, stderr=out)
    assert json.loads(target.read_text()) == REGISTRY
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("source", ["/nowhere/actors.json", "http://127.0.0.1:9/actors.json", "http://[bad"])
def test_a_source_that_cannot_be_read_is_one_line(source: str) -> None:
    with pytest.raises(CommandError) as error:
        call_command("import_actors", source)
    assert "\n" not in str(error.value)
    assert str(error.value)


def test_an_empty_registry_is_an_empty_list() -> None:
    assert exported() == []


def test_a_new_actor_with_its_images_costs_a_few_queries_however_many_come() -> None:
    """All of a registry is one transaction, and on SQLite nobody else writes meanwhile."""
    costs = []
    for first, count in ((100, 2), (200, 12)):
        records = [
            {
                "id": first + number,
                "name": f"{first + number:04d}_nordic_41_female",
                "training_data": {"s3_urls": [f"s3://b/{first + number}/{n}.png" for n in range(20)]},
            }
            for number in range(count)
        ]
        with CaptureQueriesContext(connection) as queries:
            registry.import_records(records)
        costs.append(len(queries))
    assert TrainingImage.objects.count() == 14 * 20
    assert costs[1] - costs[0] <= 10 * 12
