"""What a start needs in place: tables, static files, and somebody in the registry."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection

from actors import demo
from actors.models import Actor


def prepare() -> None:
    """Brings everything up to date; what is there already stays as it is."""
    call_command("migrate", interactive=False, verbosity=0)
    collect_static()
    if not Actor.objects.exists():
        print("Painting the demo actors ...", flush=True)
        demo.load()
    # The processes that are forked from here on open their own connections.
    connection.close()


def collect_static() -> None:
    """Collects and compresses the static files when any of them has changed: seconds saved per start."""
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    now = fingerprint()
    if stamp.exists() and stamp.read_text() == now:
        return
    print("Collecting static files ...", flush=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(now)


def fingerprint() -> str:
    """Hash of the names, sizes and times of all static files of the site and its libraries."""
    found = hashlib.sha256()
    for finder in get_finders():
        for path, store in finder.list(ignore_patterns=[]):
            status = Path(store.path(path)).stat()
            found.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return found.hexdigest()
