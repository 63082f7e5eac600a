"""What open training pages cost the server: ``python -m benchmarks live [20]`` pages, asking as browsers do.

Every page is of another training. First nothing moves; then every training takes in new progress every
three seconds, as the sweep brings it; then the same with short trainings, whose pages ask most often.
Counted is the CPU of the web processes and of the database's processes that serve them; what brings the
progress is not. The goal is under 5 % of one core for both together.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import time
from html import unescape
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.served_site import ROOT, gunicorn, own_database, postgres_server

PAGES = 20
SECONDS = 45
SWEEP_SECONDS = 3
GOAL_PERCENT = 5
POLL = re.compile(r'<div id="poll" data-poll hx-get="([^"]+)" hx-trigger="every (\d+)s')


class OpenPage(threading.Thread):
    """A browser's tab: it loads the page, then asks again as long as the page tells it to."""

    def __init__(self, url: str, session: str, pk: int, delay: float) -> None:
        super().__init__(daemon=True)
        self.connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
        self.headers = {"Cookie": f"sessionid={session}"}
        self.pk, self.delay = pk, delay
        self.answers: dict[int, int] = {}
        self.bytes = 0
        self.over = threading.Event()

    def run(self) -> None:
        """Until it is told to stop."""
        address, seconds = self._next(self._ask(f"/trainings/{self.pk}/", {}))
        while not self.over.wait(self.delay):
            text = self._ask(address, {"HX-Request": "true"})
            address, seconds = self._next(text) if text else (address, seconds)
            self.delay = seconds

    def _ask(self, address: str, headers: dict[str, str]) -> str:
        self.connection.request("GET", address, headers=self.headers | headers)
        answer = self.connection.getresponse()
        body = answer.read()
        self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
        self.bytes += len(body)
        return body.decode()

    @staticmethod
    def _next(text: str) -> tuple[str, float]:
        found = POLL.search(text)
        if not found:
            raise RuntimeError("The page does not poll.")
        return unescape(found[1]), float(found[2])


def main() -> int:
    """One line per way of moving; fails when one misses the goal."""
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else PAGES
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; PostgreSQL, {pages} open pages")
    with (
        tempfile.TemporaryDirectory(prefix="actortrain-bench-") as folder,
        postgres_server() as server,
        own_database(server) as database,
    ):
        os.environ.update(
            DJANGO_SETTINGS_MODULE="actortrain_site.settings",
            ENV_FILE=os.devnull,
            VAR_DIR=folder,
            DATABASE_URL=database,
            LOG_LEVEL="ERROR",
        )
        session, keys = prepare(pages)
        shares = [
            measure("nothing moves", session, keys, moving=False),
            measure("all move", session, keys, moving=True),
            measure("all move, short trainings", session, shorten(keys), moving=True),
        ]
    print(f"\nGoal: {GOAL_PERCENT} % of one core.")
    return int(max(shares) > GOAL_PERCENT)


def prepare(pages: int) -> tuple[str, list[int]]:
    """A studio with so many trainings under way."""
    import django

    django.setup()
    from django.core.management import call_command

    from benchmarks import studio_rows

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    studio_rows.fill(pages + 10)
    return studio_rows.sign_in(), studio_rows.active(pages)


def measure(words: str, session: str, keys: list[int], *, moving: bool) -> float:
    """Percent of one core that the web processes and their database took."""
    with gunicorn(dict(os.environ), 1) as url:
        tabs = [OpenPage(url, session, pk, delay=5 * index / len(keys) + 1) for index, pk in enumerate(keys)]
        for tab in tabs:
            tab.start()
        time.sleep(8)  # every page is loaded and has asked once
        web, database, started = web_seconds(), database_seconds(), time.monotonic()
        counted = {status: sum(tab.answers.get(status, 0) for tab in tabs) for status in (200, 204)}
        size = sum(tab.bytes for tab in tabs)
        while time.monotonic() < started + SECONDS:
            time.sleep(SWEEP_SECONDS)
            if moving:
                move(keys)
        percent = 100 / (time.monotonic() - started)
        web_share = (web_seconds() - web) * percent
        database_share = (database_seconds() - database) * percent
        news, nothing = (
            sum(tab.answers.get(status, 0) for tab in tabs) - counted[status] for status in (200, 204)
        )
        kilobytes = (sum(tab.bytes for tab in tabs) - size) / 1000 / max(1, news)
        for tab in tabs:
            tab.over.set()
        for tab in tabs:
            tab.join(10)
    print(
        f"{words:28} web {web_share:4.1f} %, database {database_share:4.1f} % of one core; "
        f"{news} answers with news ({kilobytes:.1f} kB each), {nothing} without",
        flush=True,
    )
    return web_share + database_share


def web_seconds() -> float:
    """CPU seconds of gunicorn and its workers so far."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True) if is_web(child)]
    return sum(each.user + each.system for each in times)


def database_seconds() -> float:
    """CPU seconds of the database's processes that serve the web processes, so far."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        times = [psutil.Process(pid).cpu_times() for (pid,) in cursor.fetchall()]
    return sum(each.user + each.system for each in times)


def is_web(process: psutil.Process) -> bool:
    """Whether it serves pages."""
    return "gunicorn" in " ".join(process.cmdline()) and str(ROOT) == process.cwd()


def move(keys: list[int]) -> None:
    """New progress for every training, as a report of the worker brings it."""
    from django.utils import timezone

    from training.models import TrainingVersion

    for version in TrainingVersion.objects.filter(pk__in=keys):
        step = min(
            version.step + round(SWEEP_SECONDS / (version.seconds_per_step or 1)),
            version.max_train_steps or 0,
        )
        losses: list[Any] = [*version.loss_history, *([at, 0.2] for at in range(version.step + 1, step + 1))]
        TrainingVersion.objects.filter(pk=version.pk).update(
            step=step, loss_history=losses, updated_at=timezone.now()
        )


def shorten(keys: list[int]) -> list[int]:
    """Trainings of two minutes, as the embedded base takes."""
    from training.models import TrainingVersion

    TrainingVersion.objects.filter(pk__in=keys).update(
        max_train_steps=300,
        step=60,
        seconds_per_step=0.4,
        loss_history=[[step, 0.3] for step in range(1, 61)],
    )
    return keys


if __name__ == "__main__":
    sys.exit(main())
