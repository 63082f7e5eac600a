"""Makes the SDK's worker leave at once when it is told to, and leave nothing behind.

The SDK alone waits for its open questions and for the job in hand, and its ping process outlives a
killed worker, so that the endpoint would believe it alive.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time

from worker.child import die_with_parent


def prepare() -> None:
    """Before the SDK forks its ping process: no fork of this process outlives it."""
    os.register_at_fork(after_in_child=die_with_parent)


class LoopHook:
    """The SDK's ``concurrency_modifier``, called inside its loop each time before it asks for a job:
    the one place from which the loop can be reached. The concurrency stays as it is."""

    #: The SDK repeats a refused question without a pause, hundreds of times a second.
    hasty = 0.05
    pause = 0.5

    def __init__(self) -> None:
        self._installed = False
        self._last = 0.0
        self._hasty_calls = 0

    def __call__(self, concurrency: int) -> int:
        if not self._installed:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, _leave)
            self._installed = True
        self._hasty_calls = self._hasty_calls + 1 if time.monotonic() - self._last < self.hasty else 0
        if self._hasty_calls > 3:
            time.sleep(self.pause)  # blocks the loop, which has nothing to do: no job, no endpoint
        self._last = time.monotonic()
        return concurrency


def _leave() -> None:
    """Cancels everything; the handler stops its trainer on the way out."""
    for task in asyncio.all_tasks():
        task.cancel()
