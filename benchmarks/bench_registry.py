"""The registry beside the old design: ``python -m benchmarks registry [288 2000 10000]``.

One connection, one request after the other, client and server on the same cores: read the ratios, not the
milliseconds. The old server asks nobody for a token and keeps no history; ours does both here.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.served_site import postgres_server, serve, write_registry

SIZES = (288, 2_000, 10_000)
SECONDS = 2.0
Measures = dict[str, float]

#: Rows straight into the tables: importing 50,000 versions one by one would outlast the benchmark.
FILL = """
import django, json; django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from actors import snapshot
from actors.models import Actor, TrainingDataset, TrainingImage
from actors.sequences import continue_after_highest_id
from actors.tokens import make_token
from training.models import TrainingVersion
call_command("migrate", verbosity=0)
with transaction.atomic():
    for start in range(0, {actors}, 500):
        ids = range(start, min(start + 500, {actors}))
        records = json.load(open("{folder}/actors.json"))[start:start + 500]
        Actor.objects.bulk_create(
            Actor(id=r["id"], name=r["name"], age=r["age"], sex=r["sex"], ethnicity=r["ethnicity"],
                  description=r["description"], position=r["id"], versions_made=5, source=json.dumps(r))
            for r in records)
        sets = TrainingDataset.objects.bulk_create(
            TrainingDataset(actor_id=r["id"], local_path=r["training_data"]["local_path"]) for r in records)
        TrainingImage.objects.bulk_create(
            TrainingImage(dataset=s, position=i, url=url, file_name=url.rsplit("/", 1)[-1])
            for s, r in zip(sets, records) for i, url in enumerate(r["training_data"]["s3_urls"]))
        TrainingVersion.objects.bulk_create(
            TrainingVersion(actor_id=a, number=n, name=f"V{{n}}", public_id=f"v{{n}}", status="completed",
                            lora_url=v["loraUrl"], image_count=15, is_good=n == 1, **v["parameters"])
            for a in ids
            for n, v in zip((5, 4, 3, 2, 1), json.load(open(f"{folder}/versions/{{a}}.json"))["versions"]))
continue_after_highest_id(Actor)
admin = User.objects.create_superuser("admin")
print(make_token(admin, "load", ["read", "train", "curate"])[1])
snapshot.refresh()
"""


class Client:
    """One connection that stays open."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
        self.headers = dict(headers)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> http.client.HTTPResponse:
        """Sends a request and reads the whole answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        text = None if body is None else json.dumps(body)
        kind = {"Content-Type": "application/json"} if body is not None else {}
        self.connection.request(method, path, text, self.headers | kind | named)
        answer = self.connection.getresponse()
        answer.read()
        if answer.status not in (200, 304):
            raise SystemExit(f"{method} {path}: {answer.status}")
        return answer

    def mark(self, actors: int) -> None:
        """Marks a random version of a random actor good."""
        version = {"versionId": f"v{random.randint(1, 5)}"}
        self.ask("POST", f"/api/actors/{random.randrange(actors)}/mark-good", version)


def milliseconds(call: Callable[[], object], before: Callable[[], object] | None = None) -> float:
    """The median of a call's time over some seconds, at least five calls; ``before`` is not counted."""
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < 5 or time.perf_counter() < end:
        if before:
            before()
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def measure(client: Client, actors: int, *, caches: bool) -> Measures:
    """What clients of the registry do all day."""

    def read() -> http.client.HTTPResponse:
        return client.ask("GET", "/actors.json")

    read()
    found = {"actors.json": milliseconds(read)}
    if caches:
        tag = client.ask("GET", "/actors.json", Accept_Encoding="gzip").headers["ETag"]
        found["actors.json, gzip"] = milliseconds(
            lambda: client.ask("GET", "/actors.json", Accept_Encoding="gzip")
        )
        found["actors.json, 304"] = milliseconds(
            lambda: client.ask("GET", "/actors.json", Accept_Encoding="gzip", If_None_Match=tag)
        )
    found["first read after a write"] = milliseconds(read, before=lambda: client.mark(actors))
    found["versions of an actor"] = milliseconds(
        lambda: client.ask("GET", f"/api/actors/{random.randrange(actors)}/training-versions")
    )
    found["mark-good"] = milliseconds(lambda: client.mark(actors))
    return found


@contextmanager
def old_server(actors: int) -> Iterator[str]:
    """The old design on Node, with the same registry."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as free:
        write_registry(Path(name), actors)
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        script = Path(__file__).with_name("old_server.mjs")
        process = subprocess.Popen(["node", str(script), name, port])
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", int(port))).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def ours(actors: int, database_url: str) -> Measures:
    """The site on a database, two web processes."""
    with tempfile.TemporaryDirectory() as name:
        fill = FILL.format(folder=name, actors=actors)
        with serve(Path(name), actors, database_url=database_url, setup=fill) as site:
            return measure(Client(site.url, site.headers), actors, caches=True)


def main() -> None:
    """One table per size."""
    if not shutil.which("node"):
        raise SystemExit("Node is needed to run the old design beside ours.")
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    print(f"{os.cpu_count()} cores, shared by client and server; load {os.getloadavg()[0]:.1f}")
    print("Milliseconds a request (median), and how many times faster than the old design.")
    for actors in sizes:
        with old_server(actors) as url:
            old = measure(Client(url, {}), actors, caches=False)
        sqlite = ours(actors, "")
        with postgres_server() as database_url:
            postgresql = ours(actors, database_url)
        print(f"\n{actors} actors{'':24} {'old':>9} {'SQLite':>9} {'':>7} {'PostgreSQL':>11} {'':>7}")
        for name, value in sqlite.items():
            before = old.get(name, old["actors.json"])
            other = postgresql[name]
            ratios = f"{value:9.2f} {before / value:6.1f}× {other:11.2f} {before / other:6.1f}×"
            print(f"{name:35} {before:9.2f} {ratios}", flush=True)


if __name__ == "__main__":
    main()
