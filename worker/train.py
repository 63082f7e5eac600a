"""Trains a LoRA on a Flux base model: ``python -m worker.train JOB_DIR``.

``JOB_DIR/job.json`` is the order (``job.py``); events go to standard output (``events.py``).
Exits with 0 and a ``done`` event, or with 1 and an ``error`` event. SIGTERM stops it at once; it
never leaves half a LoRA. The same job gives the same bytes on the same machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import resource
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from worker.base_model import Flux, base_card
from worker.dataset import Examples, batches, encode_images, encode_texts, join, read_image, trigger_caption
from worker.events import Checkpoint, Done, Error, Heldback, Level, Log, Sample, Stage, Step, Validation, emit
from worker.flow import Flow, mix
from worker.job import Job, JobError, JobImage, load_job
from worker.loading import load_frozen
from worker.lora import add_lora, checkpoint_bytes, settle_lora, switch_lora, write_lora, write_whole
from worker.machine import check_space, explain, prepare_machine
from worker.optim import make_optimizer, make_schedule
from worker.prior import SHARE, Prior, prior_captions, record_prior
from worker.sampling import Drawing, draw, save_sample

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
#: At most this many training images are looked at for the fixed-noise loss.
VALIDATION_IMAGES = 16
VERSION = "1.0"


def log(message: str, level: Level = "info") -> None:
    """One line for the person who watches."""
    emit(Log(level, message))


def load(job: Job, device: torch.device) -> Flux:
    """The base, frozen, in the precision it trains with; all but its transformer on ``device``."""
    dtype = DTYPES[job.parameters.gradient_dtype] if device.type == "cuda" else torch.float32
    log(f"loading the base model {job.base_model}")
    pipeline = load_frozen(job.base_model, dtype, device)
    if device.type == "cpu":
        name = job.parameters.gradient_dtype
        log(
            f"no GPU: training in fp32 on {torch.get_num_threads()} CPU thread(s), as {name} is slower; "
            f"the LoRA is saved as {name}"
        )
    else:
        pipeline.transformer.enable_gradient_checkpointing()
        log(f"training in {job.parameters.gradient_dtype} on {torch.cuda.get_device_name()}")
    return pipeline


class Trainer:
    """One job in memory: base, LoRA, cached examples, random numbers."""

    def __init__(self, job: Job, device: torch.device) -> None:
        self.job, self.device = job, device
        self.parameters = job.parameters
        torch.manual_seed(job.seed)
        self.generator = torch.Generator().manual_seed(job.seed)
        card = base_card(job.base)
        self.drawing = Drawing.of(card)
        # Images are read first: a corrupt one is told before a large base is loaded.
        pictures = [read_image(image, self.drawing.resolution) for image in job.images]
        heldback = [read_image(image, self.drawing.resolution) for image in job.heldback]
        log(f"{len(pictures)} images read" + (f", {len(heldback)} held back" if heldback else ""))
        self.pipeline = load(job, device)
        self.flow = Flow.of(self.pipeline, self.drawing.resolution)

        captions, held_captions = self._captions(job.images), self._captions(job.heldback)
        generic = prior_captions(card, job.seed)
        samples = [sample.prompt for sample in job.sample_prompts]
        self.texts = encode_texts(
            self.pipeline, ["", *captions, *held_captions, *generic, *samples], self.drawing.max_tokens
        )
        self.examples = self._examples(pictures, captions)
        self.heldback = self._examples(heldback, held_captions) if heldback else None
        self._make_room_for_transformer()
        self.prior: Prior | None = None
        if generic:
            texts = [self.texts[caption] for caption in generic]
            noise = torch.randn(len(texts), *self.examples.latents.shape[1:], generator=self.generator)
            self.prior = record_prior(self.flow, texts, noise.to(device))
        self.weights = add_lora(
            self.pipeline.transformer, self.parameters.network_dim, self.parameters.network_alpha
        )
        files = 1 + len(job.checkpoint_steps)
        check_space(job.output.parent, 2 * files * sum(weight.numel() for weight in self.weights))

    def _captions(self, images: list[JobImage]) -> list[str]:
        captions = [trigger_caption(image.caption, self.parameters.class_tokens) for image in images]
        limit = self.drawing.max_tokens
        if long := sum(len(self.pipeline.tokenizer_2(caption).input_ids) > limit for caption in captions):
            log(f"{long} captions have more than {limit} tokens: the rest of them is not read", "warning")
        return captions

    def _examples(self, pictures: list[Image.Image], captions: list[str]) -> Examples:
        return join(encode_images(self.pipeline, pictures), [self.texts[caption] for caption in captions])

    def _make_room_for_transformer(self) -> None:
        """Text encoders out, transformer in: every text is encoded, and FLUX's T5 alone holds 9 GB."""
        self.pipeline.text_encoder = self.pipeline.text_encoder_2 = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.pipeline.transformer.to(self.device)

    def loss_of(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow-matching loss of the examples at ``indices``, and the loss to learn from."""
        actor = self.examples.pick(torch.tensor(indices))
        noise = torch.randn(actor.latents.shape, generator=self.generator).to(self.device)
        sigma = self.flow.times(len(indices), self.generator).to(self.device)
        mixed, wanted = mix(actor.latents, noise, sigma), noise - actor.latents.float()
        sequences, pooled = actor.sequences, actor.pooled
        if self.prior:
            kept = self.prior.pick(max(1, round(SHARE * len(indices))), self.generator)
            mixed, sigma = torch.cat([mixed, kept.mixed]), torch.cat([sigma, kept.sigma])
            wanted = torch.cat([wanted, kept.answers])
            sequences, pooled = torch.cat([sequences, kept.sequences]), torch.cat([pooled, kept.pooled])
        answer = self.flow.predict(mixed, sigma, sequences, pooled)
        errors = (answer - wanted).square().mean(dim=(1, 2))
        return errors[: len(indices)].mean(), errors.mean()

    def train(self, after_step: Callable[[int], None]) -> None:
        """All steps. ``after_step`` is called with 0 before the first and after each with its number."""
        parameters, transformer = self.parameters, self.pipeline.transformer
        optimizer = make_optimizer(
            self.weights, parameters, self.device, lambda message: log(message, "warning")
        )
        schedule = make_schedule(optimizer, parameters)
        half = self.device.type == "cuda"
        dtype = DTYPES[parameters.gradient_dtype]
        scaler = torch.amp.GradScaler(enabled=half and dtype is torch.float16)
        order = batches(len(self.examples), parameters.num_repeats, parameters.batch_size, self.job.seed)
        after_step(0)
        spent = 0.0
        transformer.train()
        for step in range(1, parameters.max_train_steps + 1):
            started = time.monotonic()
            rate = float(schedule.get_last_lr()[0])
            precision: AbstractContextManager[object] = (
                torch.autocast("cuda", dtype) if half else nullcontext()
            )
            with precision:
                loss, objective = self.loss_of(next(order))
            scaler.scale(objective).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(self.weights, 1.0)
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            optimizer.zero_grad()
            value = loss.item()
            if not math.isfinite(value):
                raise JobError(
                    f"The loss is {value} at step {step}: the training went astray. Lower the learning rate."
                )
            spent += time.monotonic() - started
            emit(Step(step, parameters.max_train_steps, round(value, 6), rate, round(spent / step, 4)))
            after_step(step)

    @torch.no_grad()
    def look(self, step: int) -> None:
        """Fixed-noise loss and samples at the steps that the job names."""
        if step not in self.job.sample_steps:
            return
        few = self.examples.pick(torch.arange(min(len(self.examples), VALIDATION_IMAGES)))
        emit(Validation(step, round(self.flow.fixed_loss(few, self.job.seed), 6)))
        for index, sample in enumerate(self.job.sample_prompts):
            text, empty = self.texts[sample.prompt], self.texts[""]
            image = draw(self.pipeline, self.drawing, text, empty, sample.seed)
            path = save_sample(image, self.job.samples, step, index, sample)
            emit(Sample(step, index, sample.seed, str(path)))

    def keep_checkpoint(self, step: int) -> None:
        """The LoRA as it is now, at the steps that the job names. A full disk costs it, not the training."""
        if step not in self.job.checkpoint_steps or step in (0, self.parameters.max_train_steps):
            return
        path = self.job.output.with_name(f"checkpoint-{step:06d}.safetensors")
        dtype = DTYPES[self.parameters.gradient_dtype]
        try:
            content = checkpoint_bytes(self.pipeline.transformer, dtype, self.metadata(step))
            write_whole(path, content)
        except OSError as error:
            log(f"The checkpoint of step {step} could not be written: {error.strerror}", "warning")
        else:
            emit(Checkpoint(step, str(path)))

    def compare_heldback(self) -> None:
        """Denoising loss on images the LoRA has never seen, without and with it."""
        if not self.heldback:
            return
        switch_lora(self.pipeline.transformer, on=False)
        base_loss = self.flow.fixed_loss(self.heldback, self.job.seed)
        switch_lora(self.pipeline.transformer, on=True)
        lora_loss = self.flow.fixed_loss(self.heldback, self.job.seed)
        emit(Heldback(len(self.heldback), round(base_loss, 6), round(lora_loss, 6)))

    def metadata(self, step: int) -> dict[str, str]:
        """What the LoRA's file says of itself."""
        versions = (f"{name} {importlib.metadata.version(name)}" for name in ("torch", "diffusers", "peft"))
        return {
            "model_name": self.job.model_name,
            "trigger_token": self.parameters.class_tokens,
            "parameters": self.parameters.as_json(),
            "base_model": self.job.base_model,
            "dataset_fingerprint": self.job.dataset_fingerprint,
            "step": str(step),
            "seed": str(self.job.seed),
            "software": f"ActorTrain {VERSION}; " + "; ".join(versions),
        }


def run(job: Job, device: torch.device) -> None:
    """The whole job, from images to the written LoRA."""
    started = time.monotonic()
    trainer = Trainer(job, device)
    dtype = DTYPES[job.parameters.gradient_dtype]
    transformer = trainer.pipeline.transformer

    def after_step(step: int) -> None:
        if step == job.parameters.max_train_steps:
            settle_lora(transformer, dtype)
        trainer.keep_checkpoint(step)
        trainer.look(step)

    emit(Stage("training"))
    trainer.train(after_step)
    trainer.compare_heldback()
    digest = write_lora(job.output, transformer, dtype, trainer.metadata(job.parameters.max_train_steps))
    seconds = round(time.monotonic() - started, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    emit(Done(str(job.output), job.output.stat().st_size, digest, seconds, peak))


def main() -> int:
    """Command line; see the head of this file."""
    parser = argparse.ArgumentParser(description="Train a LoRA as JOB_DIR/job.json says.")
    parser.add_argument("job_dir", type=Path, help="directory with job.json; samples go to its samples/")
    directory = parser.parse_args().job_dir
    try:
        run(load_job(directory), prepare_machine())
    except Exception as error:  # noqa: BLE001  # whatever it is, the handler must hear of it
        message = explain(error)
        if message is None:
            message = (
                f"The trainer failed ({type(error).__name__}: {error}). Its log on the worker says more."
            )
            sys.excepthook(type(error), error, error.__traceback__)
        emit(Error(" ".join(message.split())))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
