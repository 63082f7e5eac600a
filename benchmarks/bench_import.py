"""A whole registry comes in, and every image is inspected: ``python -m benchmarks import [288 20]``.

The site runs as a person starts it (web, tasks, local endpoint and worker, on SQLite); the images are
photographs of 1024 px in its store. While they are inspected, somebody opens pages, and now and then a demo
actor's training is launched, and cancelled once the endpoint has it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.bench_inspection import PIXELS, encoded
from tests.started_site import ROOT, Site, started

ACTORS, IMAGES = 288, 20
FIRST_ID = 1000
PAGES = ("/actors/", f"/actors/{FIRST_ID}/", f"/actors/{FIRST_ID}/dataset", "/activity/", "/analytics/")
LAUNCH_EVERY = 60.0
#: Prints a token for the API and a session for the pages, both of a superuser.
SIGN_IN = """
import django; django.setup()
from django.contrib.auth.models import User
from django.test import Client
from actors.tokens import make_token
user = User.objects.filter(is_superuser=True).first()
client = Client(); client.force_login(user)
print(make_token(user, "bench", ["read", "train", "curate"])[1], client.cookies["sessionid"].value)
"""
#: Prints how many images nobody has looked into yet, and the verdicts there are.
LEFT = """
import django; django.setup()
from collections import Counter
from actors.models import TrainingDataset, TrainingImage
print(TrainingImage.objects.filter(dataset__actor__gte=1000, inspected_at=None).count())
print(dict(Counter(TrainingDataset.objects.filter(actor__gte=1000).values_list("verdict", flat=True))))
"""


def main() -> int:
    """A line for each thing measured."""
    actors, images = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (ACTORS, IMAGES)
    say(f"{actors} actors with {images} photographs of {PIXELS} px; {os.cpu_count()} cores, SQLite")
    with tempfile.TemporaryDirectory(prefix="actortrain-bench-") as name:
        folder = Path(name)
        registry = write_registry(folder, actors, images)
        variables = {"ENV_FILE": os.devnull, "LOG_LEVEL": "WARNING"}
        with started(folder, "site", 180, **variables) as site:
            measure(Running(site, variables), registry)
    return 0


def write_registry(folder: Path, actors: int, images: int) -> Path:
    """The files in the store, and the JSON that names them."""
    pictures = photographs(images)
    for number in range(actors):
        place = folder / "var" / "media" / "scans" / str(number)
        place.mkdir(parents=True)
        for index, content in enumerate(pictures):
            # Some bytes behind the picture's end: every file is another one, and decodes the same.
            (place / f"{index}.jpg").write_bytes(content + number.to_bytes(4, "big"))
    records = [
        {
            "id": FIRST_ID + number,
            "name": f"{FIRST_ID + number:04d}_nordic_41_female",
            "age": 41,
            "sex": "female",
            "training_data": {
                "s3_urls": [f"s3://local/scans/{number}/{index}.jpg" for index in range(images)],
                "local_path": "",
                "count": images,
                "synced": True,
            },
        }
        for number in range(actors)
    ]
    file = folder / "registry.json"
    file.write_text(json.dumps(records))
    return file


def photographs(count: int) -> list[bytes]:
    """One real face, turned, lit and cut differently."""
    from PIL import Image, ImageEnhance, ImageOps

    from tests.actors.pictures import astronaut

    whole, made = astronaut(), []
    for number in range(count):
        cut = whole.rotate(3 * (number % 7) - 9).crop((6 * number % 90, 0, 512 - 5 * number % 80, 430))
        lit = ImageEnhance.Brightness(cut.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS))
        grown = lit.enhance(0.8 + 0.03 * (number % 15))
        made.append(encoded(ImageOps.mirror(grown) if number % 2 else grown))
    return made


class Running:
    """A started site, and what is asked of it."""

    def __init__(self, site: Site, variables: dict[str, str]) -> None:
        self.site = site
        database = f"sqlite:///{site.var / 'site.sqlite3'}"
        self.environment = os.environ | variables | {"VAR_DIR": str(site.var), "DATABASE_URL": database}
        self.environment |= {"DJANGO_SETTINGS_MODULE": "actortrain_site.settings", "PUBLIC_URL": site.url}
        token, session = self.run("-c", SIGN_IN).split()
        self.api = httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self.browser = httpx.Client(base_url=site.url, cookies={"sessionid": session}, timeout=60)
        self.page_seconds: list[tuple[float, str]] = []
        self.launch_seconds: list[float] = []
        self.over = threading.Event()

    def run(self, *arguments: str) -> str:
        """What a command beside the site prints."""
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, check=True)
        return done.stdout.decode()

    def open_pages(self) -> None:
        """As a person who clicks twice a second."""
        while not self.over.is_set():
            for path in PAGES:
                began = time.perf_counter()
                answer = self.browser.get(path)
                self.page_seconds.append((time.perf_counter() - began, path))
                if answer.status_code != 200:
                    say(f"{path} answered {answer.status_code}")
                self.over.wait(0.5)

    def launch(self) -> float:
        """Seconds from the click until the endpoint has the training; then it is cancelled."""
        began = time.perf_counter()
        answer = self.api.post("/api/versions", json={"actor": self.demo_actor(), "preset": "balanced"})
        answer.raise_for_status()
        path = f"/api/versions/{answer.json()['id']}"
        while not self.api.get(path).raise_for_status().json()["job_id"]:
            if time.perf_counter() - began > 600:
                raise TimeoutError("The launch does not arrive at the endpoint.")
            time.sleep(0.1)
        seconds = time.perf_counter() - began
        self.api.post(f"{path}/cancel", json={}).raise_for_status()
        return seconds

    def demo_actor(self) -> Any:
        """One that came with the site and can be trained."""
        return self.api.get("/api/actors", params={"verdict": "fit"}).json()["results"][0]["id"]

    def peaks(self) -> tuple[float, float]:
        """MiB that the largest process of the tasks, and of the web, hold now."""
        found = []
        for name in ("tasks", "web"):
            process = psutil.Process(self.site.pid_of(name))
            family = [process, *process.children(recursive=True)]
            found.append(max(each.memory_info().rss for each in family if each.is_running()) / 2**20)
        return found[0], found[1]


def measure(running: Running, registry: Path) -> None:
    """Imports, watches, and tells."""
    say(f"A launch on a site at rest: {running.launch():.1f} s.")
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "manage.py", "import_actors", str(registry)], cwd=ROOT, env=running.environment
    )
    _, status, used = os.wait4(child.pid, 0)
    took, megabytes = time.perf_counter() - began, used.ru_maxrss / 1024
    say(f"Import: {took:.1f} s ({used.ru_utime + used.ru_stime:.1f} of CPU), {megabytes:.0f} MiB; {status=}.")
    pages = threading.Thread(target=running.open_pages, daemon=True)
    pages.start()
    tasks, web, launched, looked, left = 0.0, 0.0, time.perf_counter(), 0.0, ["1"]
    while left[0] != "0":
        time.sleep(1)
        now = running.peaks()
        tasks, web = max(tasks, now[0]), max(web, now[1])
        if time.perf_counter() - launched > LAUNCH_EVERY:
            running.launch_seconds.append(running.launch())
            launched = time.perf_counter()
        if time.perf_counter() - looked > 15:
            left, looked = running.run("-c", LEFT).splitlines(), time.perf_counter()
    say(f"Inspected after {(time.perf_counter() - began) / 60:.1f} minutes; verdicts {left[1]}.")
    running.over.set()
    pages.join()
    say(f"Most memory of a process: {tasks:.0f} MiB of the tasks, {web:.0f} MiB of the web.")
    seconds = sorted(each for each, _ in running.page_seconds)
    slowest = max(running.page_seconds)
    median, late = statistics.median(seconds), seconds[int(0.95 * (len(seconds) - 1))]
    say(f"{len(seconds)} pages meanwhile: median {1000 * median:.0f} ms, 95 % below {1000 * late:.0f} ms, ")
    say(f"the slowest {slowest[0]:.2f} s ({slowest[1]}).")
    launches = ", ".join(f"{each:.1f}" for each in running.launch_seconds)
    say(f"Launches meanwhile, seconds until the endpoint had them: {launches or 'none'}.")


def say(line: str) -> None:
    """At once, also into a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
