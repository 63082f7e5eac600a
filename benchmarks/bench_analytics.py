"""Server time of the dashboard on PostgreSQL: ``python -m benchmarks analytics``, 10,000 actors by default.

As ``bench_pages``: one signed-in person, one request after the other, through gunicorn. The trainings spread
over two years, so each span of days shows another part of the 50,000; the last line counts all of them. The
goal is a median under 300 ms for each.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

from tests.served_site import Site, postgres_server, serve

ACTORS = 10_000
GOAL_MS = 300
ROUNDS = 10
SETUP = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("collectstatic", verbosity=0, interactive=False)
from benchmarks import analytics_rows, studio_rows
studio_rows.fill({actors})
analytics_rows.spread()
print(studio_rows.sign_in())
"""
PAGES = {
    "dashboard, 7 days": "/analytics/?days=7",
    "dashboard, 30 days": "/analytics/",
    "dashboard, 90 days": "/analytics/?days=90",
    "dashboard, a year": "/analytics/?from={year_ago}&to={today}",
    "dashboard, everything": "/analytics/?from=2020-01-01&to={today}",
    "API, 30 days": "/api/analytics",
    "CSV by preset, 90 days": "/analytics/presets.csv?days=90",
    "trainings behind a figure": "/activity/?from={year_ago}&to={today}&status=failed&reason=memory",
    "previews behind a figure": "/previews/?from={year_ago}&to={today}",
    "presets, of all time": "/presets/",
    "a preset, of all time": "/presets/quick",
}


def main() -> int:
    """One line per page; fails when one misses the goal by the clock and by its processor time."""
    actors = int(sys.argv[1]) if len(sys.argv) > 1 else ACTORS
    today = datetime.now(UTC).date()
    days = {"today": str(today), "year_ago": str(today - timedelta(days=364))}
    pages = {words: address.format(**days) for words, address in PAGES.items()}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; PostgreSQL, {actors:,} actors")
    os.environ["GPU_PRICE_PER_SECOND"] = "0.0005"  # costs are part of what is measured
    with tempfile.TemporaryDirectory(prefix="actortrain-bench-") as folder, postgres_server() as database_url:
        fill = SETUP.format(actors=actors)
        with serve(Path(folder), 0, database_url=database_url, setup=fill, processes=1) as site:
            slow = measure(site, pages, Path(parse_qs(urlsplit(database_url).query)["host"][0]))
    print(f"\nGoal: {GOAL_MS} ms. " + (f"Missed by: {', '.join(slow)}" if slow else "All meet it."))
    return 1 if slow else 0


def measure(site: Site, pages: dict[str, str], database: Path) -> list[str]:
    """Prints every page's median by the clock and in processor time; returns those over the goal in both."""
    connection = HTTPConnection(urlsplit(site.url).netloc, timeout=60)
    slow = []
    print(f"\n{'page':28} {'by the clock':>13} {'of processors':>14} {'kB':>7}")
    for words, address in pages.items():
        clock, processors = [], []
        for _ in range(ROUNDS + 2):
            used, started = processor_seconds(database), time.perf_counter()
            connection.request("GET", address, headers={"Cookie": f"sessionid={site.token}"})
            answer = connection.getresponse()
            body = answer.read()
            clock.append(1000 * (time.perf_counter() - started))
            processors.append(1000 * (processor_seconds(database) - used))
            if answer.status != 200:
                raise SystemExit(f"{address}: {answer.status}")
        # The first ones fill the caches of connection and templates. The kernel counts in steps of 10 ms.
        median, mean = statistics.median(clock[2:]), statistics.fmean(processors[2:])
        slow += [words] if min(median, mean) > GOAL_MS else []
        print(f"{words:28} {median:10.0f} ms {mean:11.0f} ms {len(body) / 1000:7.1f}", flush=True)
    return slow


def processor_seconds(database: Path) -> float:
    """What web and database processes have used: what a page takes where nobody else is at work."""
    postmaster = psutil.Process(int((database / "postmaster.pid").read_text().split()[0]))
    processes = [*psutil.Process().children(recursive=True), *postmaster.children()]
    used = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used


if __name__ == "__main__":
    sys.exit(main())
