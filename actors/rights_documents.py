"""The paper behind rights: read from strangers, kept private, given out by links that expire.

A replaced document stays in the store: the history says which one was valid when.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import IO

from django.core.files.base import ContentFile

from actors import images, ingest, storage
from actors.models import Actor

MAX_BYTES = 20 * 1024 * 1024
KINDS = {"JPEG": ".jpg", "PNG": ".png"}
TAKEN = "PDF, JPEG or PNG"


class RefusedDocument(Exception):
    """The file is no document we keep; the message says why and what to do."""


def ending_of(file: IO[bytes]) -> str:
    """What the file is by its content: ``.pdf``, ``.jpg`` or ``.png``. Raises ``RefusedDocument``."""
    size = file.seek(0, 2)
    if not 0 < size <= MAX_BYTES:
        says = (
            f"has {size / 1e6:.0f} MB; at most {MAX_BYTES / 2**20:.0f} MiB are kept" if size else "is empty"
        )
        raise RefusedDocument(f"The file {says}.")
    file.seek(0)
    if file.read(5) == b"%PDF-":
        return _check_pdf(file, size)
    try:
        found = images.examine(file)
    except images.RefusedImage as refusal:
        raise RefusedDocument(f"This is no {TAKEN}: {refusal}") from None
    if found.format not in KINDS:
        raise RefusedDocument(f"This is a {found.format} picture; upload it as {TAKEN}.")
    return KINDS[found.format]


def _check_pdf(file: IO[bytes], size: int) -> str:
    """Whole, and nothing else at once: every PDF ends with where its table of contents is."""
    file.seek(max(0, size - 2048))
    end = file.read()
    if b"startxref" not in end or b"%%EOF" not in end:
        raise RefusedDocument("The PDF is cut off or broken. Save it again, and upload it whole.")
    file.seek(0)
    if b"<html" in file.read(4096).lower():
        raise RefusedDocument("The file is a web page as well as a PDF. Print it as PDF again.")
    return ".pdf"


def store(actor: Actor, file: IO[bytes], name: str) -> dict[str, str]:
    """Keeps the document; what the rights have to name. Raises ``RefusedDocument`` or ``OSError``."""
    ending = ending_of(file)
    file.seek(0)
    content = file.read()
    key = f"{storage.PRIVATE}rights/{actor.pk}/{uuid.uuid4().hex}{ending}"
    storage.save(key, ContentFile(content))
    return {
        "document": key,
        "document_name": ingest.safe_name(name),
        "document_sha256": hashlib.sha256(content).hexdigest(),
    }
