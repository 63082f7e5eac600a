"""Kill the task queue while a batch is planned and while it runs, and prove that no actor was trained twice.

The real site, the real task queue and the RunPod simulator run as processes, as in ``tests.faults.run``.
On PostgreSQL: ``python -m tests.postgres python -m tests.faults.batch``.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.people import People
    from tests.faults.studio import Studio
    from training.models import Batch


PLANNING_KILLS = 3
#: The watchdog looks each minute.
PATIENCE = 90


def main() -> int:
    """0 when every promise holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.batch", description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--actors", type=int, default=30)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="actortrain-batch-", ignore_cleanup_errors=True) as room:
        return run(Path(room), options.kills, options.actors, options.at_once, options.seed)


def run(room: Path, kills: int, actors: int, at_once: int, seed: int) -> int:
    """Begins the batch, kills until it is done, and judges."""
    from tests.faults.studio import Studio

    database = os.environ.get("ACTORTRAIN_TEST_DATABASE_URL") or f"sqlite:///{room / 'batch.sqlite3'}"
    studio = Studio(room, database, seed)
    os.environ.update(studio.environment)
    import django

    django.setup()
    from django.core.management import call_command

    from tests.faults.people import People
    from training import batch_plan, batches

    call_command("migrate", verbosity=0)
    chance = random.Random(seed)
    people = People(f"http://127.0.0.1:{studio.web}", actors, chance)
    try:
        studio.start()
        studio.wait_for_web()
        chosen = [actor.pk for actor in people.actors]
        batch = batch_plan.make(chosen, by=None, concurrency=at_once, parameters={"max_train_steps": 60})
        batches.begin(batch, None)
        killed = kill_while_planning(studio, batch, chance)
        killed += kill_until_done(studio, people, batch, kills, chance)
        rest(studio, people, batch)
        wrong = breaches_of(studio, batch)
    finally:
        studio.stop()
    print(f"{actors} actors, {at_once} at once, killed {sum(killed.values())} times:")
    print(*(f"  {times} × at {words}" for words, times in killed.items()), sep="\n")
    print(f"decisions of people: {dict(Counter(people.decisions))}")
    print(*wrong or ["Every promise holds."], sep="\n")
    return 1 if wrong else 0


def kill_while_planning(studio: Studio, batch: Batch, chance: random.Random) -> Counter[str]:
    """A task that was taken and died comes back after ten minutes: the sweep has to find the batch."""
    seen: Counter[str] = Counter()
    for _ in range(PLANNING_KILLS):
        time.sleep(chance.uniform(0, 1.5))
        studio.kill("tasks")
        batch.refresh_from_db()
        seen["planning" if batch.is_planning else batch.counts_in_words()] += 1
        studio.start("tasks")
    end = time.monotonic() + PATIENCE
    while batch.is_planning and time.monotonic() < end:
        time.sleep(0.1)
        batch.refresh_from_db()
    return seen


def kill_until_done(
    studio: Studio, people: People, batch: Batch, kills: int, chance: random.Random
) -> Counter[str]:
    """SIGKILL for the whole task queue at random moments. Counts in which states items were then."""
    seen: Counter[str] = Counter()
    for _ in range(kills):
        wait_for_a_sweep()
        time.sleep(chance.uniform(0, 3))
        studio.kill("tasks")
        batch.refresh_from_db()
        if not batch.is_open:
            break
        seen[batch.counts_in_words()] += 1
        people.decide(studio.control()["jobs"])
        time.sleep(chance.uniform(0, 0.5))
        studio.start("tasks")
    else:
        return seen
    studio.start("tasks")
    return seen


def wait_for_a_sweep(seconds: float = 30) -> None:
    """Until the new task queue has begun to look after things: killed earlier, nothing happens at all."""
    from django.utils import timezone

    from training.leases import Lease

    began, end = timezone.now(), time.monotonic() + seconds
    while time.monotonic() < end and not Lease.objects.filter(name="sweep", seen_at__gt=began).exists():
        time.sleep(0.1)


def rest(studio: Studio, people: People, batch: Batch, seconds: float = 240) -> None:
    """Until the batch has ended; people only decide about answers that were lost."""
    from training.sweeping import work_left

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        batch.refresh_from_db()
        if not batch.is_open and not work_left():
            return  # also the previews of the last ones are drawn
        people.decide(studio.control()["jobs"])
        time.sleep(0.3)


def breaches_of(studio: Studio, batch: Batch) -> list[str]:
    """What does not hold: of every training, and of the batch."""
    from tests.faults.truth import breaches
    from training.models import TrainingVersion

    made = {str(pk): pk for pk in TrainingVersion.objects.values_list("pk", flat=True)}
    found = breaches(studio.control(), made)
    batch.refresh_from_db()
    if batch.state != "done":
        found.append(f"the batch is {batch.state}: {batch.note} {batch.counts_in_words()}")
    for item in batch.items.select_related("actor", "version"):
        versions = list(TrainingVersion.objects.filter(actor=item.actor))
        if versions != [item.version] or item.state != "completed":
            found.append(f"{item.actor}: {item.state}, {len(versions)} versions")
    return found


if __name__ == "__main__":
    sys.exit(main())
