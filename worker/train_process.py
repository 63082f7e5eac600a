"""The trainer as a subprocess: its events as they come, and an end in every case."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from pathlib import Path

from worker.events import Done, Drawn, Error, Event, Refused, parse
from worker.order import JobFailedError

SILENCE_SECONDS = 600.0
GRACE_SECONDS = 3.0
LINE_LIMIT = 1 << 20
LastWord = Done | Drawn | Refused | Error
ROOT = Path(__file__).resolve().parent.parent


async def run_trainer(
    folder: Path, on_event: Callable[[Event], None], *, silence: float = SILENCE_SECONDS
) -> Done:
    """Trains the job in ``folder``; each event goes to ``on_event``. Raises :class:`JobFailedError`.

    Cancelling stops the trainer and all that it has started.
    """
    process = await start_child(trainer_module(), str(folder))
    complaints: deque[str] = deque(maxlen=20)
    listener = asyncio.create_task(listen(process, complaints))
    try:
        last = await read_events(process, on_event, silence)
        await asyncio.wait_for(process.wait(), 30)  # all is said; what lingers is stopped below
    except TimeoutError:
        raise JobFailedError(
            f"The trainer said nothing for {silence:g} s and was stopped. Launch again; look at the worker."
        ) from None
    finally:
        await stop_group(process)
        listener.cancel()
    if isinstance(last, Done):
        return last
    raise JobFailedError(last.message if isinstance(last, Error) else epitaph(process.returncode, complaints))


async def start_child(module: str, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL) -> Process:
    """A module of the worker in a process group of its own, which ends with this process."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.child", module, *arguments,
        cwd=ROOT, env=environment(), stdout=PIPE, stderr=PIPE, stdin=stdin,
        limit=LINE_LIMIT, start_new_session=True,
    )  # fmt: skip


def trainer_module() -> str:
    """What is run; tests name a trainer that needs no torch."""
    return os.environ.get("ACTORTRAIN_TRAINER", "worker.train")


def environment() -> dict[str, str]:
    """The worker's own, without its keys: the trainer needs none."""
    hidden = ("AWS_", "RUNPOD_AI_", "RUNPOD_API_", "ACTORTRAIN_ENDPOINT_KEY")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return kept | {"ACTORTRAIN_PARENT_PID": str(os.getpid())}


async def read_events(
    process: Process, on_event: Callable[[Event], None], silence: float, *, stay: bool = False
) -> LastWord | None:
    """How it ended; nothing when the process just died.

    Reads on until the process has closed its output; one that is to ``stay`` has said all with that word.
    """
    if process.stdout is None:
        return None
    last: LastWord | None = None
    while True:
        try:
            line = await asyncio.wait_for(process.stdout.readline(), silence)
        except ValueError:  # longer than LINE_LIMIT: no event of ours
            continue
        if not line:
            return last
        if (event := parse(line.decode(errors="replace"))) is None:
            continue
        on_event(event)
        if isinstance(event, LastWord):
            last = event
            if stay:
                return last


async def listen(process: Process, complaints: deque[str]) -> None:
    """Passes standard error on to the worker's log and remembers its end."""
    while process.stderr is not None:
        with contextlib.suppress(ValueError):
            line = await process.stderr.readline()
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            complaints.append(text)
            print(text, file=sys.stderr, flush=True)


async def stop_group(process: Process) -> None:
    """Ends the whole process group. A second cancellation skips the grace, never the kill."""
    try:
        if process.returncode is None:
            _signal_group(process, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    finally:
        _signal_group(process, signal.SIGKILL)
    await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def epitaph(
    code: int | None,
    complaints: deque[str],
    *,
    who: str = "The trainer",
    relief: str = "use a smaller batch",
) -> str:
    """What can be said of a process that died without a word."""
    if code == -signal.SIGKILL:
        return f"{who} was killed by the system, most likely for lack of memory: {relief}."
    said = next((line.strip() for line in reversed(complaints) if line.strip()), "nothing on standard error")
    return f"{who} stopped with exit code {code}: {said}"
