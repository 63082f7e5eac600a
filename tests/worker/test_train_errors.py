"""What the trainer says, and leaves behind, when a job cannot be done."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from tests.worker.conftest import JobMaker
from worker import events, train
from worker.flow import Flow
from worker.job import JobError, load_job, read_parameters
from worker.machine import prepare_machine

ROOT = Path(__file__).parents[2]


def fail(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The one error event of a job that fails, after checking exit code and leftovers."""
    monkeypatch.setattr(sys, "argv", ["train", str(folder)])
    monkeypatch.setattr(train, "prepare_machine", lambda: torch.device("cpu"))
    assert train.main() == 1
    last = events.parse(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(last, events.Error)
    assert "\n" not in last.message
    assert not list(folder.glob("*.safetensors*"))
    return last.message


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("learning_rate", 0, "above 0"),
        ("learning_rate", "fast", "a number"),
        ("learning_rate", float("nan"), "a number"),
        ("max_train_steps", 0, "between 1 and"),
        ("max_train_steps", 1.5, "whole number"),
        ("network_dim", 0, "between 1 and"),
        ("network_alpha", None, "whole number"),
        ("class_tokens", "  ", "a text"),
        ("batch_size", True, "whole number"),
        ("num_repeats", -1, "between 1 and"),
        ("lr_scheduler", "sine", "one of cosine"),
        ("lr_warmup_steps", 5, "between 0 and 4"),
        ("optimizer_type", "sgd", "one of adamw8bit"),
        ("gradient_dtype", "fp8", "one of bf16, fp16"),
    ],
)
def test_a_parameter_out_of_range_is_named_with_what_it_may_be(
    make_job: JobMaker, name: str, value: Any, says: str
) -> None:
    folder = make_job()
    job = json.loads((folder / "job.json").read_text())
    with pytest.raises(JobError, match=f"{name} .*{says}"):
        read_parameters({**job["parameters"], name: value})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There is no"),
        ("{", "is not JSON"),
        ("[]", "one JSON object"),
        ("{}", "lacks 'images'"),
        ('{"images": [3]}', "wrong kind"),
    ],
)
def test_a_job_file_that_cannot_be_used_says_why(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "job.json").write_text(content)
    with pytest.raises(JobError, match=says):
        load_job(tmp_path)


def test_a_job_without_images_is_refused(make_job: JobMaker) -> None:
    with pytest.raises(JobError, match="no images"):
        load_job(make_job(images=[]))


def test_a_missing_base_says_what_to_give(
    make_job: JobMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = fail(make_job(base_model=str(tmp_path / "nowhere")), capsys, monkeypatch)
    assert "nowhere could not be loaded" in said
    assert "directory or hub id" in said


def test_a_base_with_a_damaged_file_is_told(
    make_job: JobMaker,
    tiny_base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damaged = shutil.copytree(tiny_base, tmp_path / "damaged")
    weights = damaged / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    assert "damaged could not be loaded" in fail(make_job(base_model=str(damaged)), capsys, monkeypatch)


def test_a_senseless_number_of_threads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.nice", lambda _by: 0)
    monkeypatch.setenv("ACTORTRAIN_THREADS", "none")
    with pytest.raises(JobError, match="ACTORTRAIN_THREADS must be a whole number"):
        prepare_machine()


def test_a_corrupt_image_ends_the_run_with_its_name(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_job()
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:400])
    assert "Image 1.png is corrupt" in fail(folder, capsys, monkeypatch)


def test_a_disk_without_room_is_told_before_the_training(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: _Usage())
    assert "Disk full: 1 MB free" in fail(make_job(), capsys, monkeypatch)


class _Usage:
    free = 2**20


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "Disk full"),
        (MemoryError(), "Not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Not enough memory"),
        (RuntimeError("something\nelse"), "RuntimeError: something else"),
    ],
)
def test_a_failure_in_the_last_moment_leaves_no_half_lora(
    make_job: JobMaker,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    says: str,
) -> None:
    def refuse(descriptor: int) -> NoReturn:
        raise failure

    monkeypatch.setattr("os.fsync", refuse)
    folder = make_job(parameters={"max_train_steps": 1}, sample_prompts=[])
    assert says in fail(folder, capsys, monkeypatch)


def test_a_training_that_goes_astray_stops_and_says_so(
    make_job: JobMaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Flow.predict
    monkeypatch.setattr(Flow, "predict", lambda *asked: predict(*asked) * float("nan"))
    said = fail(make_job(sample_prompts=[], sample_steps=[]), capsys, monkeypatch)
    assert "The loss is nan at step 1" in said
    assert "Lower the learning rate" in said


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "ACTORTRAIN_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "worker.train", str(folder)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_sigterm_stops_a_running_training_at_once_and_leaves_no_lora(make_job: JobMaker) -> None:
    folder = make_job(parameters={"max_train_steps": 100_000}, sample_prompts=[])
    process = start(folder)
    assert process.stdout
    for line in process.stdout:
        if isinstance(events.parse(line), events.Step):
            break
    asked = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert time.monotonic() - asked < 5
    assert process.returncode == -signal.SIGTERM
    assert not list(folder.glob("*.safetensors*"))


@pytest.mark.slow
def test_the_command_prints_events_only_and_exits_with_0(make_job: JobMaker) -> None:
    out, err = (process := start(make_job(sample_prompts=[]))).communicate()
    told = [events.parse(line) for line in out.splitlines()]
    assert process.returncode == 0
    assert isinstance(told[-1], events.Done)
    assert None not in told
    assert err == ""
