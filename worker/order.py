"""A job's input, read into typed values. The shape stands in ``docs/contract.md``.

What the eleven parameters may be is the trainer's to say (``worker/job.py``). They are checked here, before
an image is downloaded or a process is started that takes ten seconds to import torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from worker.job import JobError, read_parameters

MAX_IMAGES = 1000
#: Where the ComfyUI graph of an old caller keeps the parameters: node id → inputs.
WORKFLOW_NODES = {
    "95": ("optimizer_type", "lr_scheduler", "lr_warmup_steps"),
    "107": ("network_dim", "network_alpha", "learning_rate", "max_train_steps", "gradient_dtype"),
    "109": ("batch_size", "class_tokens", "num_repeats"),
}


class JobFailedError(Exception):
    """The job ends here; the message is the one line that the caller reads as ``error``."""


@dataclass(frozen=True)
class ImageSource:
    """Where a training image lies. A signed ``download_url`` needs no keys on the worker."""

    s3_url: str
    download_url: str | None = field(repr=False)
    caption: str

    @property
    def name(self) -> str:
        """The file's own name, safe on any disk; for messages and for the copy on the worker."""
        path = PurePosixPath(unquote(urlsplit(self.s3_url or self.download_url or "").path))
        return re.sub(r"[^\w.-]", "_", path.name)[-80:] or "image"


@dataclass(frozen=True)
class Upload:
    """A signed address that takes one PUT, and where the file will lie afterwards."""

    put_url: str = field(repr=False)
    url: str


@dataclass(frozen=True)
class Order:
    """A training as the site ordered it."""

    request_id: str
    model_name: str
    images: list[ImageSource]
    parameters: dict[str, Any]
    base_model: str
    seed: int
    dataset_fingerprint: str
    sample_prompts: list[dict[str, Any]]
    sample_steps: list[int]
    lora: Upload
    samples: dict[tuple[int, int], Upload]
    checkpoints: dict[int, Upload]

    @property
    def lora_name(self) -> str:
        """The LoRA's file name."""
        return f"{self.model_name}.safetensors"

    @property
    def key(self) -> str:
        """The same for every delivery of this job, whatever its links were signed with."""
        identity = json.dumps([self.request_id, self.model_name, self.lora.url])
        return hashlib.sha256(identity.encode()).hexdigest()


def read_order(job_input: Any) -> Order:
    """Raises :class:`JobFailedError` naming what is missing or of the wrong kind."""
    if not isinstance(job_input, dict):
        raise JobFailedError("The job's input must be a JSON object.")
    config = read_object(job_input, "training_config")
    data = read_object(job_input, "training_data")
    parameters = config.get("parameters") or _workflow_parameters(job_input.get("workflow"))
    if not isinstance(parameters, dict) or not parameters:
        raise JobFailedError("training_config.parameters is missing: send all eleven by their names.")
    try:
        read_parameters(parameters)
    except JobError as error:
        raise JobFailedError(str(error)) from None
    try:
        uploads = config.get("uploads") or {}
        lora = read_upload(uploads.get("lora"), "training_config.uploads.lora")
        return Order(
            request_id=read_text(config, "request_id"),
            model_name=_file_name(read_text(config, "model_name")),
            images=_images(data, str(parameters.get("class_tokens") or "")),
            parameters=parameters,
            base_model=str(config.get("base_model") or os.environ.get("ACTORTRAIN_BASE_MODEL", "embedded")),
            seed=int(config.get("seed", 0)),
            dataset_fingerprint=str(config.get("dataset_fingerprint") or ""),
            sample_prompts=[
                {"prompt": str(item["prompt"]), "seed": int(item["seed"])}
                for item in config.get("sample_prompts") or []
            ],
            sample_steps=[int(step) for step in config.get("sample_steps") or []],
            lora=lora,
            samples={
                (int(item["step"]), int(item["prompt"])): read_upload(item, "training_config.uploads.samples")
                for item in uploads.get("samples") or []
            },
            checkpoints={
                int(item["step"]): read_upload(item, "training_config.uploads.checkpoints")
                for item in uploads.get("checkpoints") or []
            },
        )
    except KeyError as error:
        raise JobFailedError(f"training_config has an entry without {error}.") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise JobFailedError(f"training_config holds a value of the wrong kind: {error}.") from None


def _images(data: dict[str, Any], trigger: str) -> list[ImageSource]:
    items = data.get("images") or [{"s3_url": url} for url in data.get("s3_urls") or []]
    if not isinstance(items, list) or not items:
        raise JobFailedError(
            "training_data has no images: add images to the actor's dataset and launch again."
        )
    if len(items) > MAX_IMAGES:
        raise JobFailedError(f"training_data has {len(items)} images; at most {MAX_IMAGES} can be trained.")
    sources = []
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise JobFailedError(f"training_data.images: entry {number} must be an object.")
        s3_url, download_url = str(item.get("s3_url") or ""), item.get("download_url") or None
        if not s3_url and download_url is None:
            raise JobFailedError(f"training_data.images: entry {number} has neither download_url nor s3_url.")
        if download_url is not None:
            read_url(download_url, f"training_data.images: the download_url of entry {number}")
        sources.append(ImageSource(s3_url, download_url, str(item.get("caption") or trigger)))
    return sources


def _workflow_parameters(workflow: Any) -> dict[str, Any]:
    """The eleven, read from the graph: callers of the field send them nowhere else."""
    try:
        return {
            name: workflow[node]["inputs"][name] for node, names in WORKFLOW_NODES.items() for name in names
        }
    except (KeyError, TypeError):
        return {}


def read_upload(item: Any, where: str) -> Upload:
    """``put_url`` and ``url`` of one file."""
    if not isinstance(item, dict) or not item.get("put_url") or not item.get("url"):
        raise JobFailedError(f"{where} must have put_url and url: without them the result has nowhere to go.")
    read_url(item["put_url"], f"{where}.put_url")
    return Upload(item["put_url"], str(item["url"]))


def read_url(url: Any, where: str) -> None:
    """The URL itself never stands in the message: it is signed."""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise JobFailedError(f"{where} must be an http or https URL.")


def read_object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of the job's input."""
    value = parent.get(name)
    if not isinstance(value, dict):
        raise JobFailedError(f"The job's input must have an object {name}.")
    return value


def read_text(config: dict[str, Any], name: str) -> str:
    """A text that has to be there."""
    value = config.get(name)
    if not isinstance(value, str) or not value.strip():
        raise JobFailedError(f"training_config.{name} is missing.")
    return value


def _file_name(name: str) -> str:
    if not re.fullmatch(r"[\w.-]{1,120}", name) or name.startswith("."):
        raise JobFailedError("training_config.model_name may hold letters, digits, '_', '-' and '.' only.")
    return name
