"""The local endpoint: RunPod Serverless on one's own machine, both faces of it.

To the site it is the hosted API (``/v2/{endpoint}/run | status | cancel | retry | health``), to
unmodified RunPod SDK workers it is the API they take jobs from (``/w/{endpoint}/job-take …``).
Start a worker for it with ``python -m worker.local_worker``.

    ACTORTRAIN_ENDPOINT_KEY=… python -m worker.endpoint --port 8800 --state var/endpoint.sqlite3
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType

import uvicorn

from worker.endpoint_app import Endpoint, make_app
from worker.endpoint_settings import listen, read_settings
from worker.job_store import JobStore, StoreError


class Server(uvicorn.Server):
    """Ends the long polls at the first signal; uvicorn alone would wait for them."""

    def __init__(self, config: uvicorn.Config, endpoint: Endpoint) -> None:
        super().__init__(config)
        self.endpoint = endpoint

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.endpoint.close()
        super().handle_exit(sig, frame)


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Exit code 2: something about the arguments is wrong."""
    settings = read_settings(arguments)
    # For signals before uvicorn listens to them, and again when it is done, as it raises them once more.
    # Not sys.exit: Python swallows that when it comes in the middle of a weak reference's callback.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs, and ours hold tokens
    try:
        store = JobStore(
            settings.state, ping_timeout=settings.ping_timeout, keep_seconds=settings.keep_seconds
        )
        socket = listen(settings)
    except (StoreError, OSError) as error:
        print(f"endpoint: {error}", file=sys.stderr)
        return 2
    app, endpoint = make_app(store, settings)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    host, port = socket.getsockname()[:2]
    print(f"endpoint ready on http://{host}:{port}/v2/{settings.endpoint_id}", flush=True)
    Server(config, endpoint).run(sockets=[socket])
    return 0


if __name__ == "__main__":
    sys.exit(main())
