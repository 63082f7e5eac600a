"""``manage.py run_tasks``: django-q2's cluster, which starts over when it can't go on.

Its workers read one pipe under one lock. A worker that is killed while it waits takes the lock along, and
then all others wait for ever: no error, no exit, and nothing is done. So somebody has to look.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from datetime import datetime, timedelta
from types import FrameType
from typing import Any

import psutil
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from django.utils import timezone
from django_q.cluster import Cluster
from django_q.models import OrmQ, Task

from training import stopping

log = logging.getLogger(__name__)

#: A task is ended after its time-out, so nothing is that quiet while the cluster works.
STUCK_AFTER = settings.Q_CLUSTER["timeout"] + 60
LOOK_EVERY = 1.0


class Tasks(Cluster):  # type: ignore[misc]  # django_q has no types
    """Remembers whether somebody asked it to stop."""

    asked = False

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        """On SIGTERM and SIGINT."""
        self.asked = True
        stopping.ask()
        super().sig_handler(signum, frame)


class Command(BaseCommand):
    """One cluster; several may run, also on several machines."""

    help = "Runs the tasks: submits, looks after trainings, inspects images, sends letters."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Short in tests."""
        parser.add_argument("--stuck-after", type=int, default=STUCK_AFTER, help=argparse.SUPPRESS)

    def handle(self, *, stuck_after: int, **_: Any) -> None:
        """Blocks until it is told to stop."""
        patience = timedelta(seconds=stuck_after)
        cluster = Tasks()
        cluster.start()
        began = timezone.now()
        while cluster.sentinel.is_alive():
            time.sleep(LOOK_EVERY)
            if timezone.now() - began > patience and is_stuck(began, patience):
                log.error("tasks: nothing was done for %s although work waits: starting over", patience)
                start_over()
        if not cluster.asked:
            log.error("tasks: the cluster died (%s): starting over", cluster.sentinel.exitcode)
            start_over()


def is_stuck(began: datetime, patience: timedelta) -> bool:
    """Whether a task was handed out so long ago, and since then not one has come to an end.

    What was handed out before this cluster ``began`` is left to come back by itself.
    """
    now = timezone.now()
    # A task that is handed out is locked until it counts as lost.
    until_lost = timedelta(seconds=settings.Q_CLUSTER["retry"])
    ours = OrmQ.objects.filter(lock__gt=max(now, began + until_lost))
    try:
        waiting = ours.filter(lock__lt=now + until_lost - patience).exists()
        return waiting and not Task.objects.filter(stopped__gt=now - patience).exists()
    except DatabaseError as error:
        log.warning("tasks: can't look at the queue: %s", error)
        return False
    finally:
        connection.close()


def start_over() -> None:
    """Replaces this process by a new one of the same id, so that whoever supervises it notices nothing."""
    family = psutil.Process().children(recursive=True)
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=10)  # the new program would not know them
    os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606  # the same program again
