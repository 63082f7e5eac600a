"""The predecessor's manifests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from actors.models import Actor, TrainingImage
from tests.factories import make_actor

State = TrainingImage.State
pytestmark = pytest.mark.usefixtures("tasks_at_once")


def manifest(actor: Actor, **changes: Any) -> dict[str, Any]:
    name = actor.name
    base = f"https://studio-assets.s3.eu-west-1.amazonaws.com/training/{name}"
    return {
        "character_id": f"{actor.pk:04d}",
        "character_name": name,
        "training_data": [
            {
                "filename": f"{name}_1.jpg",
                "s3_url": f"{base}/1.jpg",
                "status": "synced",
                "md5_hash": "a" * 32,
                "size_bytes": 10,
                "local_path": f"data/{name}/1.jpg",
            },
            {
                "filename": f"{name}_2.jpg",
                "s3_url": None,
                "status": "local_only",
                "md5_hash": "b" * 32,
                "size_bytes": 20,
                "local_path": f"data/{name}/2.jpg",
            },
        ],
        "custom_lora_models": [
            {
                "filename": "actor_V6.safetensors",
                "version": "V6",
                "s3_url": f"{base}/V6.safetensors",
                "size_bytes": 5,
                "last_modified": "2026-01-16T13:28:53+00:00",
            },
            {
                "filename": "actor_V7.safetensors",
                "version": "V7",
                "s3_url": f"{base}/V7.safetensors",
                "size_bytes": 6,
                "good": True,
            },
        ],
    } | changes


def test_a_manifest_brings_states_hashes_and_models_and_twice_changes_nothing(
    db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actor = make_actor(images=0)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest(actor)))
    call_command("import_manifests", tmp_path)
    first, second = actor.dataset.images.all()
    assert (first.url, first.state, first.etag) == (
        f"s3://studio-assets/training/{actor.name}/1.jpg",
        State.SYNCED,
        "a" * 32,
    )
    assert (second.url, second.state, second.size_bytes) == ("", State.LOCAL_ONLY, 20)
    actor.dataset.refresh_from_db()
    assert actor.dataset.local_path == f"data/{actor.name}"
    good = actor.versions.get(is_good=True)
    assert (good.name, good.lora_bytes, actor.versions.count()) == ("V7", 6, 2)
    actor.refresh_from_db()
    assert actor.versions_made == 7
    capsys.readouterr()
    call_command("import_manifests", tmp_path)
    assert capsys.readouterr().out == "manifest.json: 0 images new, 0 changed, 2 unchanged.\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not of type 'object'"),
        ('{"character_name": "nobody"}', "no actor 'nobody'"),
        ('{"character_name": "x", "training_data": [{"filename": 3}]}', "training_data.0.filename"),
    ],
)
def test_a_wrong_manifest_is_one_line_and_nothing_is_written(
    db: None, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(manifest(make_actor(images=0))))
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(CommandError, match=f"b.json: .*{said}"):
        call_command("import_manifests", tmp_path)
    assert not TrainingImage.objects.exists()
