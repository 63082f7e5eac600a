"""Whether this machine's task queue was told to stop: its workers see it in the middle of a long task.

One shared byte, and no lock: a worker that is killed could take a lock along, and nobody else would go on.
"""

from __future__ import annotations

import time
from ctypes import c_bool
from multiprocessing.sharedctypes import RawValue

#: Made before the workers are forked, so all of them look at the same byte.
_asked = RawValue(c_bool, False)
LOOK_EVERY = 0.25


def ask() -> None:
    """Every worker of this process ends its task at the next good moment."""
    _asked.value = True


def asked_within(seconds: float) -> bool:
    """Waits so long; true, and at once, when it is time to stop."""
    end = time.monotonic() + seconds
    while not _asked.value and (left := end - time.monotonic()) > 0:
        time.sleep(min(LOOK_EVERY, left))
    return bool(_asked.value)
