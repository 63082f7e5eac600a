"""``manage.py import_actors``: a registry from a file, a URL or standard input."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from actors import registry
from actors.management.reading import one_line_errors, read_source


class Command(BaseCommand):
    """Takes in a registry, all or nothing."""

    help = "Import actors.json from a file, a URL, or - for standard input. Importing twice changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Source, and whether to write."""
        parser.add_argument("source", metavar="FILE_OR_URL_OR_-")
        parser.add_argument("--dry-run", action="store_true", help="print the difference, write nothing")

    def handle(self, *, source: str, dry_run: bool, **_: Any) -> None:
        """Plans, prints, and applies unless it is a dry run."""
        with one_line_errors(registry.RegistryError):
            records = registry.parse(read_source(source))
            if dry_run:
                plan = registry.plan_import(records)
                self.stdout.writelines(f"{line}\n" for line in plan.lines())
                self.stdout.write(f"Dry run, nothing written: {plan.summary()}.")
            else:
                self.stdout.write(f"Imported: {registry.import_records(records).summary()}.")
