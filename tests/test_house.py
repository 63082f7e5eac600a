"""The house itself: what the files at the top promise is so."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ["requirements/site.txt", "requirements/dev.txt", "worker/requirements.txt"]


def test_every_variable_that_the_code_reads_is_explained() -> None:
    sources = [*ROOT.glob("actortrain_site/*.py"), *ROOT.glob("actors/*.py"), *ROOT.glob("training/*.py")]
    pattern = re.compile(r"""(?:env\.\w+|need|environ\.get)\(\s*"([A-Z][A-Z0-9_]+)\"""")
    read = {name for source in sources for name in pattern.findall(source.read_text())}
    example = (ROOT / ".env.example").read_text()
    explained = set(re.findall(r"^#(?: {3})?([A-Z][A-Z0-9_]+)", example, re.MULTILINE))
    assert "DATABASE_URL" in read
    assert read - explained == set()


def test_the_example_sets_nothing_until_someone_takes_a_hash_away() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_is_pinned_and_hashed(lock: str) -> None:
    entries = re.split(r"\n(?=\w)", (ROOT / lock).read_text().strip())
    assert len(entries) > 40
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
        assert not re.match(r"torch==", entry), "torch stands outside the hashes"


def test_site_worker_and_tools_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for line in (ROOT / lock).read_text().splitlines():
            if match := re.match(r"([\w.-]+)==(\S+)(.*)", line):
                versions.setdefault(match[1] + match[3].rstrip(" \\"), set()).add(match[2])
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_no_file_names_a_package_registry() -> None:
    files = [
        *ROOT.glob("requirements/*"),
        *ROOT.glob("worker/*.txt"),
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
    ]
    naming = [
        file.name for file in files if re.search(r"https?://|index-url +\S*\.|find-links", file.read_text())
    ]
    assert naming == []


def test_make_alone_explains_every_target() -> None:
    make = shutil.which("make")
    assert make, "GNU make is needed"
    shown = subprocess.run(
        [make, "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for target in ("setup", "start", "test", "lint", "format", "bench", "screenshots", "lock"):
        assert re.search(rf"^  make {target} +\w", shown.stdout, re.MULTILINE), shown.stdout
