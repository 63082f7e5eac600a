"""Versions in the JSON of the old system: ``training-versions`` and ``validated_lora_model``.

Like the registry, an imported version keeps the JSON it came with (``TrainingVersion.source``), and
what goes out keeps the spelling that came in wherever the value is still the same.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from actors import storage
from actors.models import Actor, iso
from training.models import ACTIVE, PARAMETER_NAMES, Status, TrainingVersion
from training.parameters import Parameters

#: Old words to states. An unfinished one is taken over as a job that RunPod may still know.
STATUSES = {
    "pending": Status.TRAINING,
    "training": Status.TRAINING,
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
}
REQUIRED = {"id": str, "name": str, "timestamp": str, "parameters": dict, "status": str}
OPTIONAL = {"description": str, "loraUrl": str, "error": str, "imageCount": int, "isGood": bool}
MOMENTS = ("timestamp", "completedAt", "failedAt")
MAX_TEXT = 100_000
MAX_INTEGER = 2**31 - 1
LONGEST = {"id": 200, "name": 200, "loraUrl": 1200}


class WireError(Exception):
    """The JSON is not a list of training versions; the message names index, id and field."""


# Out


def to_wire(version: TrainingVersion) -> dict[str, Any]:
    """One version as the old clients read it."""
    finished = {Status.COMPLETED: "completedAt", Status.FAILED: "failedAt"}.get(Status(version.status))
    wire: dict[str, Any] = {
        "id": version.public_id,
        "name": version.name,
        "description": version.description,
        "timestamp": iso(version.created_at),
        "parameters": version.parameters(),
        "status": version.wire_status,
        "loraUrl": version.lora_address,
        "error": version.error,
        "imageCount": version.image_count,
        "isGood": version.is_good,
    }
    if finished and version.finished_at:
        wire[finished] = iso(version.finished_at)
    came: dict[str, Any] = json.loads(version.source) if version.source else {}
    wire = {key: value for key, value in wire.items() if value not in ("", None) or key in came}
    for key in ("isGood", "imageCount"):
        if came and not wire[key] and key not in came:
            del wire[key]
    wire = {key: value for key, value in wire.items() if value or came.get(key, "") is not None}
    return came | {key: keep_spelling(key, came.get(key), value) for key, value in wire.items()}


def keep_spelling(key: str, came: Any, value: Any) -> Any:
    """What came in if it says the same as ``value``, else ``value``."""
    if came is None:
        return value
    if key in (*MOMENTS, "marked_at"):
        moment = parse_datetime(came) if isinstance(came, str) else None
        return came if moment and timezone.is_aware(moment) and iso(moment) == value else value
    if key == "parameters" and isinstance(came, dict):
        return came if known_parameters(came) == value else value
    return value


def validated_lora_model(version: TrainingVersion, came: dict[str, Any] | None) -> dict[str, Any]:
    """The good version as ``actors.json`` shows it."""
    came = came if came and came.get("version_id") == version.public_id else {}
    value = {
        "version_id": version.public_id,
        "version_name": version.name,
        "lora_url": version.lora_address or None,
        "marked_at": iso(version.good_at) if version.good_at else None,
        "parameters": version.parameters(),
    }
    if came.get("lora_url") and storage.display_url(came["lora_url"]) == value["lora_url"]:
        value["lora_url"] = came["lora_url"]
    if came and "parameters" not in came and not value["parameters"]:
        del value["parameters"]
    return came | {key: keep_spelling(key, came.get(key), value[key]) for key in value}


# In


@dataclass
class Outcome:
    """What an import of versions did, and what people should know about it."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    warnings: list[str] = field(default_factory=list)


def check(versions: Any) -> list[dict[str, Any]]:
    """The list if every version is readable. Raises ``WireError``."""
    if isinstance(versions, dict):
        versions = versions.get("versions")
    if not isinstance(versions, list):
        raise WireError('Training versions come as {"versions": [...]}.')
    seen: set[str] = set()
    for index, version in enumerate(versions):
        if not isinstance(version, dict):
            raise WireError(f"Version {index}: not an object.")
        problem = find_problem(version) or ("id: stands twice in the list" if version["id"] in seen else "")
        if problem:
            raise WireError(f"Version {index} (id {version.get('id')!r}): {problem}.")
        seen.add(version["id"])
    return versions


def find_problem(version: dict[str, Any]) -> str:
    """What is wrong with one version as ``field: what``; empty when nothing is."""
    for key, kind in (REQUIRED | OPTIONAL).items():
        value = version.get(key)
        if (value is None and key in REQUIRED) or (value is not None and not isinstance(value, kind)):
            return f"{key}: must be {_words(kind)}"
        if isinstance(value, str) and (len(value) > LONGEST.get(key, MAX_TEXT) or "\0" in value):
            return f"{key}: longer than {LONGEST.get(key, MAX_TEXT)} characters, or not text"
    for key in MOMENTS:
        if version.get(key) is not None and read_moment(version[key]) is None:
            return f"{key}: must be a time like 2026-01-31T09:30:00.000Z"
    if version["status"] not in STATUSES:
        return f"status: must be one of {', '.join(STATUSES)}, not {version['status']!r}"
    if not 0 <= (version.get("imageCount") or 0) <= MAX_INTEGER:
        return f"imageCount: must be between 0 and {MAX_INTEGER}"
    return "" if version["id"] else "id: is empty"


