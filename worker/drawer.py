"""The process that draws previews. It stays for a while after a job, with the base in memory.

Importing torch and loading a base take longer than most previews, so the next one within
``ACTORTRAIN_WARM_SECONDS`` (120) finds the process warm. A training needs the machine for itself: it
sends the process away first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from pathlib import Path

from worker.events import Drawn, Error, Event, Refused
from worker.order import JobFailedError
from worker.train_process import SILENCE_SECONDS, epitaph, listen, read_events, start_child, stop_group

WHO = "The drawing process"


class Drawer:
    """At most one drawing process. ``draw`` and ``send_away`` take turns."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._complaints: deque[str] = deque(maxlen=20)
        self._retirement: asyncio.Task[None] | None = None

    async def draw(
        self, folder: Path, on_event: Callable[[Event], None], *, silence: float = SILENCE_SECONDS
    ) -> Drawn:
        """Draws the job in ``folder``; each event goes to ``on_event``. Raises :class:`JobFailedError`.

        Cancelling, silence and errors of its own end the process; the next job starts a new one.
        """
        async with self._turn:
            self._stay()
            process = await self._present()
            try:
                await self._hand_over(process, folder)
                last = await read_events(process, on_event, silence, stay=True)
                if isinstance(last, Drawn | Refused):
                    self._retire_later()
                    return _drawn(last)
                if last is None:
                    await asyncio.wait_for(process.wait(), 30)
            except TimeoutError:
                await self._leave()
                raise JobFailedError(
                    f"{WHO} said nothing for {silence:g} s and was stopped. Try again; look at the worker."
                ) from None
            except JobFailedError:
                raise
            except BaseException:
                await self._leave()
                raise
            code = process.returncode
            await self._leave()
        if isinstance(last, Error):
            raise JobFailedError(last.message)
        raise JobFailedError(epitaph(code, self._complaints, who=WHO, relief="use a larger worker"))

    async def send_away(self) -> None:
        """Ends the process, once it has finished what it is at."""
        async with self._turn:
            self._stay()
            await self._leave()

    async def _present(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            await self._leave()
            self._complaints.clear()
            self._process = await start_child(drawing_module(), stdin=PIPE)
            self._listener = asyncio.create_task(listen(self._process, self._complaints))
        return self._process

    @staticmethod
    async def _hand_over(process: Process, folder: Path) -> None:
        if process.stdin is not None:
            process.stdin.write(f"{folder}\n".encode())
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # died: reading says how
                await process.stdin.drain()

    def _stay(self) -> None:
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None

    def _retire_later(self) -> None:
        async def retire() -> None:
            await asyncio.sleep(warm_seconds())
            async with self._turn:
                await self._leave()

        self._retirement = asyncio.create_task(retire())

    async def _leave(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await stop_group(process)
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None


def _drawn(last: Drawn | Refused) -> Drawn:
    if isinstance(last, Refused):
        raise JobFailedError(last.message)
    return last


def drawing_module() -> str:
    """What is run; tests name one that needs no torch."""
    return os.environ.get("ACTORTRAIN_DRAWER", "worker.draw")


def warm_seconds() -> float:
    """How long the process stays after a preview; 0 or nonsense: it leaves at once."""
    try:
        return max(0.0, float(os.environ.get("ACTORTRAIN_WARM_SECONDS", "120")))
    except ValueError:
        return 0.0
