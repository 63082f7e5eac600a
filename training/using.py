"""How the outside world uses a good version: its stable address, and snippets to copy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse

from training.base_models import EMBEDDED, FLUX, base_model
from training.models import TrainingVersion


@dataclass(frozen=True)
class Snippet:
    """Text to copy: ``key`` names it in the page, ``note`` says what it needs."""

    key: str
    title: str
    note: str
    text: str


def stable_address(actor_id: int) -> str:
    """Always the LoRA of the version that is good at that moment."""
    return settings.SITE_URL + reverse("actor-lora", args=[actor_id])


def snippets(good: TrainingVersion) -> list[Snippet]:
    """What fits the base model of this version."""
    fetch = Snippet(
        "curl",
        "curl",
        "Needs an access token with the scope read. --location follows to the signed link.",
        _curl(good),
    )
    if good.base_model == EMBEDDED.key:
        note = "In the root of this project: only its code loads the codec of the embedded base."
        return [fetch, Snippet("diffusers", "diffusers", note, _embedded(good))]
    needs = "Python, with torch, diffusers 0.42 or newer, transformers, sentencepiece and peft."
    if base_model(good.base_model).key == FLUX.key:
        needs += " FLUX.1-dev is downloaded once you have accepted its licence on its hub page and signed in."
    note = "Save the LoRA in models/loras and this text as a .json file; open that by Workflow → Open."
    return [
        fetch,
        Snippet("diffusers", "diffusers", needs, _diffusers(good)),
        Snippet("comfyui", "ComfyUI", note, _comfyui(good)),
    ]


def _file(version: TrainingVersion) -> str:
    return f"actor_{version.actor_id}.safetensors"


def example_prompt(version: TrainingVersion) -> str:
    """A prompt for this actor. The samples of FLUX trainings speak of a young woman, whoever it is."""
    if version.base_model == EMBEDDED.key:
        return version.sample_prompts()[0].prompt
    trigger = version.class_tokens or version.actor.trigger_token
    return f"portrait photo of {trigger}, wearing a leather jacket, soft daylight"


def _curl(good: TrainingVersion) -> str:
    return (
        'curl --fail --location --header "Authorization: Bearer $ACTORTRAIN_TOKEN" \\\n'
        f"  --output {_file(good)} {stable_address(good.actor_id)}"
    )


def _diffusers(good: TrainingVersion) -> str:
    return f"""import torch
from diffusers import FluxPipeline

pipe = FluxPipeline.from_pretrained({_quoted(base_model(good.base_model).key)}, dtype=torch.bfloat16)
pipe.load_lora_weights({_quoted(_file(good))})
pipe.to("cuda")
image = pipe(
    {_quoted(example_prompt(good))},
    num_inference_steps=28,
    guidance_scale=3.5,
    generator=torch.Generator().manual_seed(1000),
).images[0]
image.save({_quoted(f"actor_{good.actor_id}.png")})"""


def _embedded(good: TrainingVersion) -> str:
    return f"""import torch
from worker.base_model import load_base

pipe = load_base("worker/base")
pipe.load_lora_weights({_quoted(_file(good))})
image = pipe(
    {_quoted(example_prompt(good))},
    negative_prompt="",
    true_cfg_scale=2.0,
    guidance_scale=1.0,
    num_inference_steps=24,
    max_sequence_length=28,
    height=64,
    width=64,
    generator=torch.Generator().manual_seed(1000),
).images[0]
image.save({_quoted(f"actor_{good.actor_id}.png")})"""


def _comfyui(good: TrainingVersion) -> str:
    """FLUX.1-dev with stock nodes. The file names are those of ComfyUI's own FLUX example."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "1": ("UNETLoader", {"unet_name": "flux1-dev.safetensors", "weight_dtype": "default"}),
        "2": (
            "DualCLIPLoader",
            {"clip_name1": "t5xxl_fp16.safetensors", "clip_name2": "clip_l.safetensors", "type": "flux"},
        ),
        "3": ("VAELoader", {"vae_name": "ae.safetensors"}),
        "4": ("LoraLoaderModelOnly", {"model": ["1", 0], "lora_name": _file(good), "strength_model": 1.0}),
        "5": ("CLIPTextEncode", {"clip": ["2", 0], "text": example_prompt(good)}),
        "6": ("FluxGuidance", {"conditioning": ["5", 0], "guidance": 3.5}),
        "7": ("CLIPTextEncode", {"clip": ["2", 0], "text": ""}),
        "8": ("EmptySD3LatentImage", {"width": 1024, "height": 1024, "batch_size": 1}),
        "9": (
            "KSampler",
            {
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["8", 0],
                "seed": 1000,
                "steps": 28,
                "cfg": 1.0,
                "denoise": 1.0,
                "sampler_name": "euler",
                "scheduler": "simple",
            },
        ),
        "10": ("VAEDecode", {"samples": ["9", 0], "vae": ["3", 0]}),
        "11": ("SaveImage", {"images": ["10", 0], "filename_prefix": f"actor_{good.actor_id}"}),
    }
    lines = (
        f'  "{number}": {json.dumps({"class_type": kind, "inputs": inputs}, ensure_ascii=False)}'
        for number, (kind, inputs) in nodes.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}"


def _quoted(text: str) -> str:
    """As a Python string; a trigger token may hold quotes."""
    return json.dumps(text, ensure_ascii=False)
