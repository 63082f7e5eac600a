"""What a browser loads before it paints: small enough for a phone on a train."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from tests.factories import make_version
from training.models import Status

LIMIT = 60_000


def source(name: str) -> str:
    """The text of a static file."""
    path = finders.find(name)
    assert path, f"{name} is missing"
    return Path(path).read_text()


def compressed(page: str) -> dict[str, int]:
    """Bytes of each stylesheet and script that a page names, and of the modules those import, as gzip."""
    names = re.findall(r'(?:href|src)="/static/([^"]+\.(?:css|js))"', page)
    scripts = [name for name in names if name.endswith(".js")]
    imported = [
        module
        for script in scripts
        for module in re.findall(r'^import .* from "\./([^"]+)"', source(script), re.MULTILINE)
    ]
    return {name: len(zlib.compress(source(name).encode(), 6)) for name in [*names, *imported]}


@pytest.mark.django_db
def test_every_page_paints_after_less_than_60_kb_of_css_and_javascript(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING)
    done = make_version(version.actor)
    of_actor = ("actor", "dataset", "versions", "history", "use", "rights")
    of_version = ("training", "previews", "preview-grid")
    others = (
        *("library", "activity", "analytics", "batches", "batch-new", "presets", "preset-new", "prompt-sets"),
        *(
            "prompt-set-new",
            "all-rights",
            "budgets",
            "account-budget",
            "account-tokens",
            "styleguide",
            "health",
        ),
    )
    pages = [
        *(reverse(name, args=[version.actor_id]) for name in of_actor),
        *(reverse(name, args=[done.pk]) for name in of_version),
        *(reverse(name) for name in others),
        reverse("compare", args=[version.actor_id]) + f"?v={version.number}&v={done.number}",
        version.get_absolute_url(),
    ]
    sizes = {page: compressed(admin_client.get(page).text) for page in pages}
    assert all("tokens.css" in size and len(size) > 10 for size in sizes.values())
    assert {page: sum(size.values()) for page, size in sizes.items() if sum(size.values()) >= LIMIT} == {}


def test_stylesheets_and_scripts_are_small_files() -> None:
    path = finders.find("tokens.css")
    assert path
    folder = Path(path).parent
    long = {file.name: len(file.read_text().splitlines()) for file in folder.glob("*.[cj]s*")}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}
