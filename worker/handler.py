"""The worker's entry: a job in, progress and one result out (``docs/contract.md``).

Runs under the unmodified RunPod SDK, on RunPod or on the local endpoint:

    python -m worker.handler
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any, Self

import runpod

from worker import signals
from worker.draw_order import DrawOrder, is_preview, read_draw_order
from worker.drawer import Drawer
from worker.events import Checkpoint, Done, Event, Heldback, Log, Sample, Stage, Step, Validation
from worker.order import JobFailedError, Order, read_order
from worker.preview import draw_preview
from worker.progress import DrawingPicture, Picture, PictureKind, Reporter
from worker.train_process import run_trainer
from worker.transfers import DISK_FULL, download_images, new_client, upload

log = logging.getLogger("handler")

#: A finished result is answered again for a day: RunPod may deliver a job twice.
CACHE_SECONDS = 24 * 3600

#: One lock per request in hand; an entry lives as long as someone holds or awaits it.
_locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
_drawer = Drawer()


async def handler(job: dict[str, Any]) -> dict[str, Any]:
    """RunPod's handler. A job delivered twice is done once: the second waits for the first's result."""
    try:
        job_input = job.get("input")
        order = read_draw_order(job_input) if is_preview(job_input) else read_order(job_input)
        lock = _locks.setdefault(order.key, asyncio.Lock())
        async with lock:
            if (known := _recall(order)) is not None:
                return known
            result = await (_draw(job, order) if isinstance(order, DrawOrder) else _train(job, order))
            _remember(order, result)
            return result
    except JobFailedError as error:
        return _failure(str(error))
    except OSError as error:
        if error.errno in DISK_FULL:
            return _failure("The worker's disk is full: free some space or give the endpoint a larger disk.")
        log.exception("job %s failed", job.get("id"))
        return _failure(f"The worker could not go on: {error.strerror or error}.")
    except Exception as error:  # the SDK would send a traceback where a person reads
        log.exception("job %s failed", job.get("id"))
        return _failure(f"The worker met an error of its own ({type(error).__name__}): look at its log.")


def _job_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(
        prefix=f"job-{os.getpid()}-", dir=work_folder(), ignore_cleanup_errors=True
    )


def _reporter(job: dict[str, Any], picture: PictureKind) -> Reporter[PictureKind]:
    return Reporter(lambda seen: runpod.serverless.progress_update(job, seen), picture)


async def _draw(job: dict[str, Any], order: DrawOrder) -> dict[str, Any]:
    with _job_folder() as name:
        return await draw_preview(order, Path(name), _reporter(job, DrawingPicture()), _drawer)


async def _train(job: dict[str, Any], order: Order) -> dict[str, Any]:
    reporter = _reporter(job, Picture())
    await _drawer.send_away()  # a training needs the memory
    with _job_folder() as name:
        async with (
            reporter.running(),
            new_client() as client,
            _SampleUploads(client, order, reporter) as samples,
        ):
            folder = Path(name)
            reporter.enter("starting")
            reporter.enter("downloading")
            paths = await download_images(client, order.images, folder)
            reporter.say(f"{len(paths)} images downloaded")
            _write_job(order, paths, folder)
            reporter.enter("training")
            done = await run_trainer(folder, lambda event: _follow(event, reporter, samples))
            reporter.enter("uploading")
            await samples.finished()
            await upload(client, folder / done.path, order.lora)
            reporter.say(f"Done in {done.seconds:.0f} s; peak memory {done.peak_memory_mb} MB")
            reporter.enter("done")
    return _result(order, done, reporter)


def _write_job(order: Order, paths: list[Path], folder: Path) -> None:
    """``job.json``, as ``worker/job.py`` reads it."""
    described = zip(paths, order.images, strict=True)
    job = {
        "images": [
            {"path": str(path.relative_to(folder)), "caption": source.caption} for path, source in described
        ],
        "parameters": order.parameters,
        "base_model": order.base_model,
        "seed": order.seed,
        "sample_prompts": order.sample_prompts,
        "sample_steps": order.sample_steps,
        "checkpoint_steps": sorted(order.checkpoints),
        "dataset_fingerprint": order.dataset_fingerprint,
        "model_name": order.model_name,
        "output": order.lora_name,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def _follow(event: Event, reporter: Reporter[Picture], samples: _SampleUploads) -> None:
    """Paints one event of the trainer into the picture."""
    picture = reporter.picture
    match event:
        case Stage(stage):
            reporter.enter(stage)
        case Step():
            picture.step, picture.total_steps = event.step, event.total_steps
            picture.seconds_per_step = round(event.seconds_per_step, 4)
            picture.add_loss(event.step, event.loss)
            reporter.touch()
        case Validation():
            reporter.picture.add_validation(event.step, event.loss)
            reporter.touch()
        case Sample():
            if event.prompt == 0:
                reporter.say(words_at(event.step, picture))
            samples.add(event)
        case Checkpoint():
            samples.add_checkpoint(event)
        case Heldback():
            losses = f"{event.base_loss:.4f} before, {event.lora_loss:.4f} with the LoRA"
            reporter.say(f"Loss on {event.images} held-back images: {losses}")
        case Log():
            reporter.say(event.message, event.level)
        case _:  # Done and Error are the end; run_trainer deals with them
            pass


def words_at(step: int, picture: Picture) -> str:
    """How far it is, when samples are drawn: between them a log would be silent for long."""
    if not picture.losses:
        return f"Samples of step {step}"
    pace = f", {picture.seconds_per_step:.2f} s a step" if picture.seconds_per_step else ""
    return f"Samples of step {step}: loss {picture.losses[-1][1]:.4f}{pace}"


class _SampleUploads:
    """Uploads samples and checkpoints beside the training. A lost one is told; it costs no LoRA."""

    def __init__(self, client: Any, order: Order, reporter: Reporter[Picture]) -> None:
        self.client = client
        self.order = order
        self.reporter = reporter
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, sample: Sample) -> None:
        """Starts the upload of a sample that has just been drawn."""
        self._tasks.append(asyncio.create_task(self._upload(sample)))

    def add_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Starts the upload of the LoRA of a step in between."""
        self._tasks.append(asyncio.create_task(self._upload_checkpoint(checkpoint)))

    async def finished(self) -> None:
        """Waits for those under way."""
        await asyncio.gather(*self._tasks)

    async def _upload(self, sample: Sample) -> None:
        target = self.order.samples.get((sample.step, sample.prompt))
        if target is None:
            return
        try:
            await upload(self.client, Path(sample.path), target)
        except (JobFailedError, OSError) as error:
            self.reporter.say(f"The sample of step {sample.step} is lost: {error}", "warning")
            return
        entry = {"step": sample.step, "prompt": sample.prompt, "url": target.url, "seed": sample.seed}
        self.reporter.picture.samples.append(entry)
        self.reporter.touch()

    async def _upload_checkpoint(self, checkpoint: Checkpoint) -> None:
        path, target = Path(checkpoint.path), self.order.checkpoints.get(checkpoint.step)
        if target is None:
            return
        try:
            size = await asyncio.to_thread(lambda: path.stat().st_size)
            await upload(self.client, path, target)
        except (JobFailedError, OSError) as error:
            self.reporter.say(f"The checkpoint of step {checkpoint.step} is lost: {error}", "warning")
            return
        entry = {"step": checkpoint.step, "url": target.url, "size_bytes": size}
        self.reporter.picture.checkpoints.append(entry)
        self.reporter.touch()


