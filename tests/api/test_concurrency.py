"""Many clients at once over two web processes: nothing that was acknowledged gets lost."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.served_site import Site, postgres_server, serve

ACTORS = 20
CALLS = 200


async def press(site: Site) -> tuple[dict[int, set[str]], dict[int, set[str]], list[str]]:
    """Half the calls mark a version good, half add one the old way: read the list, append, send it back."""
    rng = random.Random(3)
    marked: dict[int, set[str]] = defaultdict(set)
    added: dict[int, set[str]] = defaultdict(set)
    refused: list[str] = []
    async with site.client(connections=32) as client:

        async def mark(actor: int) -> None:
            version = f"v{rng.randint(1, 5)}"
            answer = await client.post(f"/api/actors/{actor}/mark-good", json={"versionId": version})
            keep(answer, marked[actor], version)

        async def save(actor: int, call: int) -> None:
            address = f"/api/actors/{actor}/training-versions"
            versions: list[dict[str, Any]] = (await client.get(address)).json()["versions"]
            arriving = {"id": f"new-{call}", "name": f"new {call}", "status": "completed", "parameters": {}}
            answer = await client.post(address, json={"versions": [arriving, *versions]})
            keep(answer, added[actor], arriving["id"])

        def keep(answer: httpx.Response, acknowledged: set[str], what: Any) -> None:
            if answer.status_code == 200:
                acknowledged.add(what)
            else:
                refused.append(answer.text[:300])

        calls = [
            mark(call % ACTORS) if call % 2 == (call // ACTORS) % 2 else save(call % ACTORS, call)
            for call in range(CALLS)
        ]
        rng.shuffle(calls)
        await asyncio.gather(*calls)
    return marked, added, refused


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_200_marks_and_saves_at_once_leave_one_good_version_each_and_lose_nothing(
    tmp_path: Path, migrated: Path, database: str
) -> None:
    shutil.copy(migrated, tmp_path)  # as SQLite's site.sqlite3
    server = postgres_server() if database == "postgresql" else nullcontext("")
    with server as database_url, serve(tmp_path, ACTORS, database_url=database_url) as site:
        # In a thread of its own: after browser tests, Playwright's event loop runs in this one.
        with ThreadPoolExecutor(1) as thread:
            marked, added, refused = thread.submit(asyncio.run, press(site)).result()
        with httpx.Client(base_url=site.url, headers=site.headers, timeout=60) as client:
            published = {actor["id"]: actor for actor in client.get("/actors.json").json()}
            lists = {
                actor: client.get(f"/api/actors/{actor}/training-versions").json()["versions"]
                for actor in range(ACTORS)
            }
    assert refused == []
    assert sum(map(len, added.values())) == CALLS // 2
    for actor, versions in lists.items():
        good = [version["id"] for version in versions if version.get("isGood")]
        assert len(good) == 1
        assert good[0] in marked[actor]
        assert published[actor]["validated_lora_model"]["version_id"] == good[0]
        assert added[actor] <= {version["id"] for version in versions}
