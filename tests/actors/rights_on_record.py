"""Rights of actors, and the form that records them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from actors import studio_time
from actors.models import Actor, LikenessRights
from actors.rights import Basis

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\nstartxref\n9\n%%EOF\n"


def give_rights(actor: Actor, **facts: Any) -> LikenessRights:
    known = {"basis": Basis.CONSENT, "reference": "folder 7", "expires_on": None} | facts
    return LikenessRights.record(actor, known, None)


def days(number: int) -> date:
    return studio_time.today() + timedelta(days=number)


def upload(client: Client, actor: Actor, content: bytes = PDF, **facts: str) -> Any:
    file = SimpleUploadedFile("release form.pdf", content)
    data = {"basis": "consent", "reference": "", "note": "", **facts, "document_file": file}
    return client.post(reverse("rights", args=[actor.pk]), data)
