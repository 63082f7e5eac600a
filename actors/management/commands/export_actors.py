"""``manage.py export_actors``: the registry as ``actors.json``."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandParser

from actors import registry
from actors.management.reading import one_line_errors


class Command(BaseCommand):
    """Writes the registry, to standard output unless a file is named."""

    help = "Export the registry as JSON. A file is replaced in one step: readers never see half of it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to write."""
        parser.add_argument("--output", type=Path, metavar="FILE")

    def handle(self, *, output: Path | None, **_: Any) -> None:
        """Streams the records."""
        pieces = registry.write_json(registry.export_records())
        if output is None:
            # A reader that has seen enough (``| head``) is no error, nor when Python flushes at exit.
            with contextlib.suppress(BrokenPipeError):
                for piece in pieces:
                    self.stdout.write(piece, ending="")
                self.stdout.flush()
                return
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        with one_line_errors(), replacing(output) as file:
            file.writelines(pieces)
        self.stderr.write(f"Wrote {output}.")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A text file that takes the place of ``path`` when all of it is written and on disk."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield cast("IO[str]", file)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        partial.replace(path)
    except BaseException:
        partial.unlink()
        raise
