"""Batches of every actor there is: ``python -m benchmarks batches [10000]`` actors, five versions each.

What people wait for: requests through gunicorn on PostgreSQL, with a goal of 300 ms each, and the CPU of the
web process for one, which a busy machine does not change. What the task queue does with it afterwards. And a
round of the sweep while all of them wait for their turn.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.bench_live import web_seconds
from tests.served_site import gunicorn, postgres_server

ACTORS = 10_000
GOAL_MS = 300
TURNS = 5
CSRF = "f" * 32
FIRST, AGAIN = "the plan, made first", "looked at again, nothing new"
ANEW, BEGUN = "another preset: every row is written", "looked at once more, and begun"
RETRIED = "all of them failed, tried again"


def main() -> int:
    """Fails when a request misses the goal."""
    actors = int(sys.argv[1]) if len(sys.argv) > 1 else ACTORS
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; PostgreSQL, {actors:,} actors")
    with tempfile.TemporaryDirectory(prefix="actortrain-bench-") as folder, postgres_server() as database:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="actortrain_site.settings",
            ENV_FILE=os.devnull,
            VAR_DIR=str(Path(folder) / "var"),
            SECRET_KEY="only for a site that lives for minutes, and long enough",
            DATABASE_URL=database,
            LOG_LEVEL="ERROR",
        )
        import django

        django.setup()
        from django.core.management import call_command

        from benchmarks import studio_rows

        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        studio_rows.fill(actors)
        session = studio_rows.sign_in()
        with gunicorn(dict(os.environ), 1) as url:
            slow = measure(Visitor(url, session))
    print(f"\nGoal: {GOAL_MS} ms. " + (f"Missed by: {', '.join(slow)}" if slow else "All requests meet it."))
    return 1 if slow else 0


class Visitor:
    """One signed-in person, one request after the other."""

    def __init__(self, url: str, session: str) -> None:
        self.connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
        cookies = f"sessionid={session}; csrftoken={CSRF}"
        self.headers = {"Cookie": cookies, "X-CSRFToken": CSRF, "Referer": url, "Host": urlsplit(url).netloc}
        self.slow: list[str] = []

    def send(self, method: str, address: str, body: str = "", kind: str = "") -> tuple[float, bytes]:
        """Milliseconds, and the answer."""
        headers = self.headers | {"Content-Type": kind or "application/x-www-form-urlencoded"}
        began = time.perf_counter()
        self.connection.request(method, address, body=body or None, headers=headers)
        answer = self.connection.getresponse()
        found = answer.read()
        took = 1000 * (time.perf_counter() - began)
        if answer.status >= 400:
            raise SystemExit(f"{method} {address}: {answer.status} {found[:300]!r}")
        return took, found

    def post(self, address: str, **fields: object) -> float:
        """As a form does."""
        return self.send("POST", address, urlencode(fields))[0]

    def tell(self, words: str, times: list[float], cpu: float) -> None:
        """One line; a slow one is remembered."""
        median = statistics.median(times)
        print(f"{words:48} {median:7.0f} ms {max(times):7.0f} ms {1000 * cpu:7.0f} ms", flush=True)
        self.slow += [words] if median > GOAL_MS else []


class Measured:
    """The steps of one batch of everybody, and what the task queue does between them, in this process."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.works: dict[str, list[tuple[float, float]]] = {}

    @property
    def batch(self) -> Any:
        """The newest."""
        from training.models import Batch

        return Batch.objects.order_by("-pk")[0]

    def turns(self, words: str, act: Callable[[], float], after: Callable[[], object] | None = None) -> None:
        """The same again and again; the first one fills caches."""
        times, worked = [], 0.0
        for turn in range(TURNS + 1):
            before = web_seconds()
            took = act()
            if turn:
                times.append(took)
                worked += web_seconds() - before
            if after:
                after()
        self.visitor.tell(words, times, worked / TURNS)

    def page(self, address: str) -> float:
        """As a browser asks for it."""
        return self.visitor.send("GET", address)[0]

    def api(self, address: str, body: str) -> float:
        """As a program does."""
        return self.visitor.send("POST", address, body, "application/json")[0]

    def new(self, **fields: object) -> float:
        """A plan is asked for."""
        return self.visitor.post("/batches/new", **fields)

    def act(self, verb: str) -> float:
        """A button."""
        return self.visitor.post(f"/batches/{self.batch.pk}/{verb}")

    def work(self, words: str) -> None:
        """What the task queue does with what was asked."""
        from training import batch_planning

        pk = self.batch.pk
        self.works.setdefault(words, []).append(worked(lambda: batch_planning.run(pk, seconds=1e6)))

    def choosing(self) -> None:
        """Every way to ask for a plan."""
        ids = self.visitor.send("GET", "/batches/matching")[1].decode().split()
        body = json.dumps({"actors": [int(each) for each in ids], "begin": True})
        self.turns("select all in the library", lambda: self.page("/batches/matching"))
        self.turns("plan: the ids of all", lambda: self.new(source="list", ids=",".join(ids)))
        self.turns("plan: as filtered", lambda: self.new(source="filter"))
        self.turns("plan: fit without a good version", lambda: self.new(source="fit"))
        some = json.dumps({"actors": [int(each) for each in ids[:500]]})
        self.turns("POST /api/batches, and begin", lambda: self.api("/api/batches", body))
        self.turns("POST /api/batches/plan, 500 actors", lambda: self.api("/api/batches/plan", some))

    def planning(self) -> None:
        """The plan, made and made anew."""
        self.new(source="filter")
        address = self.batch.get_absolute_url()
        self.turns("page while it is planned", lambda: self.page(address))
        self.work(FIRST)
        self.turns("page of the plan", lambda: self.page(address))
        self.turns("look at all again", lambda: self.act("look-again"), lambda: self.work(AGAIN))
        presets = itertools.cycle(["quick", "balanced"])
        self.turns(
            "another preset",
            lambda: self.visitor.post(
                f"{address}change", preset=next(presets), concurrency=4, order="chosen"
            ),
            lambda: self.work(ANEW),
        )
        item = self.batch.items.all()[5000 % self.batch.items.count()]
        self.turns(
            "one actor's own values",
            lambda: self.visitor.post(
                f"{address}actors/{item.actor_id}", max_train_steps=random.randint(50, 300)
            ),
        )

    def running(self) -> None:
        """Begun, carried on and tried again."""
        self.turns("begin", lambda: self.act("begin"), self.back_to_the_plan)
        self.act("begin")
        self.work(BEGUN)
        sweep()
        address = self.batch.get_absolute_url()
        self.turns("page while it runs", lambda: self.page(address))
        self.turns("pause, and go on", lambda: self.act("pause") + self.act("resume"))
        self.become("waiting", "failed")
        self.turns("try the failed again", lambda: self.act("retry"), self.failed_again)
        self.become("failed", "waiting")
        self.turns("cancel", lambda: self.act("cancel"), lambda: self.become("cancelled", "waiting"))

    def become(self, one: str, other: str) -> None:
        """Items in one state get another, and the batch runs."""
        self.batch.items.filter(state=one).update(state=other)
        type(self.batch).objects.update(state="planned" if other == "planned" else "running")

    def back_to_the_plan(self) -> None:
        """As if it had never begun."""
        self.work(BEGUN)
        self.become("waiting", "planned")

    def failed_again(self) -> None:
        """All who wait."""
        self.work(RETRIED)
        self.become("waiting", "failed")

    def discarding(self) -> None:
        """A plan of everybody goes."""

        def another() -> None:
            self.new(source="filter")
            self.work(FIRST)

        another()
        self.turns("discard", lambda: self.act("discard"), another)


