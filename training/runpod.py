"""RunPod's hosted API, or a local endpoint that speaks it. The only way the site talks to either.

https://docs.runpod.io/serverless/endpoints/operation-reference

Reading may be repeated, so it is: with backoff, jitter and Retry-After. Submitting costs money and RunPod
has no idempotency key, so it is sent once; where the answer is lost, :class:`SubmissionUnknown` says so.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import httpx
from httpx_retries import RetryTransport

from training.job_report import JobReport, JobState, lora_url, parse_report, same_job
from training.progress import Progress
from training.runpod_http import (
    NotFound,
    RateLimited,
    Rejected,
    RunPodConfig,
    RunPodError,
    SubmissionNotSent,
    SubmissionUnknown,
    Unauthorized,
    Unavailable,
    UnknownState,
    WholeAnswers,
    certificates,
    check,
    kind,
    patience,
    read_report,
    unreachable,
)
from training.strict_json import UnreadableReportError, json_object

__all__ = [
    "Health",
    "JobReport",
    "JobState",
    "NotFound",
    "Progress",
    "RateLimited",
    "Rejected",
    "RunPod",
    "RunPodConfig",
    "RunPodError",
    "SubmissionNotSent",
    "SubmissionUnknown",
    "Unauthorized",
    "Unavailable",
    "UnknownState",
    "UnreadableReportError",
    "lora_url",
    "parse_webhook",
    "same_job",
]

_MEGABYTE = 1_000_000
#: https://docs.runpod.io/serverless/endpoints/send-requests: /run takes 10 MB.
_LARGEST_REQUEST = 10 * _MEGABYTE
#: Connections per httpx pool. A pool looks through all of them for every request: 2,000 looks over 100
#: connections took 3.0 s of CPU in pools of 10 and 1.6 s in pools of 4.
_POOL = 4


@dataclass(frozen=True)
class Health:
    """Counts by RunPod's own words: ``jobs["inQueue"]``, ``workers["idle"]`` …"""

    jobs: Mapping[str, int]
    workers: Mapping[str, int]

    @property
    def can_work(self) -> bool:
        """Whether any worker is there; on a cold endpoint they start when a job comes."""
        return any(self.workers.get(word, 0) for word in ("idle", "ready", "running", "initializing"))


def parse_webhook(body: bytes) -> JobReport:
    """A webhook's body. Raises UnreadableReportError. It is a hint: the truth is in ``/status``."""
    return parse_report(body)


