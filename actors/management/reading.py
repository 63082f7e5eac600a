"""What the commands share: reading a source, and errors as one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from django.core.management.base import CommandError

MAX_BYTES = 512 * 1024 * 1024


@contextmanager
def one_line_errors(*expected: type[Exception]) -> Iterator[None]:
    """Turns expected errors, and files or sites that can't be read, into one line and exit code 1."""
    kinds: tuple[type[Exception], ...] = (OSError, httpx.HTTPError, httpx.InvalidURL, *expected)
    try:
        yield
    except kinds as error:
        raise CommandError(" ".join(str(error).split()) or type(error).__name__) from error


def read_source(source: str) -> bytes:
    """The bytes of a file, an http(s) URL, or ``-`` for standard input."""
    if source == "-":
        return sys.stdin.buffer.read()
    if source.startswith(("http://", "https://")):
        with httpx.stream("GET", source, follow_redirects=True, timeout=30) as response:
            response.raise_for_status()
            parts, size = [], 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > MAX_BYTES:
                    raise CommandError(f"{source} is larger than {MAX_BYTES // 2**20} MiB.")
            return b"".join(parts)
    return Path(source).read_bytes()
