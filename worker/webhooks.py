"""Calls the webhooks of finished jobs; what is due lives in the job store, so a restart loses none."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx

from worker.endpoint_settings import Settings
from worker.job_states import Job
from worker.job_store import JobStore

log = logging.getLogger("endpoint")


class Webhooks:
    """RunPod's way: a POST of the status body, 200 expected, else two more tries."""

    def __init__(self, store: JobStore, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self._running: dict[str, asyncio.Task[None]] = {}

    def deliver_due(self) -> None:
        """Starts one attempt for every webhook that is due and not under way."""
        for job in self.store.due_webhooks():
            if job.id not in self._running:
                task = asyncio.create_task(self._attempt(job), name=job.id)
                self._running[job.id] = task
                task.add_done_callback(lambda done: self._running.pop(done.get_name(), None))

    async def stop(self) -> None:
        """Breaks off what is under way; it is still due after the next start."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _attempt(self, job: Job) -> None:
        """The URL holds a secret token: it is never logged, nor are the client's own messages."""
        try:
            async with httpx.AsyncClient(timeout=10) as client:
                response = await client.post(
                    job.webhook or "",
                    content=json.dumps(job.as_status()),
                    headers={"content-type": "application/json"},
                )
            delivered, outcome = response.status_code == 200, f"answered {response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            delivered, outcome = False, type(error).__name__
        log.info("job %s: webhook, try %d: %s", job.id, job.webhook_tries + 1, outcome)
        self.store.webhook_done(
            job,
            delivered=delivered,
            tries=self.settings.webhook_tries,
            interval=self.settings.webhook_interval,
        )
