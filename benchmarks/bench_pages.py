"""Server time of every page on PostgreSQL: ``python -m benchmarks pages [10000]`` actors, five versions each.

One signed-in person, one request after the other, through gunicorn: what is measured is the whole answer
as a browser on the same machine would get it. The goal is a median under 100 ms for each. Beside it stands
the CPU that the web process took for one answer, which a busy machine does not change. The dashboard and the
presets are measured by ``bench_analytics``, whose rows they need.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.bench_live import web_seconds
from tests.served_site import postgres_server, serve

ACTORS = 10_000
GOAL_MS = 100
ROUNDS = 15
FRAGMENT = {"HX-Request": "true"}
SETUP = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("collectstatic", verbosity=0, interactive=False)
from benchmarks import studio_rows
studio_rows.fill({actors})
session = studio_rows.sign_in()
print(studio_rows.plan_batch(), session)
"""
#: Words → address, and the headers of a request that htmx makes.
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "library": ("/actors/", {}),
    "library, as a table": ("/actors/?view=table&sort=name", {}),
    "library, page 200": ("/actors/?page=200&sort=number", {}),
    "library, three filters": ("/actors/?state=failed&state=choose&sex=male&age=40-59", FRAGMENT),
    "library, search as you type": ("/actors/?q=number+77", FRAGMENT),
    "library, next page": ("/actors/?page=3", FRAGMENT | {"HX-Target": "more"}),
    "actor": ("/actors/0/", {}),
    "dataset": ("/actors/0/dataset", {}),
    "versions": ("/actors/0/versions", {}),
    "compare four": ("/actors/0/compare?v=9&v=10&v=11&v=12", {}),
    "history": ("/actors/0/history", {}),
    "use": ("/actors/0/use", {}),
    "training": ("/trainings/{rich}/", {}),
    "activity": ("/activity/", {}),
    "activity, failed, of some actors": ("/activity/?status=failed&actor=nordic", {}),
    "activity, page 900": ("/activity/?page=900", {}),
    "previews of everybody": ("/previews/", {}),
    "previews of a training, as a grid": ("/trainings/{rich}/grid", {}),
    "who waits, on the dashboard": ("/analytics/waiting", FRAGMENT),
    "rights": ("/rights/", {}),
    "an actor's rights": ("/actors/0/rights", {}),
    "budgets": ("/budgets/", {}),
    "your budget": ("/account/budget", {}),
    "access tokens": ("/account/tokens", {}),
    "prompt sets": ("/prompt-sets/", {}),
    "a selection": ("/batches/selected?ids=1,2,3,4,5,6,7,8", FRAGMENT),
    "batches": ("/batches/", {}),
    "choose for a batch": ("/batches/new", {}),
    "plan of a batch of all": ("/batches/1/", {}),
    "plan, page 100": ("/batches/1/?page=100", {}),
    "health": ("/health/", {}),
    "styleguide": ("/styleguide", {}),
}


def main() -> int:
    """One line per page; fails when one misses the goal."""
    actors = int(sys.argv[1]) if len(sys.argv) > 1 else ACTORS
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; PostgreSQL, {actors:,} actors")
    with tempfile.TemporaryDirectory(prefix="actortrain-bench-") as folder, postgres_server() as database_url:
        fill = SETUP.format(actors=actors)
        with serve(Path(folder), 0, database_url=database_url, setup=fill, processes=1) as site:
            slow = measure(site.url, site.token, rich=5 * actors + 20)
    print(f"\nGoal: {GOAL_MS} ms. " + (f"Missed by: {', '.join(slow)}" if slow else "All meet it."))
    return 1 if slow else 0


def measure(url: str, session: str, rich: int) -> list[str]:
    """Prints every page's median and slowest time; returns those over the goal."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    cookie = {"Cookie": f"sessionid={session}"}
    slow = []
    print(f"\n{'page':36} {'median':>9} {'slowest':>9} {'CPU':>9} {'kB':>7}")
    for words, (address, headers) in PAGES.items():
        times = []
        for turn in range(ROUNDS + 2):
            if turn == 2:  # the first ones fill the caches of connection and templates
                worked = web_seconds()
            started = time.perf_counter()
            connection.request("GET", address.format(rich=rich), headers=cookie | headers)
            answer = connection.getresponse()
            body = answer.read()
            times.append(1000 * (time.perf_counter() - started))
            if answer.status != 200:
                raise SystemExit(f"{address}: {answer.status}")
        cpu = 1000 * (web_seconds() - worked) / ROUNDS
        median = statistics.median(times[2:])
        slow += [words] if median > GOAL_MS else []
        figures = f"{median:6.1f} ms {max(times[2:]):6.1f} ms {cpu:6.1f} ms {len(body) / 1000:7.1f}"
        print(f"{words:36} {figures}", flush=True)
    return slow


if __name__ == "__main__":
    sys.exit(main())
