"""``manage.py sync_registry``: follow another registry now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from actors import following, registry
from actors.management.reading import one_line_errors, read_source
from actors.sources import RegistrySource, Rule


class Command(BaseCommand):
    """Reads one registry, or all configured sources, and applies the difference by rule."""

    help = (
        "Read a registry (file, URL, - for standard input, or the name of a configured source), show the "
        "difference, and apply it by rule. Without an argument: every active source."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Source, rule, and whether to write."""
        parser.add_argument("source", nargs="?", metavar="FILE_OR_URL_OR_NAME")
        parser.add_argument(
            "--rule", choices=Rule.values, help="which side wins (default: the source's own, else ask)"
        )
        parser.add_argument("--dry-run", action="store_true", help="print the difference, write nothing")

    def handle(self, *, source: str | None, rule: str | None, dry_run: bool, **_: Any) -> None:
        """One after the other; a source that fails does not keep the others from running."""
        sources = self.find(source, rule)
        failures = []
        for each in sources:
            try:
                with one_line_errors(registry.RegistryError, ValueError):
                    self.stdout.write(f"{each.name}: {self.follow(each, dry_run=dry_run)}")
            except CommandError as error:
                failures.append(f"{each.name}: {error}")
                if each.pk and not dry_run:
                    each.finish(str(error), failed=True)
        if failures:
            raise CommandError("; ".join(failures))

    def find(self, source: str | None, rule: str | None) -> list[RegistrySource]:
        """The configured sources that are meant, or one made up for an address."""
        if source is None:
            sources = list(RegistrySource.objects.filter(is_active=True))
            if not sources:
                raise CommandError(
                    "No registry source is set up. Add one in the admin, or name a file or URL."
                )
        else:
            known = RegistrySource.objects.filter(name=source).first()
            sources = [known or RegistrySource(name=source[:100], address=source, rule=Rule.ASK)]
        for each in sources:
            each.rule = rule or each.rule
        return sources

    def follow(self, source: RegistrySource, *, dry_run: bool) -> str:
        """Prints the difference; the result in one line."""
        text = read_source(source.address)
        plan = following.narrow(registry.plan_import(registry.parse(text)), source.rule)
        self.stdout.writelines(f"{line}\n" for line in following.differences(plan))
        if dry_run:
            return f"dry run, nothing written: {plan.summary()}."
        known = source if source.pk else None
        result = following.take_in(text.decode("utf-8-sig"), source.name, source.rule, known)
        if known:
            known.finish(result)
        return result