class RunPod:
    """One endpoint. A context manager; not to be shared between threads."""

    def __init__(self, config: RunPodConfig) -> None:
        self._config = config
        self._client = httpx.Client(
            transport=RetryTransport(WholeAnswers(config), patience(config)),
            headers=config.headers,
            timeout=config.timeout,
        )
        self._runner: asyncio.Runner | None = None
        self._pools: list[httpx.AsyncClient] = []

    def __repr__(self) -> str:
        return f"RunPod({self._config.url})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()
        if self._runner is not None:
            for pool in self._pools:
                self._runner.run(pool.aclose())
            self._runner.close()
            self._runner, self._pools = None, []

    # https://docs.runpod.io/serverless/endpoints/operation-reference#run
    def run(self, body: Mapping[str, Any]) -> JobReport:
        """Submits a job, once. Raises SubmissionNotSent, SubmissionUnknown, or what the endpoint answers."""
        content = json.dumps(body).encode()
        if len(content) > _LARGEST_REQUEST:
            size = len(content) / _MEGABYTE
            raise Rejected(f"The request is {size:.1f} MB and RunPod takes 10 MB: train on fewer images.")
        return self._submit("/run", content)

    # https://docs.runpod.io/serverless/endpoints/operation-reference#retry
    def retry(self, job_id: str) -> JobReport:
        """Queues a failed job again, under its id. Costs money like ``run``, so it is sent once too."""
        return self._submit(f"/retry/{quote(job_id, safe='')}", b"{}")

    # https://docs.runpod.io/serverless/endpoints/operation-reference#status
    def status(self, job_id: str) -> JobReport:
        response = self._ask("GET", f"/status/{quote(job_id, safe='')}")
        return read_report(response, self._config, job_id)

    # https://docs.runpod.io/serverless/endpoints/operation-reference#cancel
    def cancel(self, job_id: str) -> JobReport:
        """Cancelling twice is cancelling once, so it is repeated like a read."""
        return read_report(self._ask("POST", f"/cancel/{quote(job_id, safe='')}"), self._config, job_id)

    # https://docs.runpod.io/serverless/endpoints/operation-reference#health
    def health(self) -> Health:
        response = self._ask("GET", "/health")
        check(response, self._config)
        try:
            data = json_object(response.content)
        except UnreadableReportError as error:
            raise Unavailable(f"{self._config.url} does not answer like RunPod: {error}") from error
        return Health(jobs=_counts(data.get("jobs")), workers=_counts(data.get("workers")))

    def statuses(
        self,
        job_ids: Iterable[str],
        *,
        per_second: float | None = None,
        concurrency: int = 100,
        deadline: float = 30,
    ) -> dict[str, JobReport | RunPodError]:
        """Looks at many jobs at once: per id its report, or why there is none. Asks each once.

        A wrong key or a 429 ends the round, and so do ``deadline`` seconds: those not asked get that reason.
        """
        ids = list(dict.fromkeys(job_ids))
        if self._runner is None:
            # Kept from round to round, and with it the open connections.
            self._runner = asyncio.Runner()
        look = _Round(self._config, ids, per_second)
        while len(self._pools) * _POOL < min(concurrency, len(ids)):
            self._pools.append(self._pool())
        return self._runner.run(look.go(self._pools, min(concurrency, len(ids)), deadline))

    def _pool(self) -> httpx.AsyncClient:
        config = self._config
        limits = httpx.Limits(max_connections=_POOL, max_keepalive_connections=_POOL)
        transport = httpx.AsyncHTTPTransport(verify=certificates(), limits=limits)
        return httpx.AsyncClient(transport=transport, headers=config.headers, timeout=config.timeout)

    def _submit(self, path: str, content: bytes) -> JobReport:
        # A fresh connection: one kept alive may be closing already, and then nobody knows what arrived.
        client = httpx.Client(
            transport=WholeAnswers(self._config),
            headers={**self._config.headers, "Content-Type": "application/json"},
            timeout=self._config.timeout,
        )
        with client:
            try:
                response = client.post(self._config.url + path, content=content)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
                raise SubmissionNotSent(unreachable(self._config, error)) from error
            except httpx.HTTPError as error:
                raise SubmissionUnknown(_lost_answer(kind(error))) from error
        try:
            check(response, self._config)
            return parse_report(response.content)
        except (Unavailable, UnreadableReportError) as error:
            raise SubmissionUnknown(_lost_answer(str(error))) from error

    def _ask(self, method: str, path: str) -> httpx.Response:
        try:
            return self._client.request(method, self._config.url + path)
        except httpx.HTTPError as error:
            raise Unavailable(unreachable(self._config, error)) from error


class _Round:
    """One look at many jobs: as many workers as connections, drawing from one list of ids."""

    def __init__(self, config: RunPodConfig, ids: list[str], per_second: float | None) -> None:
        self._config = config
        self._ids = iter(ids)
        self._gap = 1 / per_second if per_second else 0.0
        self._next_slot = time.monotonic()
        self._stopped: RunPodError | None = None
        self._found: dict[str, JobReport | RunPodError] = dict.fromkeys(
            ids, Unavailable("Not asked in this round: the endpoint is too slow.")
        )

    async def go(
        self, pools: list[httpx.AsyncClient], workers: int, deadline: float
    ) -> dict[str, JobReport | RunPodError]:
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline), asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(self._work(pools[number // _POOL]))
        if self._stopped is not None:
            for job_id in self._ids:
                self._found[job_id] = self._stopped
        return self._found

    async def _work(self, client: httpx.AsyncClient) -> None:
        while self._stopped is None and (job_id := next(self._ids, None)) is not None:
            await self._wait_for_slot()
            try:
                self._found[job_id] = await self._look(client, job_id)
            except RunPodError as error:
                self._found[job_id] = error
                if isinstance(error, Unauthorized | RateLimited):
                    self._stopped = error

    async def _look(self, client: httpx.AsyncClient, job_id: str) -> JobReport:
        url = f"{self._config.url}/status/{quote(job_id, safe='')}"
        try:
            async with asyncio.timeout(self._config.answer_timeout):
                try:
                    response = await client.get(url)
                except (httpx.RemoteProtocolError, httpx.ReadError):
                    # A connection kept from the last round may have been closed just now: once more, freshly.
                    response = await client.get(url)
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(unreachable(self._config, error)) from error
        return read_report(response, self._config, job_id)

    async def _wait_for_slot(self) -> None:
        now = time.monotonic()
        slot = max(now, self._next_slot)
        self._next_slot = slot + self._gap
        if slot > now:
            await asyncio.sleep(slot - now)


def _lost_answer(why: str) -> str:
    return f"The request was sent but its answer is lost ({why.rstrip('.')}): the job may have been accepted."


def _counts(value: object) -> dict[str, int]:
    found = value.items() if isinstance(value, Mapping) else ()
    return {str(word): count for word, count in found if isinstance(count, int)}
