"""Builds the body of RunPod's ``/run`` from plain values, as ``docs/contract.md`` says."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from training.base_models import EMBEDDED
from training.parameters import Parameters

Json: TypeAlias = dict[str, Any]

_TRIGGER = "STYLE_TOKEN"
_SEED = 42

#: The embedded base knows the words of its captions only. Four prompts with the trigger (the first is
#: like a training caption, the others combine anew), and two without it, which show whether the LoRA bleeds.
_EMBEDDED_PROMPTS = (
    f"portrait of {_TRIGGER}, smiling, red shirt, green background, looking ahead",
    f"portrait of {_TRIGGER}, neutral, white shirt, pink background, looking left",
    f"portrait of {_TRIGGER}, serious, black shirt, beige background, looking right",
    f"portrait of {_TRIGGER}, laughing, yellow shirt, dark background, looking ahead",
    (
        "portrait of a young woman, fair skin, long blonde hair, blue eyes, "
        "smiling, red shirt, blue background, looking ahead"
    ),
    (
        "portrait of a young man, brown skin, short black hair, brown eyes, "
        "neutral, green shirt, grey background, looking ahead"
    ),
)


@dataclass(frozen=True)
class PayloadImage:
    """An included, synced image: where it lies, a signed link to read it, and its caption."""

    s3_url: str
    download_url: str
    caption: str


@dataclass(frozen=True)
class Upload:
    """A signed address for one HTTP PUT, and where the file will then lie."""

    put_url: str
    url: str


@dataclass(frozen=True)
class SampleUpload:
    """The address for the picture of one prompt (its index) at one step."""

    step: int
    prompt: int
    put_url: str
    url: str


@dataclass(frozen=True)
class CheckpointUpload:
    """The address for the LoRA of a step in between."""

    step: int
    put_url: str
    url: str


@dataclass(frozen=True)
class SamplePrompt:
    prompt: str
    seed: int


def build_input(
    *,
    parameters: Parameters,
    base_model: str,
    images: Sequence[PayloadImage],
    user_id: str,
    tenant_id: str,
    request_id: str,
    model_name: str,
    dataset_fingerprint: str,
    prompts: Sequence[SamplePrompt],
    lora: Upload | None = None,
    samples: Sequence[SampleUpload] = (),
    checkpoints: Sequence[CheckpointUpload] = (),
    seed: int = _SEED,
) -> Json:
    """The job's ``input``. The keys that containers in the field read come first and never change."""
    config: Json = {
        "mode": "custom-actors",
        "user_id": user_id,
        "tenant_id": tenant_id,
        "request_id": request_id,
        "model_name": model_name,
        "learning_rate": parameters.learning_rate,
        "max_train_steps": parameters.max_train_steps,
        "parameters": parameters.to_dict(),
        "base_model": base_model,
        "seed": seed,
        "dataset_fingerprint": dataset_fingerprint,
        "sample_prompts": [{"prompt": prompt.prompt, "seed": prompt.seed} for prompt in prompts],
        "sample_steps": sample_steps(parameters.max_train_steps),
    }
    if lora is not None:
        config["uploads"] = {
            "lora": {"put_url": lora.put_url, "url": lora.url},
            "samples": [
                {"step": sample.step, "prompt": sample.prompt, "put_url": sample.put_url, "url": sample.url}
                for sample in samples
            ],
        }
        if checkpoints:
            config["uploads"]["checkpoints"] = [asdict(checkpoint) for checkpoint in checkpoints]
    return {
        "workflow": fill_workflow(parameters),
        "training_data": {
            "s3_urls": [image.s3_url for image in images],
            "images": [
                {"s3_url": image.s3_url, "download_url": image.download_url, "caption": image.caption}
                for image in images
            ],
        },
        "training_config": config,
    }


def build_body(job_input: Json, *, webhook: str | None, policy: Json) -> Json:
    """The whole body of ``/run``. Where no webhook can arrive there is none: the sweep carries the job."""
    body: Json = {"input": job_input}
    if webhook:
        body["webhook"] = webhook
    body["policy"] = policy
    return body


def build_policy(longest_seconds: float) -> dict[str, int]:
    """RunPod's time limits in milliseconds, from the long end of the estimate.

    RunPod's own default stops a run after 10 minutes. ``ttl`` counts from submission, queue included,
    and a job past it vanishes even while it runs. Both may be at most 7 days.
    """
    week = 7 * 24 * 3600
    execution = min(max(1800, 2 * longest_seconds + 600), week - 3600)
    ttl = min(max(24 * 3600, execution + 12 * 3600), week)
    return {"executionTimeout": math.ceil(execution / 60) * 60_000, "ttl": math.ceil(ttl) * 1000}


def fill_workflow(parameters: Parameters) -> Json:
    """The ComfyUI FluxTrainer graph with these parameters; all other nodes stay as they are."""
    graph: Json = deepcopy(_template())

    def fill(node: str, **values: object) -> None:
        inputs: Json = graph[node]["inputs"]
        if not values.keys() <= inputs.keys():
            raise KeyError(f"node {node} of workflow.json has lost one of {sorted(values)}")
        inputs.update(values)

    fill("4", steps=parameters.max_train_steps)
    fill(
        "95",
        optimizer_type=parameters.optimizer_type,
        lr_scheduler=parameters.lr_scheduler,
        lr_warmup_steps=parameters.lr_warmup_steps,
    )
    fill(
        "107",
        network_dim=parameters.network_dim,
        network_alpha=parameters.network_alpha,
        learning_rate=parameters.learning_rate,
        max_train_steps=parameters.max_train_steps,
        gradient_dtype=parameters.gradient_dtype,
        save_dtype=parameters.gradient_dtype,
    )
    # Node 108's flip_aug stays false: faces are not symmetric.
    fill(
        "109",
        batch_size=parameters.batch_size,
        class_tokens=parameters.class_tokens,
        num_repeats=parameters.num_repeats,
    )
    fill("146", string=graph["146"]["inputs"]["string"].replace(_TRIGGER, parameters.class_tokens))
    return graph


def sample_prompts(base_model: str, trigger: str) -> list[SamplePrompt]:
    """The fixed prompts and seeds of a training: the same for every version, so that versions compare."""
    if base_model == EMBEDDED.key:
        prompts = _EMBEDDED_PROMPTS
    else:
        prompts = tuple(_template()["146"]["inputs"]["string"].split("|"))
    return [
        SamplePrompt(prompt.replace(_TRIGGER, trigger), 1000 + index) for index, prompt in enumerate(prompts)
    ]


def sample_steps(total: int) -> list[int]:
    """Step 0 (the base alone) and five even steps up to the last."""
    return sorted({total * part // 5 for part in range(6)})


@cache
def _template() -> Json:
    graph: Json = json.loads(Path(__file__).with_name("workflow.json").read_text("utf-8"))
    return graph
