"""The machine under the trainer: its device, its room, and the ways in which it gives out."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import torch

from worker.job import JobError

#: Space wanted beside the LoRA itself, for samples.
SPARE_BYTES = 20_000_000


def prepare_machine() -> torch.device:
    """CUDA if there is one; else the CPU, kindly: behind other processes, one core left free.

    ``ACTORTRAIN_THREADS`` sets the number of threads.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    os.nice(10)
    wanted = os.environ.get("ACTORTRAIN_THREADS") or str(max(1, (os.cpu_count() or 1) - 1))
    if not wanted.isdecimal() or int(wanted) < 1:
        raise JobError(f"ACTORTRAIN_THREADS must be a whole number above 0, not {wanted!r}.")
    torch.set_num_threads(int(wanted))
    return torch.device("cpu")


def check_space(folder: Path, needed: int) -> None:
    """Makes ``folder`` and sees that ``needed`` bytes fit: better now than after the training."""
    folder.mkdir(parents=True, exist_ok=True)
    needed += SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise JobError(
            f"Disk full: {free // 2**20} MB free, {needed // 2**20} MB needed for LoRA and samples. "
            "Free some space and launch again."
        )


def explain(error: BaseException, *, relief: str = "lower batch_size or network_dim") -> str | None:
    """One sentence for the failures that a person can do something about; ``relief`` spares memory."""
    text = str(error)
    if isinstance(error, JobError):
        return text
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Disk full: free some space on the worker and launch again."
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return f"Not enough memory: {relief}, or use a worker with more of it."
    return None
