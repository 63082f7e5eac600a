"""Starts a module of the worker so that it cannot outlive the worker, even one that was killed.

``python -m worker.child worker.train DIR`` becomes ``python -m worker.train DIR``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Asks Linux for SIGKILL when the parent dies; elsewhere it does nothing. ``exec`` keeps it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Never returns: this process becomes the module."""
    die_with_parent()
    parent = os.environ.pop("ACTORTRAIN_PARENT_PID", "")
    if parent and os.getppid() != int(parent):
        sys.exit("the worker has gone")  # it died before the line above could take effect
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
