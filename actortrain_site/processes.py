"""Runs the site's processes together in the foreground: all of them, or none.

``honcho`` starts them and prefixes their lines. What it lacks stands here: every process is told to
stop by its own id (a SIGTERM to the whole group hangs django-q), is killed with its group after a
grace period, and leaves nothing behind, even when it, or this program itself, was killed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from honcho.manager import Manager
from honcho.process import Popen, Process

#: From the first request to stop until what is left is killed.
GRACE_SECONDS = 7.0


class Supervisor(Manager):  # type: ignore[misc]  # honcho has no types
    """Starts the processes, relays their lines, and stops all when one stops."""

    def __init__(self, on_started: Callable[[], None]) -> None:
        super().__init__()
        self._procmgr = _Signals()
        self._process_ctor = _Child
        self._on_started = on_started
        self._told: set[int] = set()
        #: The process that died by itself, and its return code.
        self.died: tuple[str, int] | None = None

    def add(self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        """Registers a process; ``exec`` makes the shell's id the process's own."""
        self.add_process(name, f"exec {shlex.join(command)}", env=dict(environment), cwd=str(folder))

    def run(self) -> int:
        """Blocks until everything has stopped: 0 when a person asked for it, 1 when a process died."""
        # A closed terminal ends the program like Ctrl-C.
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        try:
            self.loop()
        finally:
            self._killall(force=True)  # only after an error of our own is there anything left
        return 1 if self.died else 0

    def stop(self) -> None:
        """Ends everything from another thread, as a person's Ctrl-C does."""
        os.kill(os.getpid(), signal.SIGTERM)

    def terminate(self) -> None:
        """Asks every process to stop, and makes sure that it does."""
        if self._terminating:
            return
        codes = ((name, state.get("returncode")) for name, state in self._processes.items())
        self.died = next(((name, code) for name, code in codes if code is not None), None)
        super().terminate()
        threading.Thread(target=self._insist, daemon=True).start()

    def _start(self) -> None:
        super()._start()
        threading.Thread(target=self._on_started, daemon=True).start()

    def _insist(self) -> None:
        """Tells those that have started in the meantime, and kills what has not stopped in time."""
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.2)
            self._killall()
        self._killall(force=True)

    def _killall(self, force: bool = False) -> None:  # noqa: FBT001, FBT002  # honcho's signature
        for state in list(self._processes.values()):
            pid = state.get("pid")
            if pid is None or "returncode" in state or (pid in self._told and not force):
                continue
            self._told.add(pid)
            (self._procmgr.kill if force else self._procmgr.terminate)(pid)


class _Signals:
    """How processes are stopped: the main process first, the group only by force."""

    def terminate(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def kill(self, pid: int) -> None:
        _kill_group(pid)


class _Child(Process):  # type: ignore[misc]  # honcho has no types
    """A process in a session of its own, watched by a thread beside honcho's reader of lines."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._child_ctor = _watched


def _watched(command: str, **kwargs: Any) -> subprocess.Popen[bytes]:
    child: subprocess.Popen[bytes] = Popen(command, stdin=subprocess.DEVNULL, **kwargs)
    threading.Thread(target=_watch, args=(child, os.getppid()), daemon=True).start()
    return child


def _watch(child: subprocess.Popen[bytes], supervisor: int) -> None:
    """Ends with the child; what it left in its group is killed, or it would hold the output open
    and honcho would take the child for alive. Ends the child when the supervisor is gone."""
    while child.poll() is None:
        time.sleep(0.25)
        if os.getppid() != supervisor:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(GRACE_SECONDS)
            break
    _kill_group(child.pid)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def describe_end(name: str, code: int) -> str:
    """``worker was killed by SIGKILL``, ``web ended with exit code 3``."""
    if code < 0:
        return f"{name} was killed by {signal.Signals(-code).name}"
    return f"{name} ended with exit code {code}"