def measure(visitor: Visitor) -> list[str]:
    """Prints what people wait for, then what they need not wait for; returns the slow requests."""
    print(f"\n{'':48} {'median':>10} {'slowest':>10} {'CPU':>10}")
    measured = Measured(visitor)
    measured.choosing()
    type(measured.batch).objects.all().delete()
    measured.planning()
    measured.running()
    measured.discarding()
    print(f"\n{'the task queue, in the background':48} {'by the clock':>12} {'of Python':>12}")
    for words, found in measured.works.items():
        clock, cpu = (statistics.median(each) for each in zip(*found, strict=True))
        print(f"{words:48} {clock:10.2f} s {cpu:10.2f} s")
    return visitor.slow


def sweep() -> None:
    """Rounds of the sweep: first as many launches as it may, then nothing to do."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from training import batch_launches

    for words in ("the sweep: a round with 4 launches", "the sweep: a round with nothing to do"):
        with CaptureQueriesContext(connection) as captured:
            clock, cpu = worked(batch_launches.advance)
        print(f"{words:48} {1000 * clock:7.0f} ms {1000 * cpu:7.0f} ms of Python, {len(captured)} queries")


def worked(do: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of this process's own."""
    began, cpu = time.perf_counter(), time.process_time()
    do()
    return time.perf_counter() - began, time.process_time() - cpu


if __name__ == "__main__":
    sys.exit(main())
