"""``manage.py train_batch``: many actors from the shell."""

from __future__ import annotations

import math
import sys
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from training import batch_choice, batch_launches, batch_plan, batch_planning, batch_totals, batches
from training.batch_choice import Choice
from training.batch_recipe import Recipe
from training.management.commands.train_actor import find_person, look, parse
from training.models import Batch, TrainingVersion
from training.parameters import ParameterErrors

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LOOK_SECONDS = 2


class Command(BaseCommand):
    """Plans a batch and begins it; with ``--wait``, shows it to its end."""

    help = (
        "Train many actors. Exit code 1 when nothing can start or a training failed, 2 for wrong arguments, "
        "3 when it was cancelled or paused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, how, and within which limits."""
        parser.add_argument("actors", nargs="*", metavar="ACTOR", help="registry ids or names")
        parser.add_argument(
            "--csv", metavar="FILE", help="a list of ids, with or without a column id; - reads stdin"
        )
        parser.add_argument(
            "--fit-without-good", action="store_true", help="everyone who can train and has no good version"
        )
        parser.add_argument("--name", default="", help="what the batch is called")
        parser.add_argument("--preset", default="balanced")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="max_train_steps=300 …, for every actor",
        )
        parser.add_argument("--concurrency", type=int, default=1, metavar="N", help="trainings at once")
        parser.add_argument("--budget", metavar="DOLLARS", help="a ceiling that is never crossed")
        parser.add_argument(
            "--by", default="", metavar="PERSON", help="whose batch it is, and whose budget it uses"
        )
        parser.add_argument("--wait", action="store_true", help="show the progress, end with the batch")
        parser.add_argument("--dry-run", action="store_true", help="print the plan, write and launch nothing")

    def handle(self, *, dry_run: bool, wait: bool, **options: Any) -> None:
        """Plans, begins, and watches, as the pages do."""
        chosen = self.choose(options)
        settings = {
            "preset": options["preset"],
            "parameters": parse(options["set"]),
            "concurrency": options["concurrency"],
            "ceiling": dollars(options["budget"]),
        }
        try:
            if dry_run:
                self.show(Batch(**settings), chosen)
                return
            by = find_person(options["by"])
            batch = batch_plan.make(chosen.ids, by=by, name=options["name"], **settings)
        except (batch_plan.CannotPlan, ParameterErrors) as error:
            raise CommandError(str(error)) from error
        self.begin(batch, by)
        self.stdout.write(f"Batch {batch.pk} “{batch.name}” has begun: {batch.counts_in_words()}.")
        if wait:
            self.wait(batch)

    def begin(self, batch: Batch, by: User | None) -> None:
        """Looks at the actors in this process: no task queue has to run."""
        trouble = ""
        try:
            batches.begin(batch, by)
            batch_planning.run(batch.pk, seconds=math.inf)
        except batches.NotPossible as error:
            trouble = str(error)
        batch.refresh_from_db()
        if trouble := trouble or batch.planning.trouble:
            why = "; ".join(f"{number} × {reason}" for reason, number in batch_totals.reasons(batch)[:3])
            batches.discard(batch)
            raise CommandError(f"{trouble} {why}".strip())

    def choose(self, options: dict[str, Any]) -> Choice:
        """Everyone who is named; unknown names end it before anything begins."""
        words = [word for word in options["actors"] if word.strip()]
        found = batch_choice.by_words(words) if words else Choice()
        if options["csv"]:
            more = batch_choice.by_list(read(options["csv"]))
            found = Choice([*found.ids, *more.ids], [*found.unknown, *more.unknown])
        if options["fit_without_good"]:
            found.ids += batch_choice.fit_without_good().ids
        if found.complaint:
            raise CommandError(found.complaint)
        if not found.ids:
            everyone = options["fit_without_good"]
            raise CommandError(
                "Nobody is fit without a good version."
                if everyone
                else "Name actors, --csv or --fit-without-good.",
                returncode=1 if everyone else 2,
            )
        return found

    def show(self, batch: Batch, chosen: Choice) -> None:
        """The plan as a table, and its sums."""
        batch_plan.check_limits(batch)
        items = batch_plan.evaluate(chosen.ids, Recipe(batch.preset, batch.parameters))
        for item in items:
            about = item.reason
            if not about:
                about = f"{item.parameters['max_train_steps']} steps on {item.image_count} images"
                about += f", {item.seconds:.0f} s" + (f", ${item.cost:.2f}" if item.cost is not None else "")
            self.stdout.write(f"{item.actor_id:04d}  {'no ' if item.reason else 'yes'}  {about}")
        ready = [item for item in items if not item.reason]
        cost = sum((item.cost or Decimal(0) for item in ready), Decimal(0))
        hours = sum(item.seconds for item in ready) / 3600
        price = f", ${cost:.2f}" if cost else ""
        self.stdout.write(f"{len(ready)} of {len(items)} can start: {hours:.1f} hours of training{price}.")

    def wait(self, batch: Batch) -> None:
        """Follows the batch to its end, also where no task queue runs. Ctrl-C only stops looking."""
        total = batch.items.filter(state="waiting").count()
        with tqdm(total=total, unit="actor", disable=None) as bar:
            try:
                while batch.is_open:
                    # The sweep does the same where a task queue runs; either finds what the other has done.
                    batch_launches.advance()
                    for version in TrainingVersion.objects.active().filter(batch_item__batch=batch):
                        look(version)
                    batch_launches.advance()
                    batch.refresh_from_db()
                    bar.set_description(batch.state)
                    bar.update(batch.counts().get("completed", 0) - bar.n)
                    if batch.state == "paused" and not batch.items.filter(state="launched").exists():
                        break
                    if batch.is_open:
                        time.sleep(LOOK_SECONDS)
            except KeyboardInterrupt:
                raise CommandError("No longer watching; the batch goes on.", returncode=130) from None
        words = f"Batch {batch.pk} is {batch.state}: {batch.counts_in_words()}. {batch.note}".strip()
        if batch.state != "done":
            raise CommandError(words, returncode=3)
        if batch.counts().get("failed"):
            raise CommandError(words)
        self.stdout.write(words)


def read(name: str) -> str:
    """A file's text, or what is piped in."""
    if name == "-":
        return sys.stdin.read(batch_choice.MOST_CHARACTERS)
    try:
        with Path(name).open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(batch_choice.MOST_CHARACTERS)
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror}.") from error


def dollars(text: str | None) -> Decimal | None:
    """``12.50``; nothing for no ceiling."""
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or not 0 < amount < 10_000_000:
        raise CommandError(f"--budget wants US dollars above 0, not {text!r}.", returncode=2)
    return amount.quantize(Decimal("0.01"))
