"""``manage.py check_budgets``: compares the ledger of budgets with the trainings."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.budget_check import drift


class Command(BaseCommand):
    """Says what is wrong, and repairs it when asked to."""

    help = "Compare the ledger of budgets with the trainings. Exit code 1 when it is wrong and not repaired."

    def add_arguments(self, parser: CommandParser) -> None:
        """Only to look, or to repair."""
        parser.add_argument("--repair", action="store_true", help="put right what is wrong")

    def handle(self, *, repair: bool, **_: Any) -> None:
        """A line for each trouble."""
        found = 0
        for line in drift(repair=repair):
            found += 1
            self.stdout.write(line)
        if not found:
            self.stdout.write("The ledger is true.")
        elif repair:
            self.stdout.write(f"{found} repaired.")
        else:
            raise CommandError(f"{found} wrong. Repair them with --repair.")
