"""``manage.py import_manifests``: the predecessor's manifest of each actor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from actors import manifests, tasks
from actors.management.reading import one_line_errors
from training.custom_models import take_models


class Command(BaseCommand):
    """Takes in manifests, all files or none."""

    help = (
        "Import per-actor manifests (images with state and hash, custom LoRA models). Twice changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """A folder, or one file."""
        parser.add_argument("source", metavar="DIR_OR_FILE", type=Path)

    def handle(self, *, source: Path, **_: Any) -> None:
        """Reads everything first, then writes in one transaction."""
        with one_line_errors(manifests.ManifestError):
            files = sorted(source.rglob("*.json")) if source.is_dir() else [source]
            if not files:
                raise CommandError(f"No .json files in {source}.")
            read = [(file, *self.read(file)) for file in files]
            with transaction.atomic():
                transaction.on_commit(tasks.inspect_soon)
                for file, actor, manifest in read:
                    taken = manifests.take_images(actor, manifest)
                    models = take_models(actor, manifest.get("custom_lora_models") or [])
                    self.stdout.write(
                        f"{file.name}: {taken.new} images new, {taken.changed} changed, "
                        f"{taken.unchanged} unchanged."
                    )
                    for line in models:
                        self.stdout.write(f"{file.name}: {line}")

    def read(self, file: Path) -> tuple[Any, dict[str, Any]]:
        """The actor and the checked manifest."""
        try:
            manifest = manifests.parse(file.read_bytes())
            return manifests.actor_of(manifest), manifest
        except manifests.ManifestError as error:
            raise CommandError(f"{file.name}: {error}") from error
