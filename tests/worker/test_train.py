"""The trainer on a tiny base: what comes out, that the parameters count, that it repeats itself."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops
from safetensors import safe_open
from safetensors.torch import load_file

from tests.worker.conftest import PARAMETERS, JobMaker
from worker import events
from worker.base_model import load_base
from worker.events import Done, Event, Heldback, Log, Sample, Step, Validation
from worker.job import load_job
from worker.train import run

CPU = torch.device("cpu")
LORA = "actor_7_V1.safetensors"


def train(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[Event]:
    """Runs the job in ``folder`` in this process; its events, every printed line being one."""
    run(load_job(folder), CPU)
    parsed = [events.parse(line) for line in capsys.readouterr().out.splitlines()]
    assert None not in parsed
    return [event for event in parsed if event]


def same(one: Path, other: Path) -> bool:
    """Whether two LoRA files hold the same tensors."""
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def plain(make_job: JobMaker, capsys: pytest.CaptureFixture[str]) -> Path:
    """A finished job with the usual parameters."""
    folder = make_job("plain", sample_prompts=[])
    train(folder, capsys)
    return folder / LORA


def test_a_run_tells_every_step_every_sample_and_its_result(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_job()
    told = train(folder, capsys)
    steps = [event for event in told if isinstance(event, Step)]
    assert [(event.step, event.total_steps) for event in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(event.loss > 0 and event.seconds_per_step > 0 for event in steps)
    samples = [event for event in told if isinstance(event, Sample)]
    assert [(event.step, event.prompt, event.seed) for event in samples] == [(0, 0, 1000), (4, 0, 1000)]
    before, after = [event.loss for event in told if isinstance(event, Validation)]
    assert after < before
    done = told[-1]
    assert isinstance(done, Done)
    assert done.sha256 == hashlib.sha256((folder / LORA).read_bytes()).hexdigest()
    assert done.size_bytes == (folder / LORA).stat().st_size
    assert 0 < done.peak_memory_mb < 4000
    assert [path.name for path in folder.iterdir() if path.suffix == ".part"] == []


def test_a_fresh_pipeline_with_the_lora_draws_the_last_sample_to_the_pixel(
    make_job: JobMaker, tiny_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_job()
    train(folder, capsys)
    pipeline = load_base(tiny_base)
    asked: dict[str, Any] = {
        "prompt": "portrait of vexil, smiling",
        "negative_prompt": "",
        "true_cfg_scale": 2.0,
        "height": 64,
        "width": 64,
        "num_inference_steps": 2,
        "guidance_scale": 1.0,
        "max_sequence_length": 28,
    }
    for step in (0, 4):
        if step:
            pipeline.load_lora_weights(folder, weight_name=LORA)
        drawn = pipeline(generator=torch.Generator().manual_seed(1000), **asked).images[0]
        kept = Image.open(folder / "samples" / f"step-{step:06d}-prompt-0.png")
        assert ImageChops.difference(drawn, kept).getbbox() is None, f"step {step} differs"
    first, last = sorted((folder / "samples").iterdir())
    assert ImageChops.difference(Image.open(first), Image.open(last)).getbbox() is not None


def test_a_sample_says_what_was_asked_of_it(make_job: JobMaker, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_job()
    train(folder, capsys)
    with Image.open(folder / "samples" / "step-000004-prompt-0.png") as image:
        image.load()
        assert image.info["prompt"] == "portrait of vexil, smiling"
        assert (image.info["seed"], image.info["step"]) == ("1000", "4")


def test_the_lora_says_what_it_is_and_where_it_comes_from(plain: Path, tiny_base: Path) -> None:
    with safe_open(plain, framework="pt") as file:
        said = file.metadata()
    assert json.loads(said["parameters"]) == PARAMETERS
    assert said["trigger_token"] == "vexil"
    assert said["base_model"] == str(tiny_base)
    assert said["dataset_fingerprint"] == "sha256:abc"
    assert (said["model_name"], said["step"], said["seed"]) == ("actor_7_V1", "4", "42")
    assert said["software"].startswith("ActorTrain")


def test_the_same_job_gives_the_same_bytes_and_another_seed_others(
    make_job: JobMaker, plain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again, other = make_job("again", sample_prompts=[]), make_job("other", sample_prompts=[], seed=43)
    train(again, capsys)
    train(other, capsys)
    assert (again / LORA).read_bytes() == plain.read_bytes()
    assert not same(other / LORA, plain)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 2e-2),
        ("max_train_steps", 5),
        ("network_dim", 8),
        ("network_alpha", 4),
        ("class_tokens", "quorra"),
        ("batch_size", 3),
        ("num_repeats", 4),
        ("lr_scheduler", "constant"),
        ("lr_scheduler", "linear"),
        ("lr_scheduler", "cosine_with_restarts"),
        ("lr_warmup_steps", 0),
        ("optimizer_type", "adafactor"),
        ("gradient_dtype", "fp16"),
    ],
)
def test_each_parameter_changes_what_is_learned(
    make_job: JobMaker, plain: Path, capsys: pytest.CaptureFixture[str], name: str, value: Any
) -> None:
    folder = make_job("changed", {name: value}, sample_prompts=[])
    told = train(folder, capsys)
    assert not same(folder / LORA, plain)
    steps = [event for event in told if isinstance(event, Step)]
    assert len(steps) == (5 if name == "max_train_steps" else 4)
    tensors = load_file(folder / LORA)
    down = tensors["transformer.transformer_blocks.0.attn.to_q.lora_A.weight"]
    assert down.shape[0] == (8 if name == "network_dim" else 4)
    assert down.dtype is (torch.float16 if name == "gradient_dtype" else torch.bfloat16)


def test_the_learning_rate_warms_up_to_its_peak_and_follows_its_schedule(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = {"max_train_steps": 6, "lr_warmup_steps": 2, "learning_rate": 1e-3}
    rates = {}
    for name in ("constant", "linear"):
        told = train(make_job(name, {**shape, "lr_scheduler": name}, sample_prompts=[]), capsys)
        rates[name] = [event.learning_rate for event in told if isinstance(event, Step)]
    assert rates["constant"] == pytest.approx([0, 5e-4, 1e-3, 1e-3, 1e-3, 1e-3])
    assert rates["linear"] == pytest.approx([0, 5e-4, 1e-3, 7.5e-4, 5e-4, 2.5e-4])


def test_a_cpu_says_in_which_precision_and_with_which_optimiser_it_trains(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    told = train(make_job(sample_prompts=[]), capsys)
    lines = {event.message: event.level for event in told if isinstance(event, Log)}
    assert any("fp32" in line and "saved as bf16" in line for line in lines)
    assert any("adamw8bit" in line and level == "warning" for line, level in lines.items())


def test_captions_too_long_for_the_base_are_told(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    told = train(
        make_job(parameters={"class_tokens": "a-very-long-trigger-token"}, sample_prompts=[]), capsys
    )
    lines = [event.message for event in told if isinstance(event, Log)]
    assert "3 captions have more than 28 tokens: the rest of them is not read" in lines


def test_images_held_back_are_measured_with_and_without_the_lora(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    heldback = [{"path": "../job/2.png", "caption": "portrait of vexil"}]
    told = train(make_job(heldback=heldback, parameters={"max_train_steps": 8}, sample_prompts=[]), capsys)
    (measured,) = [event for event in told if isinstance(event, Heldback)]
    assert measured.images == 1
    assert measured.lora_loss < measured.base_loss


def test_prompts_without_the_trigger_stay_nearer_to_the_base_with_prior_preservation(
    make_job: JobMaker, tiny_base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.prior.DRAWINGS", 4)
    monkeypatch.setattr("worker.prior.DRAWING_STEPS", 2)
    card = json.loads((tiny_base / "actortrain.json").read_text())
    prompt = "portrait of a young woman, fair skin, smiling, red shirt"
    moved = {}
    for kind in ("noise", "drawn portraits"):
        monkeypatch.setattr("worker.train.base_card", lambda _base, kind=kind: {**card, "kind": kind})
        folder = make_job(
            kind.split()[0],
            {"max_train_steps": 12, "batch_size": 4},
            sample_prompts=[{"prompt": prompt, "seed": 1}],
            sample_steps=[0, 12],
        )
        train(folder, capsys)
        before, after = (Image.open(path) for path in sorted((folder / "samples").iterdir()))
        histogram = ImageChops.difference(before, after).convert("L").histogram()
        moved[kind] = sum(value * count for value, count in enumerate(histogram))
    assert 0 < moved["drawn portraits"] < moved["noise"]


def test_random_states_outside_do_not_matter(
    make_job: JobMaker, plain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(987)
    random.seed(987)
    folder = make_job("later", sample_prompts=[])
    train(folder, capsys)
    assert same(folder / LORA, plain)
