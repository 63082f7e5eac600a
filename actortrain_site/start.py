"""``python -m actortrain_site.start``: the whole of ActorTrain as one foreground command.

Brings database, static files, demo registry and first login up to date, then runs the web server,
the task queue and, unless RunPod trains, the local endpoint with one worker. A second start finds
everything in place and is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import environs

BASE_DIR = Path(__file__).resolve().parent.parent
#: The local endpoint listens this far above the site, so that two sites on a machine don't meet.
ENDPOINT_OFFSET = 800


class CannotRun(Exception):
    """The start can't go on; the message is the one line a person reads."""


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 after Ctrl-C or SIGTERM, 1 when something is wrong, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m actortrain_site.start", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port of the site (default: %(default)s)")
    parser.add_argument("--no-training", action="store_true", help="no demo training on the first start")
    options = parser.parse_args(arguments)
    if not 0 < options.port < 65536:
        parser.error("--port must be between 1 and 65535.")
    try:
        return run(options.host, options.port, demo_training=not options.no_training)
    except CannotRun as error:
        print(f"ActorTrain can't start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def run(host: str, port: int, *, demo_training: bool) -> int:
    """Prepares what is missing, then blocks until everything has stopped."""
    fill_environment(host, port)
    load_settings()
    # These need the settings, so they can't be imported above.
    from django.conf import settings
    from django.db import OperationalError

    from actortrain_site import preparation
    from actortrain_site.processes import Supervisor, describe_end
    from actortrain_site.welcome import Welcome

    with only_one_from(settings.VAR_DIR):
        must_be_free(host, port, "Choose another port: make start PORT=8010")
        endpoint = local_endpoint(settings.RUNPOD_BASE_URL) if settings.LOCAL_ENDPOINT else None
        if endpoint:
            must_be_free(*endpoint, "Set LOCAL_ENDPOINT_URL to another one")
        try:
            preparation.prepare()
        except OperationalError as error:
            reason = " ".join(str(error).split())
            raise CannotRun(f"the database does not answer ({reason}). Check DATABASE_URL.") from error
        welcome = Welcome(demo_training=demo_training)
        supervisor = Supervisor(on_started=lambda: welcome.greet(stop=supervisor.stop))
        environment = child_environment(settings.RUNPOD_API_KEY if endpoint else "")
        for name, command in commands(host, port, endpoint, settings.VAR_DIR).items():
            supervisor.add(name, command, BASE_DIR, environment)
        code = supervisor.run()
    if supervisor.died:
        ended = describe_end(*supervisor.died)
        print(f"{ended}, so everything was stopped. Its lines above say why.", file=sys.stderr)
    if welcome.failure:
        print(f"ActorTrain stopped: {welcome.failure}", file=sys.stderr)
    return 1 if welcome.failure else code


def fill_environment(host: str, port: int) -> None:
    """Sets what follows from the port, unless the environment or ``.env`` says otherwise."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "actortrain_site.settings")
    environs.Env().read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"), recurse=False)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  # compared, not bound
    above = port + ENDPOINT_OFFSET
    endpoint_port = above if above < 65536 else port - ENDPOINT_OFFSET
    os.environ.setdefault("PUBLIC_URL", f"http://{f'[{shown}]' if ':' in shown else shown}:{port}")
    os.environ.setdefault("LOCAL_ENDPOINT_URL", f"http://127.0.0.1:{endpoint_port}")


def load_settings() -> None:
    """Raises ``CannotRun`` with the one line that names the wrong variable."""
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise CannotRun(str(error)) from error


@contextlib.contextmanager
def only_one_from(folder: Path) -> Iterator[None]:
    """Two starts on the same files would train everything twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "start.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(f"it runs already from {folder}. Stop that one first.") from None
        yield


def must_be_free(host: str, port: int, way_out: str) -> None:
    """Raises ``CannotRun`` when nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        reason = (
            "is in use" if getattr(error, "errno", None) == errno.EADDRINUSE else f"can't be used ({error})"
        )
        raise CannotRun(f"port {port} on {host} {reason}. {way_out}.") from error


def local_endpoint(url: str) -> tuple[str, int]:
    """Host and port the local endpoint listens on."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or not parts.port:
        raise CannotRun(
            f"LOCAL_ENDPOINT_URL must look like http://127.0.0.1:8800, not {url.removesuffix('/v2')!r}."
        )
    return parts.hostname, parts.port


def commands(host: str, port: int, endpoint: tuple[str, int] | None, var: Path) -> dict[str, list[str]]:
    """What runs, by the name in front of its lines."""
    python = sys.executable
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    web = [
        "gunicorn",
        "actortrain_site.wsgi",
        "--bind",
        address,
        "--worker-class",
        "gthread",
        "--threads",
        "8",
    ]
    found = {
        "web": [python, "-m", *web, "--workers", "2", "--graceful-timeout", "4", "--no-control-socket"],
        "tasks": [python, "manage.py", "run_tasks"],
    }
    if endpoint:
        listen = ["--host", endpoint[0], "--port", str(endpoint[1])]
        state = ["--state", str(var / "endpoint.sqlite3")]
        found["endpoint"] = [python, "-m", "worker.endpoint", *listen, *state]
        # The same id every time: a job it held when it was stopped goes back to the queue at once.
        took = ["--worker-id", "local-1", "--work-dir", str(var / "worker")]
        url = f"http://{endpoint[0]}:{endpoint[1]}/v2/local"
        found["worker"] = [python, "-m", "worker.local_worker", "--endpoint-url", url, *took]
    return found


def child_environment(key: str) -> dict[str, str]:
    """Lines come at once, and the endpoint's key never shows in a process list."""
    return dict(os.environ) | {"PYTHONUNBUFFERED": "1", "ACTORTRAIN_ENDPOINT_KEY": key}


if __name__ == "__main__":
    sys.exit(main())
