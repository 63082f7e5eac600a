"""``manage.py measure_likeness``: scores from the shell, now and in this process."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.management.commands.train_actor import find_actor
from training.models import Status, TrainingVersion, TrainingVersionQuerySet, VersionScore
from training.scores import measure_others_later, score_of


class Command(BaseCommand):
    """Measures completed versions and says what came out, a line each."""

    help = (
        "Measure how like their actor versions draw. That one can't be measured is an answer too. Exit code "
        "1 when there is nothing to measure or pictures are out of reach, 2 for wrong arguments."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """One actor, some of its versions, or everybody."""
        parser.add_argument("actor", nargs="?", metavar="ACTOR", help="registry id or name")
        parser.add_argument(
            "versions", nargs="*", metavar="VERSION", help="V3 …; all completed ones when left out"
        )
        parser.add_argument("--all", action="store_true", help="all completed versions of all actors")

    def handle(self, *, actor: str | None, versions: list[str], **options: Any) -> None:
        """What is unchanged since it was measured is not measured again."""
        if bool(actor) is options["all"]:
            raise CommandError("Name an ACTOR, or give --all.", returncode=2)
        found = chosen(actor, versions) if actor else completed()
        out_of_reach = measured = 0
        try:
            for version in found.select_related("actor").order_by("actor", "number").iterator(100):
                score = score_of(version)
                measure_others_later(score)
                self.stdout.write(f"{version.actor.number} {version.name}: {said(score)}")
                measured += 1
                out_of_reach += score.retry_at is not None
        except KeyboardInterrupt:
            raise CommandError(
                f"Stopped after {measured}. What was measured stays.", returncode=130
            ) from None
        if not measured:
            raise CommandError("There is nothing to measure: no version has completed.")
        if out_of_reach:
            raise CommandError(f"The pictures of {out_of_reach} could not be reached. Try again later.")


def completed() -> TrainingVersionQuerySet:
    """Only these have a score."""
    return TrainingVersion.objects.filter(status=Status.COMPLETED)


def chosen(actor: str, names: list[str]) -> TrainingVersionQuerySet:
    """An actor's completed versions, or those that are named. Raises ``CommandError``."""
    person = find_actor(actor)
    found = completed().filter(actor=person)
    if not names:
        return found
    states = dict(person.versions.values_list("name", "status"))
    for name in names:
        if name not in states:
            there = ", ".join(states) or "none"
            raise CommandError(f"{person.name} has no version {name!r}. There are: {there}.")
        if states[name] != Status.COMPLETED:
            raise CommandError(f"{name} is {states[name]}: only a completed version has a score.")
    return found.filter(name__in=names)


def said(score: VersionScore) -> str:
    """``91 % ± 4, bleed 3 % ± 2, from 4 samples of step 400, against 15 training images``."""
    if not score.is_measured:
        return f"can't be measured. {score.reason}"
    bleed = f", bleed {score.bleed_words}" if score.bleed is not None else ""
    return f"{score.words}{bleed}, from {score.measured_on}"