def _result(order: Order, done: Done, reporter: Reporter[Picture]) -> dict[str, Any]:
    return {
        "loraUrl": order.lora.url,
        "loraName": order.lora_name,
        "model_info": {
            "size_bytes": done.size_bytes,
            "download_url": order.lora.url,
            "sha256": done.sha256,
            "base_model": order.base_model,
        },
        "progress": reporter.picture.as_dict(),
    }


def _failure(message: str) -> dict[str, Any]:
    return {"error": " ".join(message.split())}


def work_folder() -> Path:
    """Where jobs and results lie: ``ACTORTRAIN_WORK_DIR``, else in the system's temporary folder."""
    default = Path(tempfile.gettempdir()) / "actortrain-worker"
    folder = Path(os.environ.get("ACTORTRAIN_WORK_DIR") or default)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _recall(order: Order | DrawOrder) -> dict[str, Any] | None:
    """The result of an earlier run of the same request, if it is younger than a day."""
    file = work_folder() / "results" / f"{order.key}.json"
    with contextlib.suppress(OSError, ValueError):
        if time.time() - file.stat().st_mtime < CACHE_SECONDS:
            known = json.loads(file.read_text(encoding="utf-8"))
            return known if isinstance(known, dict) else None
    return None


def _remember(order: Order | DrawOrder, result: dict[str, Any]) -> None:
    """Best effort: a result that cannot be kept is still a result."""
    with contextlib.suppress(OSError):
        folder = work_folder() / "results"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            if time.time() - old.stat().st_mtime > CACHE_SECONDS:
                old.unlink()
        part = folder / f"{order.key}.part"
        part.write_text(json.dumps(result), encoding="utf-8")
        part.replace(folder / f"{order.key}.json")


def _clear_leftovers() -> None:
    """Folders of jobs whose worker was killed."""
    for folder in work_folder().glob("job-*-*"):
        pid = folder.name.split("-")[1]
        if pid == str(os.getpid()) or not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Takes jobs until SIGTERM or SIGINT."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs, and ours are signed
    _clear_leftovers()
    signals.prepare()
    with contextlib.suppress(asyncio.CancelledError):  # how the SDK's loop ends when a signal stops it
        runpod.serverless.start({"handler": handler, "concurrency_modifier": signals.LoopHook()})


if __name__ == "__main__":
    main()
