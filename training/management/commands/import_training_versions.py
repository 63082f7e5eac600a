"""``manage.py import_training_versions``: the old system's ``{actor id}.json`` files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from actors.management.reading import one_line_errors
from actors.models import Actor
from training import wire


class Command(BaseCommand):
    """Takes in versions, all files or none."""

    help = "Import training versions from {actor id}.json or a folder of such files. Twice changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Source, and the actor where the file's name does not tell."""
        parser.add_argument("source", metavar="DIR_OR_FILE", type=Path)
        parser.add_argument("--actor", type=int, help="registry id, for a file that is not called {id}.json")

    def handle(self, *, source: Path, actor: int | None, **_: Any) -> None:
        """Reads everything first, then writes in one transaction."""
        with one_line_errors(wire.WireError):
            files = sorted(source.glob("*.json")) if source.is_dir() else [source]
            if not files:
                raise CommandError(f"No .json files in {source}.")
            lists = [(file, self.actor_of(file, actor), self.read(file)) for file in files]
            with transaction.atomic():
                outcomes = [(file, wire.import_versions(who, versions)) for file, who, versions in lists]
        for file, outcome in outcomes:
            counts = f"{outcome.created} new, {outcome.changed} changed, {outcome.unchanged} unchanged"
            self.stdout.write(f"{file.name}: {counts}.")
            for warning in outcome.warnings:
                self.stderr.write(f"{file.name}: {warning}")

    def actor_of(self, file: Path, given: int | None) -> Actor:
        """The actor that the file is about."""
        number = given if given is not None else int(file.stem) if file.stem.isdecimal() else None
        if number is None:
            raise CommandError(f"{file.name} is not called {{actor id}}.json: name the actor with --actor.")
        actor = Actor.objects.filter(pk=number).first()
        if actor is None:
            raise CommandError(f"{file.name}: there is no actor {number}. Import the registry first.")
        return actor

    def read(self, file: Path) -> list[dict[str, Any]]:
        """The file's versions, checked."""
        try:
            return wire.check(json.loads(file.read_bytes()))
        except (ValueError, RecursionError) as error:
            raise CommandError(f"{file.name} is not JSON: {error}") from error
        except wire.WireError as error:
            raise CommandError(f"{file.name}: {error}") from error
