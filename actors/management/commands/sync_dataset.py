"""``manage.py sync_dataset``: is what the database says of the object store true?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from actors import sync, tasks
from actors.models import TrainingDataset


class Command(BaseCommand):
    """Pushes local-only images, compares with the store, and reports per actor."""

    help = "Push local-only images, compare with the object store; exits 1 when something is missing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom."""
        whom = parser.add_mutually_exclusive_group(required=True)
        whom.add_argument("actor", nargs="?", help="name or registry id")
        whom.add_argument("--all", action="store_true", help="every actor that is not retired")
        parser.add_argument("--no-push", action="store_true", help="only compare")

    def handle(self, *, actor: str | None, no_push: bool, **_: Any) -> None:
        """One line per dataset."""
        datasets = TrainingDataset.objects.select_related("actor").filter(actor__retired_at=None)
        if actor is not None:
            by_id = datasets.filter(actor=int(actor)) if actor.isdecimal() and len(actor) < 19 else None
            datasets = by_id if by_id is not None and by_id.exists() else datasets.filter(actor__name=actor)
            if not datasets.exists():
                raise CommandError(f"There is no actor {actor} with a dataset.")
        wrong = 0
        for dataset in datasets.order_by("actor__position", "actor_id").iterator(chunk_size=100):
            refused = [] if no_push else sync.push_local(dataset)
            report = sync.sync_dataset(dataset)
            tasks.inspect_later(dataset)
            self.stdout.write(f"{dataset.actor.pk} {dataset.actor.name}: {report.summary()}.")
            for line in refused:
                self.stderr.write(f"{dataset.actor.pk} {dataset.actor.name}: {line}")
            wrong += bool(report.missing or report.unasked or refused)
        if wrong:
            raise CommandError(
                f"{wrong} dataset{'s' if wrong > 1 else ''} with something missing or refused."
            )
