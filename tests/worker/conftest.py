"""A base model that is quick to make and knows nothing, and jobs for it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PARAMETERS: dict[str, Any] = {
    "learning_rate": 1e-2,
    "max_train_steps": 4,
    "network_dim": 4,
    "network_alpha": 2,
    "class_tokens": "vexil",
    "batch_size": 2,
    "num_repeats": 1,
    "lr_scheduler": "cosine",
    "lr_warmup_steps": 1,
    "optimizer_type": "adamw8bit",
    "gradient_dtype": "bf16",
}
JobMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Flux pipeline directory with random weights, drawing 64 × 64 pixels in two steps."""
    import torch

    from worker.make_base import fit_codec, make_parts, make_tokenizer, paint_chunk, save_base

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    painted, captions = paint_chunk((0, 8))
    tokenizer = make_tokenizer(captions)
    parts = make_parts(tokenizer)
    # A base starts out with zeros where its layers end; they would keep a LoRA from learning.
    for weight in parts["transformer"].parameters():
        torch.nn.init.normal_(weight, std=0.05)
    folder = tmp_path_factory.mktemp("base")
    sampling = {"steps": 2, "guidance_scale": 1.0, "true_cfg_scale": 2.0}
    card = {"kind": "noise", "resolution": 64, "max_tokens": 28, "sampling": sampling}
    codec = fit_codec(torch.from_numpy(painted).permute(0, 3, 1, 2))
    save_base(folder, parts, codec, tokenizer, card)
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def make_job(tiny_base: Path, tmp_path: Path) -> JobMaker:
    """``make_job("name", parameters={…}, **changes)`` → a job directory with three drawn images."""
    from worker.portraits import Portrait, paint, random_scene

    def make(name: str = "job", parameters: dict[str, Any] | None = None, **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rng = random.Random(1)
        images = []
        for index in range(3):
            portrait = random_scene(Portrait(marks=("mohawk",)), rng)
            paint(portrait, 96, oversample=1).save(folder / f"{index}.png")
            images.append({"path": f"{index}.png", "caption": portrait.caption("vexil")})
        job = {
            "images": images,
            "parameters": {**PARAMETERS, **(parameters or {})},
            "base_model": str(tiny_base),
            "seed": 42,
            "sample_prompts": [{"prompt": "portrait of vexil, smiling", "seed": 1000}],
            "sample_steps": [0, 4],
            "dataset_fingerprint": "sha256:abc",
            "model_name": "actor_7_V1",
            "output": "actor_7_V1.safetensors",
            **changes,
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        return folder

    return make
