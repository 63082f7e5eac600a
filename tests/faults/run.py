"""``python -m tests.faults.run``: kill, restart, and prove that every training ends with the truth.

Starts the real site (gunicorn), the task queue and the RunPod simulator as processes. While people launch
and cancel, one or all of them are killed with SIGKILL at a random moment and started again. On PostgreSQL:
``python -m tests.postgres python -m tests.faults.run``. Chance is seeded; processes race all the same.
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

VICTIMS = ("web", "tasks", "sweep", "front", "everything")
#: Each holds for some rounds. The id's suffix is never changed: it is part of the endpoint's nature.
WEATHER: tuple[dict[str, object], ...] = (
    {},
    {"webhook": "triple"},
    {"webhook": "lost"},
    {"accepted_answer": "hang_up"},
    {"broken": {"run": "hang_up"}, "broken_share": 0.5},
    {"register_seconds": 30},
    {"progress": "none"},
    {"broken": {"status": "503"}, "broken_share": 0.3},
    {"outcome": "FAILED"},
    {"progress": "out_of_order", "worker_retries": 1},
    {"broken": {"status": "429", "run": "429"}, "broken_share": 0.2},
)


def main() -> int:
    """0 when every promise holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--actors", type=int, default=6)
    parser.add_argument("--keep", type=Path, help="leave database and logs here")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="actortrain-faults-", ignore_cleanup_errors=True) as temporary:
        room = options.keep or Path(temporary)
        room.mkdir(parents=True, exist_ok=True)
        return run(room, options.rounds, options.seed, options.actors)


def run(room: Path, rounds: int, seed: int, actors: int) -> int:
    """Prepares, kills for so many rounds, waits for rest, and judges."""
    from tests.faults.studio import Studio

    database = os.environ.get("ACTORTRAIN_TEST_DATABASE_URL") or f"sqlite:///{room / 'faults.sqlite3'}"
    studio = Studio(room, database, seed)
    os.environ.update(studio.environment)
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from tests.faults.people import People

    call_command("migrate", verbosity=0)
    chance = random.Random(seed)
    people = People(f"http://127.0.0.1:{studio.web}", actors, chance)
    began = time.monotonic()
    tally: Counter[tuple[str, str]] = Counter()
    try:
        studio.start()
        studio.wait_for_web()
        for number in range(rounds):
            if number % 4 == 0:
                weather = WEATHER[(number // 4) % len(WEATHER)]
                studio.control(id_suffix="-e1", **weather)
            victim, stages = one_round(studio, people, chance)
            tally.update((victim, stage) for stage in stages or ["nothing"])
            print(f"{number + 1:4} {victim:10} {', '.join(stages)}", flush=True)
        studio.control(id_suffix="-e1")
        rested = rest(studio, people)
        wrong = judge(studio, people, rested=rested)
        accepted = studio.control()["accepted"]
    finally:
        studio.stop()
    report(connection.vendor, rounds, seed, tally, people, accepted, time.monotonic() - began)
    print(*wrong or ["Every promise holds."], sep="\n")
    return 1 if wrong else 0


def one_round(studio: Studio, people: People, chance: random.Random) -> tuple[str, list[str]]:
    """Something is killed at a random moment while trainings are on their way. Which, and where they were."""
    from training.models import ACTIVE, TrainingVersion

    people.act(studio.control()["jobs"])
    if chance.random() < 0.15:
        people.cancel_one()
    time.sleep(chance.uniform(0, 3))
    victim = chance.choice(VICTIMS)
    active = TrainingVersion.objects.filter(status__in=ACTIVE)
    stages = sorted(str(status) for status in active.values_list("status", flat=True))
    names = {"everything": ["web", "tasks", "front"]}.get(victim, [victim])
    if victim == "sweep":
        kill_sweep(studio)
        return victim, stages
    for name in names:
        studio.kill(name)
    time.sleep(chance.uniform(0, 1.5))
    studio.start(*names)
    if "web" in names:
        studio.wait_for_web()
    return victim, stages


def kill_sweep(studio: Studio) -> None:
    """The one process that sweeps now; django-q puts another in its place."""
    from training.leases import Lease

    lease = Lease.objects.filter(name="sweep").first()
    process = lease.held_by.rpartition(":")[2] if lease and lease.holder else ""
    if process.isdecimal() and studio.owns("tasks", int(process)):
        os.kill(int(process), signal.SIGKILL)


def rest(studio: Studio, people: People, seconds: float = 600) -> bool:
    """People launch no more and only decide. Whether everything came to its end."""
    from training.sweeping import work_left

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for actor in list(people.open):
            people.launch(actor)
        people.decide(studio.control()["jobs"])
        if not people.open and not work_left():
            return True
        time.sleep(0.5)
    return False


def judge(studio: Studio, people: People, *, rested: bool) -> list[str]:
    """Every breach."""
    from tests.faults.truth import breaches

    wrong = breaches(studio.control(), people.acknowledged)
    return wrong if rested else [f"It did not come to rest: {unrest(people)}.", *wrong]


def unrest(people: People) -> str:
    """What had not come to its end."""
    from training.models import JobToStop, Preview, TrainingVersion

    left = {
        "launches": sorted(people.open),
        "versions": list(TrainingVersion.objects.active().values_list("pk", "status")),
        "previews": list(Preview.objects.active().values_list("pk", "status")),
        "jobs to stop": list(JobToStop.objects.values_list("pk", "failures")),
    }
    return "; ".join(f"{what} {rows}" for what, rows in left.items() if rows) or "nothing any more"


def report(
    database: str,
    rounds: int,
    seed: int,
    tally: Counter[tuple[str, str]],
    people: People,
    accepted: int,
    seconds: float,
) -> None:
    """The table for ``docs/reliability.md``."""
    from training.models import Preview, TrainingVersion

    stages = sorted({stage for _victim, stage in tally})
    print(f"\n{database}, {rounds} rounds, seed {seed}, {seconds:.0f} s\n")
    print("| killed | " + " | ".join(stages) + " |")
    print("| --- |" + " --- |" * len(stages))
    for victim in VICTIMS:
        print(f"| {victim} | " + " | ".join(str(tally[victim, stage]) for stage in stages) + " |")
    ends = Counter(TrainingVersion.objects.values_list("status", flat=True))
    previews = Preview.objects.count()
    never_sent = len(people.acknowledged) + previews - accepted
    print(f"\nlaunches: {len(people.acknowledged)}; ends: {dict(ends)}")
    ends = Counter(Preview.objects.values_list("status", flat=True))
    print(f"previews ordered by completed versions: {previews}; ends: {dict(ends)}")
    print(f"jobs the endpoint accepted: {accepted}; those that ended before they were sent: {never_sent}")
    print(f"decisions of people: {dict(Counter(people.decisions))}\n")


if __name__ == "__main__":
    sys.exit(main())
