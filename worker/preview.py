"""A preview on the worker's side: LoRAs in, pictures drawn one after the other, each uploaded at once."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Self

import httpx

from worker.draw_order import DrawOrder
from worker.drawer import Drawer
from worker.events import Event, Log, Picture, Stage
from worker.order import JobFailedError
from worker.progress import DrawingPicture, Reporter
from worker.transfers import download_lora, new_client, upload

#: Uploads at once.
AT_ONCE = 4


async def draw_preview(
    order: DrawOrder, folder: Path, reporter: Reporter[DrawingPicture], drawer: Drawer
) -> dict[str, Any]:
    """The job's result. Raises :class:`JobFailedError`; pictures uploaded until then stay."""
    reporter.picture.total_steps = len(order.images)
    async with reporter.running(), new_client() as client, _Uploads(client, order, reporter) as pictures:
        reporter.enter("starting")
        reporter.enter("downloading")
        paths = {number: folder / f"lora{number}.safetensors" for number in order.used_loras}
        await asyncio.gather(
            *(download_lora(client, order.loras[number], path) for number, path in paths.items())
        )
        _write_job(order, paths, folder)
        done = await drawer.draw(folder, lambda event: _follow(event, reporter, pictures))
        await pictures.finished()
        reporter.say(f"{done.images} drawn in {done.seconds:g} s; peak memory {done.peak_memory_mb} MB")
        reporter.enter("done")
    picture = reporter.picture.as_dict()
    return {"images": picture["images"], "model_info": {"base_model": order.base_model}, "progress": picture}


def _write_job(order: DrawOrder, paths: dict[int, Path], folder: Path) -> None:
    """``job.json``, as ``worker/draw.py`` reads it."""
    loras = [
        {"path": paths[number].name, "version": lora.version, "step": lora.step} if number in paths else None
        for number, lora in enumerate(order.loras)
    ]
    names = ("prompt", "seed", "strength", "steps", "lora")
    images = [{name: getattr(image, name) for name in names} for image in order.images]
    job = {
        "base_model": order.base_model,
        "model_name": order.model_name,
        "loras": loras,
        "images": images,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def _follow(event: Event, reporter: Reporter[DrawingPicture], pictures: _Uploads) -> None:
    """Paints one event of the drawing process into the picture."""
    match event:
        case Stage(stage):
            reporter.enter(stage)
        case Picture():
            pictures.add(event)
        case Log():
            reporter.say(event.message, event.level)
        case _:  # Drawn and Error are the end; the drawer deals with them
            pass


class _Uploads:
    """Uploads beside the drawing. A picture that can't be stored fails the job: it was made for that."""

    def __init__(
        self, client: httpx.AsyncClient, order: DrawOrder, reporter: Reporter[DrawingPicture]
    ) -> None:
        self.client, self.order, self.reporter = client, order, reporter
        self._tasks: list[asyncio.Task[None]] = []
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._began = time.monotonic()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, event: Picture) -> None:
        """Starts the upload of a picture that has just been drawn."""
        picture = self.reporter.picture
        if picture.step:  # the first one's time is mostly loading
            picture.seconds_per_step = round((time.monotonic() - self._began) / picture.step, 3)
        else:
            self._began = time.monotonic()
        picture.step += 1
        self._tasks.append(asyncio.create_task(self._upload(event)))
        self.reporter.touch()

    async def finished(self) -> None:
        """Waits for all; raises what the first lost one met, after the others have arrived."""
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        lost = [result for result in results if isinstance(result, BaseException)]
        if lost:
            raise JobFailedError(f"{len(lost)} of {len(results)} pictures are lost: {lost[0]}") from lost[0]

    async def _upload(self, event: Picture) -> None:
        image = self.order.images[event.image]
        async with self._gate:
            await upload(self.client, Path(event.path), image.target)
        entry = {"image": event.image, "url": image.target.url, "seed": image.seed}
        self.reporter.picture.images.append(entry)
        self.reporter.touch()