@transaction.atomic
def import_versions(actor: Actor, versions: list[dict[str, Any]]) -> Outcome:
    """Adds the versions of an old file (newest first) and updates those it brought before."""
    outcome = Outcome()
    here = {version.public_id: version for version in actor.versions.all()}
    busy = any(version.is_active for version in here.values())
    for wire in reversed(versions):
        version = here.get(wire["id"])
        if version and json.loads(version.source or "null") == wire:
            outcome.unchanged += 1
            continue
        if version and not version.source:
            outcome.warnings.append(f"{version.name} was trained here: kept as it is.")
            continue
        status = STATUSES[wire["status"]]
        if status in ACTIVE and (busy or wire is not versions[0]):
            status = Status.FAILED
            outcome.warnings.append(f"{wire['name']} never finished in the old system: taken in as failed.")
        outcome.changed += version is not None
        outcome.created += version is None
        write_version(actor, version, wire, status)
    good = [wire["id"] for wire in versions if wire.get("isGood")]
    if good:
        mark_imported_good(actor, good[0], outcome)
    for public_id in good[1:]:
        outcome.warnings.append(f"{public_id} was marked good too: only the newest stays good.")
    return outcome


def write_version(
    actor: Actor, version: TrainingVersion | None, wire: dict[str, Any], status: Status
) -> TrainingVersion:
    """A row from the wire's fields. V-numbers come from the name where it has one that is free."""
    if version is None:
        number = free_number(actor, wire["name"])
        version = TrainingVersion(actor=actor, number=number, public_id=wire["id"])
    version.name, version.description = wire["name"], wire.get("description") or ""
    version.status, version.error = status, wire.get("error") or ""
    if status == Status.FAILED and not version.error:
        ended = wire["status"] == Status.FAILED
        version.error = "No reason was kept." if ended else "Never finished in the old system."
    version.source = json.dumps(wire)
    version.image_count = wire.get("imageCount") or 0
    version.lora_url = wire.get("loraUrl") or ""
    version.lora_name = version.lora_url.rsplit("/", 1)[-1]
    version.created_at = read_moment(wire["timestamp"]) or timezone.now()
    version.finished_at = read_moment(wire.get("completedAt") or wire.get("failedAt"))
    for name, value in known_parameters(wire["parameters"]).items():
        setattr(version, name, value)
    if status in ACTIVE:
        version.job_id, version.submitted_at = wire["id"], version.created_at
    version.save()
    Actor.objects.filter(pk=actor.pk, versions_made__lt=version.number).update(versions_made=version.number)
    return version


def mark_imported_good(actor: Actor, public_id: str, outcome: Outcome) -> None:
    """Marks one of the imported versions unless people here have chosen already."""
    chosen = actor.versions.filter(is_good=True).first()
    version = actor.versions.filter(public_id=public_id).first()
    if version is None or (chosen and chosen.pk == version.pk):
        return
    if chosen:
        outcome.warnings.append(
            f"{version.name} was good there; {chosen.name} is the good version here and stays it."
        )
    elif version.status != Status.COMPLETED:
        outcome.warnings.append(f"{version.name} was marked good there but is {version.status}: not marked.")
    else:
        version.mark_good(reason="Marked good in the old system")


def import_validated(actor: Actor, value: dict[str, Any]) -> TrainingVersion:
    """An incoming ``validated_lora_model`` becomes a completed version, and the good one."""
    moment = read_moment(value.get("marked_at")) or timezone.now()
    version = actor.versions.filter(public_id=value["version_id"]).first()
    wire = {
        "id": value["version_id"],
        "name": value["version_name"],
        "timestamp": iso(version.created_at if version else moment),
        "parameters": value.get("parameters") or {},
        "status": "completed",
        "loraUrl": value.get("lora_url") or "",
        "imageCount": version.image_count if version else 0,
    }
    if version is None or version.source:
        version = write_version(actor, version, wire, Status.COMPLETED)
    if version.status == Status.COMPLETED:
        version.mark_good(reason="Marked good in the registry it came from")
        TrainingVersion.objects.filter(pk=version.pk, is_good=True).update(good_at=moment)
    return version


def free_number(actor: Actor, name: str) -> int:
    """The number in ``V7`` if it is free, else the next one."""
    match = re.fullmatch(r"V([1-9][0-9]{0,6})", name)
    if match and not actor.versions.filter(number=int(match[1])).exists():
        return int(match[1])
    return actor.next_version_number()


def known_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """Those of the eleven that the JSON has with the right type; values may be outside today's ranges."""
    read = Parameters.from_dict(values).to_dict()
    return {name: read[name] for name in PARAMETER_NAMES if name in values and values[name] is not None}


def read_moment(value: Any) -> datetime | None:
    """An aware moment, or ``None`` when the text is not one; UTC where no zone is named."""
    try:
        moment = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return timezone.make_aware(moment) if moment and timezone.is_naive(moment) else moment


def _words(kind: type) -> str:
    return {str: "a text", dict: "an object", int: "a whole number", bool: "true or false"}[kind]
