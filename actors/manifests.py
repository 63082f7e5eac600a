"""The predecessor's manifests: one JSON file per actor with its images, their hashes and sync states."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django.db import transaction
from jsonschema import Draft202012Validator

from actors import ingest, storage
from actors.models import Actor, TrainingImage, ensure_dataset

_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_FILE: dict[str, Any] = {
    "type": "object",
    "required": ["filename"],
    "properties": {
        "filename": {"type": "string", "minLength": 1, "maxLength": 300},
        "s3_url": _TEXT | {"maxLength": 1200},
        "status": _TEXT,
        "local_path": _TEXT | {"maxLength": 1000},
        "md5_hash": _TEXT | {"maxLength": 100},
        "size_bytes": {"type": ["integer", "null"], "minimum": 0, "maximum": 2**53},
    },
}
_SCHEMA = Draft202012Validator(
    {
        "type": "object",
        "required": ["character_name"],
        "properties": {
            "character_name": {"type": "string", "minLength": 1},
            "character_id": _TEXT,
            "training_data": {"type": "array", "items": _FILE},
            "custom_lora_models": {"type": "array", "items": _FILE},
        },
    }
)


class ManifestError(Exception):
    """The manifest can't be read; the message names the field, and nothing was written."""


@dataclass
class Taken:
    """What a manifest changed."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0


def parse(text: bytes) -> dict[str, Any]:
    """A checked manifest. Raises ``ManifestError``."""
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"not JSON: {error}") from None
    for wrong in sorted(_SCHEMA.iter_errors(manifest), key=lambda each: list(map(str, each.path))):
        where = ".".join(map(str, wrong.absolute_path))
        raise ManifestError(f"{where}: {wrong.message[:200]}" if where else wrong.message[:200])
    return dict(manifest)


def actor_of(manifest: dict[str, Any]) -> Actor:
    """Whom it is about: by name, else by id. Raises ``ManifestError``."""
    name, number = manifest["character_name"], manifest.get("character_id") or ""
    actor = Actor.objects.filter(name=name).first()
    if actor is None and number.isdecimal():
        actor = Actor.objects.filter(pk=int(number)).first()
    if actor is None:
        raise ManifestError(f"there is no actor {name!r}; import the registry first.")
    return actor


@transaction.atomic
def take_images(actor: Actor, manifest: dict[str, Any]) -> Taken:
    """Writes images with their state and hash. Twice changes nothing; captions made here stay."""
    dataset, taken = ensure_dataset(actor), Taken()
    images = list(dataset.images.all())
    by_url = {image.url: image for image in images if image.url}
    by_name = {image.file_name: image for image in images}
    position = max((image.position for image in images), default=-1)
    for entry in manifest.get("training_data") or []:
        url = _address(entry.get("s3_url") or "")
        name = ingest.safe_name(entry["filename"])
        image = by_url.get(url) if url else None
        image = image or by_name.get(name)
        if image is None:
            position += 1
            image = TrainingImage(dataset=dataset, position=position, file_name=name)
        values = {
            "url": url or image.url,
            "source_url": entry.get("s3_url") or image.source_url,
            "state": _state(entry, image),
            "size_bytes": image.size_bytes if image.inspected_at else entry.get("size_bytes"),
            # A store's ETag is the MD5 of what was uploaded in one piece.
            "etag": image.etag or entry.get("md5_hash") or "",
        }
        differing = [field for field, value in values.items() if getattr(image, field) != value]
        if image.pk and not differing:
            taken.unchanged += 1
            continue
        taken.changed += bool(image.pk)
        taken.new += not image.pk
        for field, value in values.items():
            setattr(image, field, value)
        image.save()
    folders = {
        str(PurePosixPath(entry["local_path"]).parent)
        for entry in manifest.get("training_data") or []
        if entry.get("local_path")
    }
    if len(folders) == 1 and not dataset.local_path:
        dataset.local_path = folders.pop()
        dataset.save(update_fields=["local_path", "updated_at"])
    if taken.new or taken.changed:
        dataset.touch()
    return taken


def _address(source: str) -> str:
    address = storage.parse(source) if source else None
    return address.s3 if address else source


def _state(entry: dict[str, Any], image: TrainingImage) -> str:
    """The manifest's word, unless a comparison with the store knows better."""
    if image.checked_at:
        return image.state
    synced = entry.get("status") == "synced" and entry.get("s3_url")
    return TrainingImage.State.SYNCED if synced else TrainingImage.State.LOCAL_ONLY
