"""A right that one process holds: given once, kept while renewed, free when its holder is dead."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid

import pytest
from django.utils import timezone

from training.leases import Lease

pytestmark = pytest.mark.django_db


def test_a_lease_is_held_by_one_until_it_expires() -> None:
    lease = Lease.take("sweep", seconds=60)
    assert lease
    assert Lease.take("sweep", seconds=60) is None
    assert lease.renew()
    Lease.objects.update(expires_at=timezone.now())
    other = Lease.take("sweep", seconds=60)
    assert other
    assert not lease.renew()
    lease.give_back()
    assert Lease.take("sweep", seconds=60) is None
    other.give_back()
    assert Lease.take("sweep", seconds=60)


def test_a_dead_process_of_this_machine_need_not_be_waited_for() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert Lease.take("sweep", seconds=600)
    Lease.objects.update(held_by=f"{socket.gethostname()}:{ended.pid}")
    assert Lease.take("sweep", seconds=600)


@pytest.mark.parametrize(
    "held_by",
    ["another-host:1", f"{socket.gethostname()}:{os.getpid()}", "", "nonsense"],
    # Named, because test processes side by side must collect the same tests.
    ids=["another host", "a living process", "nobody", "nonsense"],
)
def test_a_holder_that_may_live_keeps_it(held_by: str) -> None:
    assert Lease.take("sweep", seconds=600)
    Lease.objects.update(held_by=held_by, holder=uuid.uuid4())
    assert Lease.take("sweep", seconds=600) is None


def test_a_lease_says_who_holds_it_and_when_it_was_last_heard_of() -> None:
    lease = Lease.take("sweep", seconds=60)
    assert lease
    row = Lease.objects.get()
    assert row.held_by == f"{socket.gethostname()}:{os.getpid()}"
    assert row.seen_at
    assert (timezone.now() - row.seen_at).total_seconds() < 5
