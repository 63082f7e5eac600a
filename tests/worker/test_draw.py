"""Drawing previews for real on a tiny base: what the pictures show, and what they say of themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops

from tests.worker.conftest import JobMaker
from worker import draw, events, train
from worker.draw import Studio, load_draw_job
from worker.events import Drawn, Event, Picture, Refused
from worker.job import JobError, load_job

CPU = torch.device("cpu")
PROMPT = "portrait of vexil, smiling"


@pytest.fixture
def trained(make_job: JobMaker, capsys: pytest.CaptureFixture[str]) -> Path:
    """A finished training with a checkpoint at step 2; its LoRA lies in the folder."""
    folder = make_job("trained", checkpoint_steps=[0, 2, 4])
    train.run(load_job(folder), CPU)
    capsys.readouterr()
    return folder


def order(tmp_path: Path, base: Path, loras: list[Path], *images: dict[str, Any], name: str = "draw") -> Path:
    """A drawing job; each image names only what is special about it."""
    folder = tmp_path / name
    folder.mkdir()
    usual = {"prompt": PROMPT, "seed": 1000, "strength": 1.0, "steps": None, "lora": 0}
    job = {
        "base_model": str(base),
        "model_name": "actor_7_V1",
        "loras": [{"path": str(lora), "version": "V1", "step": 4} for lora in loras],
        "images": [usual | image for image in images],
    }
    (folder / "job.json").write_text(json.dumps(job))
    return folder


def draw_all(
    folder: Path, capsys: pytest.CaptureFixture[str], studio: Studio | None = None
) -> tuple[list[Image.Image], list[Event], Studio]:
    """The pictures in order, what was told, and the studio for the next job."""
    studio = draw.run(load_draw_job(folder), studio, CPU)
    told = [event for line in capsys.readouterr().out.splitlines() if (event := events.parse(line))]
    pictures: list[Image.Image] = [Image.open(event.path) for event in told if isinstance(event, Picture)]
    for picture in pictures:
        picture.load()
    return pictures, told, studio


def same(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one, other).getbbox() is None


def test_full_strength_draws_the_trainings_last_sample_and_none_its_first(
    trained: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lora = trained / "actor_7_V1.safetensors"
    folder = order(tmp_path, tiny_base, [lora], {}, {"strength": 0}, {"strength": 0.5}, {})
    (full, alone, half, again), told, _ = draw_all(folder, capsys)
    with Image.open(trained / "samples" / "step-000004-prompt-0.png") as last:
        assert same(full, last)
    with Image.open(trained / "samples" / "step-000000-prompt-0.png") as first:
        assert same(alone, first)
    assert not same(half, full)
    assert not same(half, alone)
    assert same(again, full)
    done = told[-1]
    assert isinstance(done, Drawn)
    assert done.images == 4


def test_a_checkpoint_draws_as_the_training_did_at_that_step(
    make_job: JobMaker, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Saved in fp32 precision it would be to the pixel; bf16 rounds, so it is near and not the end's."""
    folder = make_job("steps", checkpoint_steps=[2], sample_steps=[2, 4])
    train.run(load_job(folder), CPU)
    capsys.readouterr()
    loras = [folder / "checkpoint-000002.safetensors", folder / "actor_7_V1.safetensors"]
    (middle, end), _, _ = draw_all(order(tmp_path, tiny_base, loras, {}, {"lora": 1}), capsys)
    with Image.open(folder / "samples" / "step-000002-prompt-0.png") as sample:
        assert max(ImageChops.difference(middle, sample).tobytes()) <= 6
    assert not same(middle, end)


def test_keeping_checkpoints_changes_nothing_in_the_training(
    trained: Path, make_job: JobMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = make_job("plain")
    train.run(load_job(plain), CPU)
    lora = "actor_7_V1.safetensors"
    assert (plain / lora).read_bytes() == (trained / lora).read_bytes()
    # Neither the base alone nor the finished LoRA is a checkpoint.
    assert [path.name for path in trained.glob("checkpoint*")] == ["checkpoint-000002.safetensors"]


def test_a_picture_says_what_was_asked_of_it(
    trained: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lora = trained / "actor_7_V1.safetensors"
    folder = order(
        tmp_path, tiny_base, [lora], {"steps": 3, "strength": 0.8, "seed": 7}, {"strength": 0, "steps": 1}
    )
    (picture, alone), _, _ = draw_all(folder, capsys)
    assert picture.info | {"base_model": ""} == {
        "prompt": PROMPT,
        "seed": "7",
        "strength": "0.8",
        "steps": "3",
        "version": "V1",
        "training_step": "4",
        "model_name": "actor_7_V1",
        "base_model": "",
    }
    assert (alone.info["version"], alone.info["strength"], alone.info["steps"]) == ("base alone", "0", "1")


def test_a_studio_that_stays_draws_the_next_version_without_a_trace_of_the_last(
    trained: Path, make_job: JobMaker, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_job("other", seed=43)
    train.run(load_job(other), CPU)
    capsys.readouterr()
    first, second = (folder / "actor_7_V1.safetensors" for folder in (trained, other))
    (one,), _, studio = draw_all(order(tmp_path, tiny_base, [first], {}, name="one"), capsys)
    (two,), told, kept = draw_all(order(tmp_path, tiny_base, [second], {}, name="two"), capsys, studio)
    assert kept is studio
    assert not [event for event in told if "loading" in getattr(event, "message", "")]
    (fresh,), _, _ = draw_all(order(tmp_path, tiny_base, [second], {}, name="fresh"), capsys)
    assert same(two, fresh)
    assert not same(one, two)


@pytest.mark.parametrize(
    ("content", "says"), [(b"no tensors at all", "is damaged"), (b"", "is damaged"), (None, "V1")]
)
def test_a_lora_that_cannot_be_read_is_named(
    content: bytes | None,
    says: str,
    tiny_base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lora = tmp_path / "bad.safetensors"
    if content is not None:
        lora.write_bytes(content)
    with pytest.raises(JobError, match=f"The LoRA V1 .*{says}|{says}"):
        draw_all(order(tmp_path, tiny_base, [lora], {}), capsys)


def test_a_lora_of_another_kind_of_model_is_refused(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import save_file

    wrong = {
        "transformer.transformer_blocks.0.attn.to_q.lora_A.weight": torch.zeros(4, 999),
        "transformer.transformer_blocks.0.attn.to_q.lora_B.weight": torch.zeros(999, 4),
    }
    strange = {"unet.down.to_q.lora_A.weight": torch.zeros(4, 9)}
    for name, tensors in (("wrong", wrong), ("strange", strange)):
        save_file(tensors, tmp_path / f"{name}.safetensors")
        folder = order(tmp_path, tiny_base, [tmp_path / f"{name}.safetensors"], {}, name=name)
        with pytest.raises(JobError, match="The LoRA V1"):
            draw_all(folder, capsys)


def test_a_job_that_cannot_be_drawn_is_refused_and_the_next_one_is_drawn(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = order(tmp_path, tiny_base, [], {"strength": 0, "steps": 1}, name="good")
    monkeypatch.setattr(draw, "prepare_machine", lambda: CPU)
    monkeypatch.setattr("sys.argv", ["draw"])
    monkeypatch.setattr("sys.stdin", [f"{tmp_path / 'nowhere'}\n", f"{good}\n"])
    assert draw.main() == 0
    told = [event for line in capsys.readouterr().out.splitlines() if (event := events.parse(line))]
    assert isinstance(told[0], Refused)
    assert "job.json cannot be used" in told[0].message
    assert isinstance(told[-1], Drawn)
