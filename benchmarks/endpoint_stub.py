"""An endpoint that answers ``/status`` after 50 ms and nothing else, as fast as Python can.

``python -m benchmarks.endpoint_stub PORT``. ``POST /mode/queued | moving | completed`` says what all jobs do;
``moving`` has a new step at every look, with a loss history of 500 points.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import Any

import uvicorn

LATENCY = 0.05


class Stub:
    """A bare ASGI application."""

    def __init__(self) -> None:
        self.mode = "queued"
        self.steps = itertools.count(1)
        self.losses = [[step, round(1 / step, 4)] for step in range(1, 501)]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].split("/")
        if path[1] == "mode":
            self.mode = path[2]
            body: dict[str, Any] = {}
        elif path[-1] == "health":
            body = {"jobs": {}, "workers": {"running": 1}}
        else:
            await asyncio.sleep(LATENCY)
            body = self.view(path[-1])
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    def view(self, job_id: str) -> dict[str, Any]:
        if self.mode == "queued":
            return {"id": job_id, "status": "IN_QUEUE"}
        if self.mode == "moving":
            picture = {"stage": "training", "step": next(self.steps), "loss_history": self.losses}
            return {"id": job_id, "status": "IN_PROGRESS", "workerId": "w", "output": picture}
        url = f"https://bucket.s3.us-east-1.amazonaws.com/{job_id}.safetensors"
        times = {"delayTime": 1000, "executionTime": 90_000}
        return {"id": job_id, "status": "COMPLETED", **times, "output": {"loraUrl": url}}


if __name__ == "__main__":
    uvicorn.run(Stub(), port=int(sys.argv[1]), log_level="error")
