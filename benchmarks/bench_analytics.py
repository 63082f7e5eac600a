"""Server time of the dashboard on PostgreSQL: ``python -m benchmarks analytics``, 10,000 actors by default.

As ``bench_pages``: one signed-in person, one request after the other, through gunicorn. The trainings spread
over two years, so each span of days shows another part of the 50,000; the last line counts all of them. The
goal is a median under 300 ms for each.
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.bench_pages import measure
from tests.served_site import postgres_server, serve

ACTORS = 10_000
GOAL_MS = 300
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
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "dashboard, 7 days": ("/analytics/?days=7", {}),
    "dashboard, 30 days": ("/analytics/", {}),
    "dashboard, 90 days": ("/analytics/?days=90", {}),
    "dashboard, a year": ("/analytics/?from={year_ago}&to={today}", {}),
    "dashboard, everything": ("/analytics/?from=2020-01-01&to={today}", {}),
    "API, 30 days": ("/api/analytics", {}),
    "CSV by preset, 90 days": ("/analytics/presets.csv?days=90", {}),
    "trainings behind a figure": ("/activity/?from={year_ago}&to={today}&status=failed&reason=memory", {}),
    "presets, of all time": ("/presets/", {}),
    "a preset, of all time": ("/presets/quick", {}),
}


def main() -> int:
    """One line per page; fails when one misses the goal."""
    actors = int(sys.argv[1]) if len(sys.argv) > 1 else ACTORS
    today = datetime.now(UTC).date()
    days = {"today": str(today), "year_ago": str(today - timedelta(days=364))}
    pages = {words: (address.format(**days), headers) for words, (address, headers) in PAGES.items()}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; PostgreSQL, {actors:,} actors")
    with tempfile.TemporaryDirectory(prefix="actortrain-bench-") as folder, postgres_server() as database_url:
        fill = SETUP.format(actors=actors)
        with serve(Path(folder), 0, database_url=database_url, setup=fill, processes=1) as site:
            slow = measure(site.url, site.token, rich=0, pages=pages, goal=GOAL_MS)
    print(f"\nGoal: {GOAL_MS} ms. " + (f"Missed by: {', '.join(slow)}" if slow else "All meet it."))
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
