"""What tests of uploads share: two pictures, a ZIP, and the way a browser takes."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import httpx
from django.test import Client

from actors.models import Actor
from tests.actors.pictures import as_bytes, portrait

PICTURE = as_bytes(portrait(pixels=300))
OTHER = as_bytes(portrait(2, pixels=300))


@dataclass
class Store:
    """Sends a PUT as a browser would, to whichever store the site uses."""

    site: str

    def put(self, url: str, content: bytes) -> int:
        return httpx.put(url if "://" in url else f"{self.site}{url}", content=content).status_code


def start(
    client: Client, actor: Actor, name: str = "a.png", content: bytes = PICTURE, **more: Any
) -> dict[str, str]:
    body = {"files": [{"name": name, "size": len(content), **more}]}
    answer = client.post(f"/actors/{actor.pk}/dataset/start", body, content_type="application/json")
    told: dict[str, str] = answer.json()["files"][0]
    return told


def finish(client: Client, actor: Actor, upload: dict[str, str]) -> dict[str, Any]:
    answer = client.post(
        f"/actors/{actor.pk}/dataset/uploads/{upload['id']}/finish", "{}", "application/json"
    )
    told: dict[str, Any] = answer.json()
    return told


def make_zip(**members: bytes) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    buffer.seek(0)
    return buffer
