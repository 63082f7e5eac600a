"""The real browser that tests and pictures use."""

from __future__ import annotations

import os
import shutil

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def find_chromium() -> str:
    """The browser's path: ``CHROMIUM``, else what the system has."""
    candidates = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    for candidate in candidates:
        path = shutil.which(candidate) if candidate else None
        if path:
            return path
    pytest.fail("No Chromium found: install it, or set CHROMIUM to its path.", pytrace=False)
