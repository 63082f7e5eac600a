"""The papers of likeness rights: known by their content, private, and kept for the history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image
from pytest_django.fixtures import Settings

from actors import rights_documents
from actors.models import LikenessRights
from actors.rights_documents import RefusedDocument
from tests.actors.rights_on_record import PDF, upload
from tests.factories import make_actor
from tests.s3_server import S3Server

pytestmark = pytest.mark.django_db


def picture(kind: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "grey").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "ending"), [(PDF, ".pdf"), (picture("JPEG"), ".jpg"), (picture("PNG"), ".png")]
)
def test_a_document_is_known_by_its_content(content: bytes, ending: str) -> None:
    assert rights_documents.ending_of(BytesIO(content)) == ending


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (PDF[:-20], "cut off"),
        (b"%PDF-<html>" + PDF, "web page"),
        (b"<html><script>", "no PDF, JPEG or PNG"),
        (picture("WEBP"), "WEBP picture"),
        (picture("PNG")[:80], "no PDF, JPEG or PNG"),
        (b"%PDF-" + bytes(rights_documents.MAX_BYTES), "at most 20 MiB"),
    ],
)
def test_anything_else_is_refused_with_the_reason(content: bytes, says: str) -> None:
    with pytest.raises(RefusedDocument, match=says):
        rights_documents.ending_of(BytesIO(content))


def test_a_document_is_private_and_its_link_is_for_curators(
    sign_in: Callable[[str], Client], media: Path
) -> None:
    actor, curator, viewer = make_actor(), sign_in("Curator"), sign_in("Viewer")
    assert upload(curator, actor).status_code == 302
    rights = LikenessRights.objects.get(actor=actor)
    key = reverse("file", args=[rights.document])
    assert viewer.get(key).status_code == 403
    assert curator.get(key).status_code == 403
    address = reverse("rights-document", args=[actor.pk])
    assert viewer.get(address).status_code == 403
    link = curator.get(address)["Location"]
    answer = Client().get(link)
    assert b"".join(answer.streaming_content) == PDF  # type: ignore[attr-defined]  # a file
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Cache-Control"] == "no-store"


def test_the_link_to_a_document_ends_within_minutes(
    sign_in: Callable[[str], Client], media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor, curator = make_actor(), sign_in("Curator")
    upload(curator, actor)
    link = curator.get(reverse("rights-document", args=[actor.pk]))["Location"]
    soon = datetime.now(UTC).timestamp() + 301
    monkeypatch.setattr("actors.storage.time.time", lambda: soon)
    assert Client().get(link).status_code == 403


def test_on_s3_the_link_leads_to_the_store_and_is_signed(
    sign_in: Callable[[str], Client], s3_storage: S3Server
) -> None:
    actor, curator = make_actor(), sign_in("Curator")
    upload(curator, actor)
    link = curator.get(reverse("rights-document", args=[actor.pk]))["Location"]
    assert link.startswith(s3_storage.url)
    assert httpx.get(link).content == PDF
    assert httpx.get(link.split("?")[0]).is_client_error


def test_a_store_that_refuses_keeps_nothing_and_says_so(
    sign_in: Callable[[str], Client],
    s3_storage: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    options = settings.STORAGES["default"]["OPTIONS"] | {"bucket_name": "no-such-bucket"}
    backend = settings.STORAGES["default"] | {"OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"default": backend}
    answer = upload(sign_in("Curator"), make_actor())
    assert answer.status_code == 400
    assert "The object store does not answer" in answer.text
    assert not LikenessRights.objects.exists()


def test_a_replaced_document_stays_for_the_history(sign_in: Callable[[str], Client], media: Path) -> None:
    actor, curator = make_actor(), sign_in("Curator")
    upload(curator, actor)
    first = LikenessRights.objects.get(actor=actor).document
    upload(curator, actor, picture("PNG"))
    second = LikenessRights.objects.get(actor=actor).document
    assert (media / first).exists()
    assert (media / second).exists()
    kept = LikenessRights.history.filter(actor_id=actor.pk).values_list("document", flat=True)
    assert set(kept) == {first, second}


def test_a_refused_document_changes_nothing(sign_in: Callable[[str], Client], media: Path) -> None:
    actor = make_actor()
    answer = upload(sign_in("Curator"), actor, b"<html>")
    assert answer.status_code == 400
    assert "This is no PDF, JPEG or PNG" in answer.text
    assert not LikenessRights.objects.exists()
