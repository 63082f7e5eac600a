"""The local endpoint's views: RunPod's hosted API for the site, its worker API for SDK workers."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from worker.endpoint_settings import Settings
from worker.job_states import Job, State
from worker.job_store import JobStore
from worker.webhooks import Webhooks

log = logging.getLogger("endpoint")

MEGABYTE = 1_000_000
RUN_LIMIT = 10 * MEGABYTE
RESULT_LIMIT = 20 * MEGABYTE
#: RunPod's defaults, https://docs.runpod.io/serverless/endpoints/send-requests#execution-policies
DEFAULT_POLICY = {"executionTimeout": 10 * 60 * 1000, "ttl": 24 * 60 * 60 * 1000}

Found = TypeVar("Found")
View = Callable[[Request], Awaitable[Response]]


class BadRequestError(Exception):
    """The request cannot be served; the message says what to change."""


def answer(body: Any, status: int = 200) -> Response:
    """JSON in plain ASCII: whatever a worker sent can be written, lone surrogates too."""
    return Response(json.dumps(body), status, media_type="application/json")


def nothing() -> Response:
    """204: the long poll ended without news."""
    return Response(status_code=204)


class Endpoint:
    """The application's state and its views; one event loop, one process."""

    def __init__(self, store: JobStore, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.closing = False
        self._changed = asyncio.Event()
        self.webhooks = Webhooks(store, settings)

    # -- hosted API: https://docs.runpod.io/serverless/endpoints/operations ----------------------

    async def run(self, request: Request) -> Response:
        """``POST /run``: ``{"input": {…}, "webhook"?, "policy"?}`` → ``{"id", "status"}``."""
        body = await self._json(request, RUN_LIMIT)
        if not isinstance(body, dict) or not isinstance(body.get("input"), dict):
            raise BadRequestError('The body must be a JSON object with an object "input".')
        webhook = body.get("webhook")
        if webhook is not None and not (
            isinstance(webhook, str) and webhook.startswith(("http://", "https://"))
        ):
            raise BadRequestError('"webhook" must be an http or https URL.')
        policy = _policy(body.get("policy"))
        job_id = self.store.submit(body["input"], webhook, policy["executionTimeout"], policy["ttl"])
        self._wake()
        return answer({"id": job_id, "status": State.IN_QUEUE})

    async def status(self, request: Request) -> Response:
        """``GET /status/{id}``; RunPod takes POST here as well."""
        job = self._job(request)
        return answer(job.as_status()) if job else unknown_job()

    async def cancel(self, request: Request) -> Response:
        """``POST /cancel/{id}``: the state afterwards; a finished job stays what it is."""
        if (job := self._job(request)) is None:
            return unknown_job()
        if self.store.cancel(job):
            self._wake()
        return self._state_now(job.id)

    async def retry(self, request: Request) -> Response:
        """``POST /retry/{id}``: only for FAILED and TIMED_OUT."""
        if (job := self._job(request)) is None:
            return unknown_job()
        if not self.store.retry(job):
            return answer(
                {"error": f"Only FAILED and TIMED_OUT jobs can be retried; this is {job.state}."}, 400
            )
        self._wake()
        return self._state_now(job.id)

    async def health(self, _: Request) -> Response:
        """``GET /health``: counts of jobs and workers."""
        return answer(self.store.health())

    # -- workers' API, as the RunPod SDK 1.12 calls it -------------------------------------------

    async def job_take(self, request: Request) -> Response:
        """Long poll for a job. The batch form answers a list, here of one: a worker trains one job."""
        worker_id = request.path_params["worker"]
        if request.query_params.get("job_in_progress") == "0":
            self.store.drop_held(worker_id)
        job = await self._poll(request, lambda: self.store.take(worker_id))
        if job is None:
            return nothing()
        body = {"id": job.id, "input": json.loads(job.input)}
        return answer([body] if "job-take-batch" in request.url.path else body)

    async def job_stop(self, request: Request) -> Response:
        """Long poll for jobs that the worker must stop: cancelled, timed out, given to another."""
        job_ids = await self._poll(request, lambda: self.store.take_stops(request.path_params["worker"]))
        return answer({"jobsToStop": job_ids}) if job_ids else nothing()

    async def job_done(self, request: Request) -> Response:
        """Progress or the end of a job. Always 200: the SDK would only repeat what we don't want."""
        worker_id, job_id = request.path_params["worker"], request.path_params["job"]
        self.store.saw(worker_id)
        try:
            body = await self._json(request, RESULT_LIMIT)
        except BadRequestError as error:
            # Repeating it would not help, and without an end the job would hang until its time-out.
            body = {"error": f"The worker's result cannot be read: {error}"}
        if not isinstance(body, dict):
            body = {"error": "The worker's result cannot be read: it is no JSON object."}
        if body.get("status") == "IN_PROGRESS":
            self.store.record_progress(worker_id, job_id, body.get("output"))
        elif body.get("error"):
            self.store.finish(worker_id, job_id, None, str(body["error"]))
        else:
            self.store.finish(worker_id, job_id, body.get("output"), None)
        self.webhooks.deliver_due()
        return answer({})

    async def ping(self, request: Request) -> Response:
        """A sign of life, with the ids of the jobs the worker holds."""
        held = request.query_params.get("job_id", "")
        self.store.ping(request.path_params["worker"], [job_id for job_id in held.split(",") if job_id])
        self._wake()
        return answer({})

    # -- around ----------------------------------------------------------------------------------

    def routes(self) -> list[Route]:
        """Every path; each asks for the key first."""
        site, workers = "/v2/{endpoint}", "/w/{endpoint}"
        table: list[tuple[str, View, list[str]]] = [
            (f"{site}/run", self.run, ["POST"]),
            (f"{site}/status/{{job}}", self.status, ["GET", "POST"]),
            (f"{site}/cancel/{{job}}", self.cancel, ["POST"]),
            (f"{site}/retry/{{job}}", self.retry, ["POST"]),
            (f"{site}/health", self.health, ["GET"]),
            (f"{workers}/job-take/{{worker}}", self.job_take, ["GET"]),
            (f"{workers}/job-take-batch/{{worker}}", self.job_take, ["GET"]),
            (f"{workers}/job-stop/{{worker}}", self.job_stop, ["GET"]),
            (f"{workers}/job-done/{{worker}}/{{job}}", self.job_done, ["POST"]),
            (f"{workers}/ping/{{worker}}", self.ping, ["GET"]),
        ]
        return [Route(path, self._guarded(view), methods=methods) for path, view, methods in table]

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Runs the clock while the application serves."""
        clock = asyncio.create_task(self._clock())
        yield
        clock.cancel()
        await asyncio.gather(clock, self.webhooks.stop(), return_exceptions=True)
        self.store.close()

    def close(self) -> None:
        """Ends the long polls, so that stopping does not wait for them."""
        self.closing = True
        self._wake()

    def _guarded(self, view: View) -> View:
        """401 without the key (Bearer from the site, bare from the SDK), 404 for another endpoint."""

        async def guarded(request: Request) -> Response:
            sent = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(sent.encode(), self.settings.key.encode()):
                return answer({"error": "Unauthorized: the API key is missing or wrong."}, 401)
            if request.path_params["endpoint"] != self.settings.endpoint_id:
                return answer(
                    {"error": f"There is no such endpoint here, only {self.settings.endpoint_id}."}, 404
                )
            try:
                return await view(request)
            except BadRequestError as error:
                return answer({"error": str(error)}, 400)
            except sqlite3.Error as error:  # a full disk, for one; the caller may try again
                log.exception("%s: the state file failed", request.method)
                return answer({"error": f"The endpoint cannot use its state file: {error}."}, 503)
            except ClientDisconnect:
                return nothing()

        return guarded

    async def _json(self, request: Request, limit: int) -> Any:
        """The body, read no further than ``limit``. NaN and Infinity, which JSON lacks, become null."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise BadRequestError(f"The body is larger than {limit // MEGABYTE} MB.")
        try:
            return json.loads(body, parse_constant=lambda _: None)
        except (ValueError, RecursionError) as error:
            raise BadRequestError("The body is no valid JSON.") from error

    async def _poll(self, request: Request, find: Callable[[], Found | None]) -> Found | None:
        """What ``find`` finds within the long poll. A caller that has gone is given nothing."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.long_poll
        while not (self.closing or await request.is_disconnected()):
            self.store.saw(request.path_params["worker"])
            changed = self._changed
            if (found := find()) is not None:
                return found
            if (remaining := deadline - loop.time()) <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(remaining, 1.0))
        return None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        self.webhooks.deliver_due()

    async def _clock(self) -> None:
        while True:
            try:
                self.store.sweep()
            except sqlite3.Error:  # a full disk must not stop the clock for good
                log.exception("the sweep failed; it runs again in %s s", self.settings.tick)
            self._wake()
            await asyncio.sleep(self.settings.tick)

    def _job(self, request: Request) -> Job | None:
        return self.store.get(request.path_params["job"])

    def _state_now(self, job_id: str) -> Response:
        job = self.store.get(job_id)
        return answer({"id": job.id, "status": job.state}) if job else unknown_job()


def unknown_job() -> Response:
    """404, for an id that never was or whose result is forgotten."""
    return answer({"error": "There is no such job: the id is wrong, or its result is no longer kept."}, 404)


def _policy(sent: Any) -> dict[str, int]:
    """Both limits in milliseconds."""
    if sent is not None and not isinstance(sent, dict):
        raise BadRequestError('"policy" must be an object.')
    policy = DEFAULT_POLICY | {key: value for key, value in (sent or {}).items() if key in DEFAULT_POLICY}
    for key, value in policy.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 2**53:
            raise BadRequestError(f'"policy.{key}" must be a whole number of milliseconds above 0.')
    return policy


def make_app(store: JobStore, settings: Settings) -> tuple[Starlette, Endpoint]:
    """The ASGI application and the endpoint behind it."""
    endpoint = Endpoint(store, settings)
    return Starlette(routes=endpoint.routes(), lifespan=endpoint.lifespan), endpoint
