"""Starts one worker on the local endpoint: the same handler and SDK as on RunPod, told where to ask.

    ACTORTRAIN_ENDPOINT_KEY=… python -m worker.local_worker --endpoint-url http://127.0.0.1:8800/v2/local

``--worker-id`` should stay the same over restarts: then a job that the worker held when it was
stopped goes back to the queue at once, not after a time-out.
"""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from pathlib import Path

RUNPOD_CONFIG = Path("~/.runpod/config.toml")


def environment(endpoint_url: str, key: str, worker_id: str, ping_ms: int) -> dict[str, str]:
    """What tells the RunPod SDK (1.12) to take jobs from ``endpoint_url`` (``…/v2/{endpoint}``)."""
    workers = "/w/".join(endpoint_url.rstrip("/").rsplit("/v2/", 1))
    return {
        "RUNPOD_WEBHOOK_GET_JOB": f"{workers}/job-take/$ID?gpu=none",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{workers}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
        "RUNPOD_WEBHOOK_PING": f"{workers}/ping/$RUNPOD_POD_ID",
        "RUNPOD_PING_INTERVAL": str(ping_ms),
        "RUNPOD_AI_API_KEY": key,
        "RUNPOD_POD_ID": worker_id,
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_SKIP_GPU_CHECK": "true",
    }


def main() -> None:
    """Becomes the worker, so that signals reach it directly."""
    parser = argparse.ArgumentParser(prog="python -m worker.local_worker", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--endpoint-url", default="http://127.0.0.1:8800/v2/local", help="as the site calls it")
    add("--key", help="API key; better in ACTORTRAIN_ENDPOINT_KEY, where no process list shows it")
    add("--worker-id", default=f"local-{uuid.uuid4().hex[:8]}", help="unique per worker")
    add("--work-dir", type=Path, default=Path("var/worker"), help="for jobs in hand and kept results")
    add("--ping-ms", type=int, default=5000, help="1000 or more (default: %(default)s)")
    add("--module", default="worker.handler", help="what to start (default: %(default)s)")
    given = parser.parse_args()
    key = given.key or os.environ.get("ACTORTRAIN_ENDPOINT_KEY", "")
    if not key:
        parser.exit(2, "local_worker: no API key. Set ACTORTRAIN_ENDPOINT_KEY.\n")
    if "/v2/" not in given.endpoint_url:
        parser.exit(2, "local_worker: --endpoint-url must end in /v2/{endpoint}.\n")
    if given.ping_ms < 1000:
        parser.exit(2, "local_worker: --ping-ms must be 1000 or more; the SDK counts whole seconds.\n")
    work = given.work_dir.resolve()
    work.mkdir(parents=True, exist_ok=True)
    settings = {
        "RUNPOD_LOG_LEVEL": "INFO",  # the SDK's default, DEBUG, prints every progress picture
        "ACTORTRAIN_WORK_DIR": str(work),
    }
    settings |= os.environ | environment(given.endpoint_url, key, given.worker_id, given.ping_ms)
    if RUNPOD_CONFIG.expanduser().exists():
        # The SDK prefers the key in this file, a real RunPod key, over the one it is given.
        settings.setdefault("HF_HOME", str(Path("~/.cache/huggingface").expanduser()))
        settings["HOME"] = str(work)
    os.execve(sys.executable, [sys.executable, "-m", given.module], settings)  # noqa: S606


if __name__ == "__main__":
    main()
