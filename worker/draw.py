"""Draws previews: ``python -m worker.draw [JOB_DIR]``; without JOB_DIR those named on standard input.

``JOB_DIR/job.json`` says what; pictures go to ``JOB_DIR/pictures``, events to standard output
(``events.py``). Each job ends with ``drawn`` or ``refused``, or with ``error`` and the process. One that
gets its jobs one after the other keeps the base in memory: importing torch and loading a base take
longer than most previews.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from worker.base_model import base_card
from worker.dataset import Text, encode_texts
from worker.events import Drawn, Error, Log, Picture, Refused, Stage, emit
from worker.job import JobError
from worker.loading import attach_lora, base_location, load_frozen, use_lora
from worker.machine import check_space, explain, prepare_machine
from worker.sampling import Drawing, draw, save_noted

#: What a picture may take on the disk.
PICTURE_BYTES = 2_000_000
#: Texts kept encoded; FLUX's take 4 MB each.
TEXTS_KEPT = 64


@dataclass(frozen=True)
class DrawJob:
    """``job.json``, written by ``worker/preview.py`` from a checked order."""

    folder: Path
    base_model: str
    model_name: str
    loras: list[dict[str, Any] | None]
    images: list[dict[str, Any]]


def load_draw_job(folder: Path) -> DrawJob:
    """Raises :class:`JobError`."""
    file = folder / "job.json"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return DrawJob(folder, data["base_model"], data["model_name"], data["loras"], data["images"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(f"{file} cannot be used ({type(error).__name__}: {error}).") from None


class Studio:
    """A base model in memory, and the texts it has read."""

    def __init__(self, base_model: str, device: torch.device) -> None:
        self.base_model, self.device = base_model, device
        self.drawing = Drawing.of(base_card(base_location(base_model)))
        emit(Log("info", f"loading the base model {base_model}"))
        self.pipeline = load_frozen(
            base_model, torch.bfloat16 if device.type == "cuda" else torch.float32, device
        )
        self.encoders = self.pipeline.text_encoder, self.pipeline.text_encoder_2
        self.texts: dict[str, Text] = {}

    def read(self, prompts: list[str]) -> None:
        """Encodes what is new. Encoders and transformer take turns on the device: FLUX's T5 holds 9 GB."""
        pipeline = self.pipeline
        new = [prompt for prompt in dict.fromkeys(["", *prompts]) if prompt not in self.texts]
        if new:
            if len(self.texts) > TEXTS_KEPT:
                self.texts, new = {}, ["", *prompts]
            self._place(pipeline.transformer, torch.device("cpu"))
            pipeline.text_encoder, pipeline.text_encoder_2 = (
                self._place(encoder, self.device) for encoder in self.encoders
            )
            self.texts |= encode_texts(pipeline, new, self.drawing.max_tokens)
        for encoder in self.encoders:
            self._place(encoder, torch.device("cpu"))
        pipeline.text_encoder = pipeline.text_encoder_2 = None
        self._place(pipeline.transformer, self.device)

    @staticmethod
    def _place(part: Any, device: torch.device) -> Any:
        return part if part is None or part.device.type == device.type else part.to(device)

    def draw(self, job: DrawJob) -> Iterator[Path]:
        """All pictures of the job, in order."""
        try:
            for number, lora in enumerate(job.loras):
                if lora is not None:
                    attach_lora(self.pipeline, job.folder / lora["path"], f"lora{number}", lora["version"])
            for number, image in enumerate(job.images):
                yield self._picture(job, number, image)
        finally:
            self.pipeline.unload_lora_weights()

    def _picture(self, job: DrawJob, number: int, image: dict[str, Any]) -> Path:
        lora = job.loras[image["lora"]] if image["strength"] else None
        use_lora(self.pipeline, f"lora{image['lora']}" if lora else None, image["strength"])
        drawing = replace(self.drawing, steps=image["steps"] or self.drawing.steps)
        picture = draw(self.pipeline, drawing, self.texts[image["prompt"]], self.texts[""], image["seed"])
        notes: dict[str, object] = {
            "prompt": image["prompt"],
            "seed": image["seed"],
            "strength": f"{image['strength']:g}",
            "steps": drawing.steps,
            "version": lora["version"] if lora else "base alone",
            "model_name": job.model_name,
            "base_model": job.base_model,
        }
        if lora and lora["step"] is not None:
            notes["training_step"] = lora["step"]
        path = job.folder / "pictures" / f"{number:03d}.png"
        save_noted(picture, path, notes)
        return path


def run(job: DrawJob, studio: Studio | None, device: torch.device) -> Studio:
    """Draws the job; the studio is kept for the next one on the same base."""
    started = time.monotonic()
    check_space(job.folder, PICTURE_BYTES * len(job.images))
    if studio is None or studio.base_model != job.base_model:
        del studio  # before the next base comes into memory
        studio = Studio(job.base_model, device)
    emit(Stage("drawing"))
    studio.read([image["prompt"] for image in job.images])
    for number, path in enumerate(studio.draw(job)):
        emit(Picture(number, str(path)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    emit(Drawn(len(job.images), round(time.monotonic() - started, 1), peak))
    return studio


def tell(error: Exception) -> None:
    """Whatever it is, the handler must hear of it."""
    message = explain(error, relief="draw fewer pictures with fewer LoRAs")
    if message is None:
        message = f"The drawing failed ({type(error).__name__}: {error}). Its log on the worker says more."
        sys.excepthook(type(error), error, error.__traceback__)
    emit(Error(" ".join(message.split())))


def main() -> int:
    """Command line; see the head of this file."""
    folders: Iterator[str] = iter(sys.argv[1:] or (line.strip() for line in sys.stdin))
    studio: Studio | None = None
    refused = False
    try:
        device = prepare_machine()
        for folder in folders:
            try:
                studio, refused = run(load_draw_job(Path(folder)), studio, device), False
            except JobError as error:
                emit(Refused(" ".join(str(error).split())))
                refused = True
    except Exception as error:  # noqa: BLE001  # out of memory, a broken GPU: a new process is needed
        tell(error)
        return 1
    return int(refused)


if __name__ == "__main__":
    sys.exit(main())
