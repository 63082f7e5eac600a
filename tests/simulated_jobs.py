"""The jobs of the simulated endpoint: how they live, end, and what is said about them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
from PIL import Image

FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")


@dataclass
class Faults:
    """As it stands this is a well-behaved endpoint. Kinds of broken answers: ``tests/broken_answers.py``."""

    #: These calls are answered in a broken way before anything happens: of them this share (seeded), and
    #: no more than so many. ``{"status": "429"}`` with ``broken_times=5`` is a window of five.
    broken: dict[str, str] = field(default_factory=dict)
    broken_share: float = 1.0
    broken_times: int | None = None
    retry_after: str = "1"
    #: /run accepts the job, and then its answer is broken in this way.
    accepted_answer: str = ""
    #: /status does not know a job for so long.
    register_seconds: float = 0
    #: Ids carry it; webhooks do not.
    id_suffix: str = ""
    #: How the job ends, and how often its worker dies first: each time it waits and starts anew.
    outcome: str = "COMPLETED"
    worker_retries: int = 0
    #: full, none (a container that only says IN_PROGRESS), out_of_order, malformed
    progress: str = "full"
    #: once, lost, triple, before_answer (of /run)
    webhook: str = "once"
    #: The worker stores its files by the links it got; without, it only says where they would lie.
    uploads: bool = True


@dataclass
class Job:
    id: str
    input: dict[str, Any]
    webhook: str | None
    policy: dict[str, int]
    submitted: float
    state: str = "IN_QUEUE"
    queued: float = 0
    started: float | None = None
    finished: float | None = None
    retries: int = 0
    output: Any = None
    error: str | None = None
    task: asyncio.Task[None] | None = None


class SimulatedJobs:
    """All jobs of one endpoint. Its clock runs ``speed`` times as fast; all times are in its seconds.

    ``workers`` is how many jobs run at once (None: any number). An input may say ``{"simulate": "succeed" |
    "fail" | "hang"}``; else the faults say how the job ends.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        speed: float = 100.0,
        queue_seconds: float = 5.0,
        train_seconds: float = 20.0,
        kept_seconds: float = 1800.0,
        workers: int | None = None,
    ) -> None:
        self.speed, self.workers = speed, workers
        self.queue_seconds, self.train_seconds, self.kept_seconds = queue_seconds, train_seconds, kept_seconds
        self.faults = Faults()
        self.random = random.Random(seed)
        self.jobs: dict[str, Job] = {}
        self.accepted = 0
        self.webhooks: list[int] = []
        self._places = asyncio.Semaphore(workers) if workers else None

    def now(self) -> float:
        return time.monotonic() * self.speed

    def find(self, job_id: str) -> Job | None:
        """Unknown are also jobs that are not registered yet, past their ttl, or finished long ago."""
        now = self.now()
        job = self.jobs.get(job_id) or self.jobs.get(job_id + self.faults.id_suffix)
        if job is None or now < job.submitted + self.faults.register_seconds:
            return None
        if now > job.submitted + job.policy["ttl"] / 1000:
            return None
        return None if job.finished is not None and now > job.finished + self.kept_seconds else job

    def submit(self, job: Job) -> None:
        self.jobs[job.id] = job
        self.start(job)

    def start(self, job: Job) -> None:
        """Queues it, for the first time or again: either is billed."""
        self.accepted += 1
        job.state, job.output, job.error, job.started, job.finished = "IN_QUEUE", None, None, None, None
        job.task = asyncio.create_task(self._live(job))

    def cancel(self, job: Job) -> None:
        if job.state not in FINAL:
            if job.task is not None:
                job.task.cancel()
            self._finish(job, "CANCELLED")

    # Its life

    async def _live(self, job: Job) -> None:
        try:
            async with asyncio.timeout((job.submitted + job.policy["ttl"] / 1000 - self.now()) / self.speed):
                await self._work(job)
        except TimeoutError:
            return
        await self._call_back(job)

    async def _work(self, job: Job) -> None:
        deaths = self.faults.worker_retries  # decided now: the weather may change while it waits
        for attempt in range(deaths + 1):
            # A worker's retry waits anew, and with that delayTime starts anew.
            job.state, job.started, job.queued, job.retries = "IN_QUEUE", None, self.now(), attempt
            await self._sleep(self.queue_seconds)
            async with self._places or nullcontext():
                job.state, job.started = "IN_PROGRESS", self.now()
                if attempt < deaths:
                    await self._sleep(self.train_seconds / 2)
                    continue
                try:
                    async with asyncio.timeout(job.policy["executionTimeout"] / 1000 / self.speed):
                        await self._train(job)
                except TimeoutError:
                    self._finish(job, "TIMED_OUT")

    async def _train(self, job: Job) -> None:
        ordered = {"succeed": "COMPLETED", "fail": "FAILED"}
        outcome = ordered.get(str(job.input.get("simulate")), self.faults.outcome)
        await self._sleep(1e9 if job.input.get("simulate") == "hang" else self.train_seconds)
        if outcome == "COMPLETED":
            await self._upload(job)
        elif outcome == "FAILED":
            job.error = "The training stopped, as ordered."
        self._finish(job, "FAILED" if job.error else outcome)

    def _finish(self, job: Job, state: str) -> None:
        job.state, job.finished = state, self.now()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)

    async def _upload(self, job: Job) -> None:
        config = job.input.get("training_config", {})
        if config.get("mode") == "preview":
            await self._upload_pictures(job, config["images"])
            return
        lora = tiny_lora(config.get("model_name", "lora"))
        name = f"{config.get('model_name', 'lora')}.safetensors"
        url = f"https://s3-accelerate.amazonaws.com/studio-loras/{name}"
        upload = config.get("uploads", {}).get("lora")
        if upload:
            url = upload["url"]
        if upload and self.faults.uploads:
            problem = await self._store(upload["put_url"], lora)
            if problem:
                job.error = f"The LoRA could not be stored: {problem}"
                return
        info = {"size_bytes": len(lora), "download_url": url, "sha256": hashlib.sha256(lora).hexdigest()}
        job.output = {"loraUrl": url, "loraName": name, "model_info": info}
        if self.faults.progress != "none":
            job.output["progress"] = self._picture(job, 1.0)

    async def _upload_pictures(self, job: Job, images: list[dict[str, Any]]) -> None:
        if self.faults.uploads:
            for image in images:
                if problem := await self._store(image["put_url"], tiny_png(image["seed"])):
                    job.error = f"A picture could not be stored: {problem}"
                    return
        picture = self._preview_picture(images, 1.0)
        job.output = {"images": picture["images"], "model_info": {}, "progress": picture}

    async def _store(self, put_url: str, content: bytes) -> str:
        """What went wrong; empty when it is stored. Like the real worker it tries several times."""
        problem = ""
        async with httpx.AsyncClient() as client:
            for attempt in range(12):
                await self._sleep(20 if attempt else 0)
                try:
                    (await client.put(put_url, content=content)).raise_for_status()
                except httpx.HTTPError as error:
                    problem = str(error) or type(error).__name__
                else:
                    return ""
        return problem

    async def _call_back(self, job: Job) -> None:
        if not job.webhook or self.faults.webhook == "lost":
            return
        bare = job.id.removesuffix(self.faults.id_suffix) if self.faults.id_suffix else job.id
        body = {**self.view(job, bare), "input": job.input, "webhook": job.webhook}
        async with httpx.AsyncClient(timeout=10) as client:
            for _ in range(3):
                try:
                    status = (await client.post(job.webhook, json=body)).status_code
                except httpx.HTTPError:
                    status = 0
                self.webhooks.append(status)
                if status == 200 and self.faults.webhook != "triple":
                    return
                await self._sleep(10)

    # What it says about a job

    def view(self, job: Job, job_id: str) -> dict[str, Any]:
        view: dict[str, Any] = {"id": job_id, "status": job.state}
        if job.started is not None:
            view["delayTime"] = int((job.started - job.queued) * 1000)
            view["workerId"] = f"worker-{job.retries}"
        if job.retries:
            view["retries"] = job.retries
        if job.state == "IN_PROGRESS" and job.started is not None:
            fraction = (self.now() - job.started) / self.train_seconds
            view["output"] = self._progress(job, min(fraction, 0.99))
        if job.finished is not None and job.started is not None:
            view["executionTime"] = int((job.finished - job.started) * 1000)
        view |= {key: value for key, value in (("output", job.output), ("error", job.error)) if value}
        return {key: value for key, value in view.items() if value is not None}

    def _progress(self, job: Job, fraction: float) -> Any:
        if job.input.get("simulate") == "hang":
            return {"step": 1}
        match self.faults.progress:
            case "none":
                return None
            case "out_of_order":
                return self._picture(job, self.random.uniform(0, fraction))
            case "malformed":
                return {
                    **self._picture(job, fraction),
                    "step": "many",
                    "log": "none",
                    "samples": [{"url": 1}],
                }
            case _:
                return self._picture(job, fraction)

    def _preview_picture(self, images: list[dict[str, Any]], fraction: float) -> dict[str, Any]:
        """A picture is named once it lies in the store, and this worker stores all in the end."""
        at = "2026-01-01T10:00:00Z"
        done = fraction == 1
        return {
            "stage": "done" if done else "drawing",
            "step": int(len(images) * fraction),
            "total_steps": len(images),
            "stages": [{"stage": "starting", "started_at": at}, {"stage": "drawing", "started_at": at}],
            "images": [
                {"image": number, "url": image["url"], "seed": image["seed"]}
                for number, image in enumerate(images if done else [])
            ],
            "log": [{"at": at, "level": "info", "message": f"{len(images)} pictures ordered"}],
        }

    def _picture(self, job: Job, fraction: float) -> dict[str, Any]:
        config = job.input.get("training_config", {})
        if config.get("mode") == "preview":
            return self._preview_picture(config["images"], fraction)
        total = int(job.input.get("training_config", {}).get("max_train_steps", 100))
        step = int(total * fraction)
        at = "2026-01-01T10:00:00Z"
        return {
            "stage": "done" if fraction == 1 else "training",
            "step": step,
            "total_steps": total,
            "seconds_per_step": self.train_seconds / total,
            "stages": [{"stage": "starting", "started_at": at}, {"stage": "training", "started_at": at}],
            "loss_history": [
                [point, round(1 / (1 + point), 4)] for point in range(1, step + 1, max(1, total // 50))
            ],
            "samples": [],
            "log": [{"at": at, "level": "info", "message": f"step {step} of {total}"}],
        }


def tiny_png(seed: int) -> bytes:
    """One pixel, of a colour by the seed."""
    content = io.BytesIO()
    Image.new("RGB", (1, 1), (seed % 256, seed // 256 % 256, 80)).save(content, "PNG")
    return content.getvalue()


def tiny_lora(name: str) -> bytes:
    """The smallest file that safetensors opens: one tensor of four zeros."""
    tensor = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    header = json.dumps({"__metadata__": {"name": name}, "lora.weight": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(16)
