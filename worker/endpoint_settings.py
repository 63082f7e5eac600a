"""The local endpoint's command line."""

from __future__ import annotations

import argparse
import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What the endpoint can be told; times in seconds."""

    key: str
    state: Path = Path("var/endpoint.sqlite3")
    host: str = "127.0.0.1"
    port: int = 8800
    endpoint_id: str = "local"
    long_poll: float = 8.0
    ping_timeout: float = 30.0
    keep_seconds: float = 1800.0
    webhook_interval: float = 10.0
    webhook_tries: int = 3
    tick: float = 1.0


def read_settings(arguments: list[str] | None = None) -> Settings:
    """The settings from the command line; leaves with exit code 2 and one line when one is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.endpoint",
        description="Serves RunPod's hosted API to the site and its worker API to RunPod SDK workers.",
    )
    add = parser.add_argument
    add("--host", default=Settings.host, help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=Settings.port, help="0 picks a free one (default: %(default)s)")
    add("--state", type=Path, default=Settings.state, help="SQLite file (default: %(default)s)")
    add("--endpoint-id", default=Settings.endpoint_id, help="the {endpoint} in /v2/{endpoint}/run")
    add("--key", help="API key; better in ACTORTRAIN_ENDPOINT_KEY, where no process list shows it")
    seconds = [
        ("--long-poll", Settings.long_poll, "how long a worker's question for a job stays open"),
        ("--ping-timeout", Settings.ping_timeout, "silence after which a worker counts as dead"),
        ("--keep-seconds", Settings.keep_seconds, "how long results are kept"),
        ("--webhook-interval", Settings.webhook_interval, "pause between the three webhook tries"),
        ("--tick", Settings.tick, "how often time-outs are looked at"),
    ]
    for name, default, words in seconds:
        add(name, type=float, default=default, help=f"{words}, in seconds (default: %(default)s)")
    given = vars(parser.parse_args(arguments))
    given["key"] = given["key"] or os.environ.get("ACTORTRAIN_ENDPOINT_KEY", "")
    if not given["key"]:
        parser.exit(2, "endpoint: no API key. Set ACTORTRAIN_ENDPOINT_KEY.\n")
    for name, _, _ in seconds:
        if given[name.strip("-").replace("-", "_")] <= 0:
            parser.exit(2, f"endpoint: {name} must be above 0.\n")
    return Settings(**given)


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises ``OSError`` with a message for a person."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=512)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise OSError(f"cannot listen on {where}: {error.strerror}. Choose another --port.") from error
