"""Custom LoRA models of a predecessor's manifest as completed versions."""

from __future__ import annotations

import re
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from actors.models import Actor
from training.models import Status, TrainingVersion


@transaction.atomic
def take_models(actor: Actor, entries: list[dict[str, Any]]) -> list[str]:
    """Writes each model that has no version here yet; returns a line for each that made a difference."""
    said = []
    for entry in entries:
        match = re.fullmatch(r"V([1-9][0-9]{0,6})", str(entry.get("version") or ""))
        if match is None:
            said.append(f"{entry['filename']}: no version such as V7, left out")
            continue
        number = int(match[1])
        version = actor.versions.filter(number=number).first()
        if version is None:
            version = _create(actor, number, entry)
            said.append(f"{version.name}: {entry['filename']}")
        elif version.lora_bytes is None and entry.get("size_bytes"):
            version.lora_bytes = entry["size_bytes"]
            version.save(update_fields=["lora_bytes", "updated_at"])
        if entry.get("good") is True and version.status == Status.COMPLETED and not version.is_good:
            chosen = actor.versions.filter(is_good=True).first()
            if chosen:
                said.append(f"{version.name} was good there; {chosen.name} is good here and stays it")
            else:
                version.mark_good(reason="Marked good in the old system's manifest")
    return said


def _create(actor: Actor, number: int, entry: dict[str, Any]) -> TrainingVersion:
    moment = parse_datetime(str(entry.get("last_modified") or "")) or timezone.now()
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    version = TrainingVersion.objects.create(
        actor=actor,
        number=number,
        status=Status.COMPLETED,
        lora_url=entry.get("s3_url") or "",
        lora_name=entry["filename"],
        lora_bytes=entry.get("size_bytes"),
        created_at=moment,
        finished_at=moment,
    )
    Actor.objects.filter(pk=actor.pk, versions_made__lt=number).update(versions_made=number)
    return version
