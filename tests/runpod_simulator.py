"""RunPod Serverless as the outside sees it, with its habits and faults, each switchable and seeded.

In a test: ``with Simulator(seed=1).serve() as simulator: …``, then set ``simulator.faults``.
On its own: ``python -m tests.runpod_simulator --port 8900``; ``POST /_control`` sets faults, ``GET`` counts.
``accepted`` counts jobs as RunPod would bill them: a test compares it with the launches people made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.broken_answers import broken_answer, serve_in_thread, serve_until_stopped
from tests.simulated_jobs import Faults, Job, SimulatedJobs

__all__ = ["Faults", "Simulator"]


class Simulator(SimulatedJobs):
    """One endpoint: the hosted API over :class:`SimulatedJobs`. ``latency`` is in real seconds."""

    def __init__(
        self,
        *,
        api_key: str = "simulator-key",
        endpoint_id: str = "simulated",
        latency: float = 0.0,
        **timing: Any,
    ) -> None:
        super().__init__(**timing)
        self.api_key, self.endpoint_id, self.latency = api_key, endpoint_id, latency
        self.calls: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.url = ""

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[Simulator]:
        """Serves from a thread of its own; ``url`` is then the base that ends in /v2."""
        with serve_in_thread(self.app(), port) as address:
            self.url = f"{address}/v2"
            yield self

    def app(self) -> Starlette:
        base = "/v2/{endpoint}"
        return Starlette(
            routes=[
                Route(f"{base}/run", self._run, methods=["POST"]),
                Route(f"{base}/status/{{id}}", self._status, methods=["GET", "POST"]),
                Route(f"{base}/cancel/{{id}}", self._cancel, methods=["POST"]),
                Route(f"{base}/retry/{{id}}", self._retry, methods=["POST"]),
                Route(f"{base}/health", self._health),
                Route("/_control", self._control, methods=["GET", "POST"]),
            ]
        )

    # The hosted API

    async def _run(self, request: Request) -> Response:
        if refusal := await self._refusal("run", request):
            return refusal
        raw = await request.body()
        if len(raw) > 10_000_000:
            return JSONResponse({"error": "request body too large"}, 400)
        try:
            body = json.loads(raw)
            job_input = body["input"]
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": 'the body needs an "input"'}, 400)
        if not isinstance(job_input, dict):
            return JSONResponse({"error": '"input" must be an object'}, 400)
        policy = {"executionTimeout": 600_000, "ttl": 86_400_000, **(body.get("policy") or {})}
        job_id = f"{uuid.UUID(int=self.random.getrandbits(128), version=4)}{self.faults.id_suffix}"
        job = Job(job_id, job_input, body.get("webhook"), policy, self.now())
        self.submit(job)
        if self.faults.webhook == "before_answer" and job.task is not None:
            await asyncio.wait([job.task])
        answer = {"id": job.id, "status": "IN_QUEUE"}
        if kind := self.faults.accepted_answer:
            return broken_answer(kind, answer, self.faults.retry_after)
        return JSONResponse(answer)

    async def _status(self, request: Request) -> Response:
        if refusal := await self._refusal("status", request):
            return refusal
        job = self.find(request.path_params["id"])
        if job is None:
            return _unknown_job()
        return JSONResponse(self.view(job, job.id))

    async def _cancel(self, request: Request) -> Response:
        if refusal := await self._refusal("cancel", request):
            return refusal
        job = self.find(request.path_params["id"])
        if job is None:
            return _unknown_job()
        self.cancel(job)
        return JSONResponse({"id": job.id, "status": job.state})

    async def _retry(self, request: Request) -> Response:
        if refusal := await self._refusal("retry", request):
            return refusal
        job = self.find(request.path_params["id"])
        if job is None:
            return _unknown_job()
        if job.state not in ("FAILED", "TIMED_OUT"):
            return JSONResponse({"error": "only failed or timed out jobs can be retried"}, 400)
        self.start(job)
        return JSONResponse({"id": job.id, "status": "IN_QUEUE"})

    async def _health(self, request: Request) -> Response:
        if refusal := await self._refusal("health", request):
            return refusal
        states = Counter(job.state for job in self.jobs.values() if self.find(job.id))
        running = states["IN_PROGRESS"]
        return JSONResponse(
            {
                "jobs": {
                    "completed": states["COMPLETED"],
                    "failed": states["FAILED"],
                    "inProgress": running,
                    "inQueue": states["IN_QUEUE"],
                    "retried": sum(job.retries for job in self.jobs.values()),
                },
                "workers": {
                    "idle": max(0, (self.workers or running + 1) - running),
                    "initializing": 0,
                    "ready": self.workers or 1,
                    "running": running,
                    "throttled": 0,
                    "unhealthy": 0,
                },
            }
        )

    async def _control(self, request: Request) -> Response:
        if request.method == "POST":
            changes = json.loads(await request.body())
            if unknown := changes.keys() - {each.name for each in fields(Faults)}:
                return JSONResponse({"error": f"no such fault: {sorted(unknown)}"}, 400)
            self.faults = Faults(**changes)
            self.broken.clear()
        jobs = {
            job.id: {"state": job.state, "config": job.input.get("training_config")}
            for job in self.jobs.values()
        }
        counts = {
            "accepted": self.accepted,
            "calls": self.calls,
            "broken": self.broken,
            "webhooks": self.webhooks,
        }
        return JSONResponse({**counts, "faults": asdict(self.faults), "jobs": jobs})

    # What stands between a call and its answer

    async def _refusal(self, call: str, request: Request) -> Response | None:
        self.calls[call] += 1
        if self.latency:
            await asyncio.sleep(self.latency)
        faults = self.faults
        kind = faults.broken.get(call)
        more = faults.broken_times is None or self.broken[call] < faults.broken_times
        if kind and more and self.random.random() < faults.broken_share:
            self.broken[call] += 1
            whole = {"id": request.path_params.get("id", ""), "status": "IN_PROGRESS"}
            return broken_answer(kind, whole, faults.retry_after)
        if request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return JSONResponse({"error": "Unauthorized"}, 401)
        if request.path_params["endpoint"] != self.endpoint_id:
            return JSONResponse({"error": "endpoint not found"}, 404)
        return None


def _unknown_job() -> Response:
    return JSONResponse({"error": "job not found"}, 404)


def main() -> None:
    parser = argparse.ArgumentParser(description="A RunPod endpoint that trains nothing.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", default="simulator-key")
    parser.add_argument("--endpoint", default="simulated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second")
    parser.add_argument("--queue", type=float, default=5.0, help="simulated seconds in the queue")
    parser.add_argument("--train", type=float, default=60.0, help="simulated seconds of training")
    parser.add_argument("--workers", type=int, help="jobs that run at once; else any number")
    parser.add_argument("--latency", type=float, default=0.0, help="real seconds before every answer")
    parser.add_argument("--faults", type=json.loads, default={}, help="JSON, as for POST /_control")
    options = parser.parse_args()
    simulator = Simulator(
        api_key=options.key,
        endpoint_id=options.endpoint,
        seed=options.seed,
        speed=options.speed,
        queue_seconds=options.queue,
        train_seconds=options.train,
        workers=options.workers,
        latency=options.latency,
    )
    simulator.faults = Faults(**options.faults)
    serve_until_stopped(simulator.app(), options.port)


if __name__ == "__main__":
    main()
