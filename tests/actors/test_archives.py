"""Datasets as ZIP files: what comes in, what is refused, and what goes out comes back the same."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings as SettingsWrapper

from actors import archives
from actors.models import Actor, ImageUpload
from tests.actors.uploading import OTHER, PICTURE, Store, finish, make_zip, start
from tests.factories import make_actor

pytestmark = pytest.mark.usefixtures("tasks_at_once")


def test_a_zip_brings_pictures_with_their_captions(store: Store, curator: Client) -> None:
    actor = make_actor(images=0)
    content = make_zip(
        set__one_dot_png=PICTURE, set__one_dot_txt=b"portrait of anna, smiling\n", set__two_dot_png=OTHER
    ).read()
    upload = start(curator, actor, "set.zip", content)
    store.put(upload["url"], content)
    told = finish(curator, actor, upload)
    assert told["state"] in ("working", "done")
    assert ImageUpload.objects.get().message == "2 images added."
    captions = dict(actor.dataset.images.values_list("file_name", "caption"))
    assert captions == {"one.png": "portrait of anna, smiling", "two.png": ""}


def unpacked(actor: Actor, file: io.BytesIO) -> archives.Unpacked:
    return archives.unpack(actor.dataset, file)


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "a/../../evil.png", "C:\\evil.png"])
def test_a_zip_with_names_that_lead_out_is_refused_for_those(media: Path, actor: Actor, name: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, PICTURE)
        archive.writestr("good.png", OTHER)
    done = unpacked(actor, buffer)
    assert (len(done.added), len(done.refused)) == (1, 1)
    assert "leads out" in done.refused[0]


def test_a_link_in_a_zip_is_refused(media: Path, actor: Actor) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("secret.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "a link, not a file" in unpacked(actor, buffer).refused[0]


def test_a_zip_bomb_is_refused_by_its_ratio(media: Path, actor: Actor) -> None:
    done = unpacked(actor, make_zip(bomb_dot_png=b"\0" * 30_000_000))
    assert "as bombs do" in done.refused[0]


def test_a_zip_bomb_is_refused_by_its_sum(media: Path, actor: Actor, settings: SettingsWrapper) -> None:
    settings.MAX_ZIP_BYTES = 1000
    with pytest.raises(archives.RefusedArchive, match="too much"):
        unpacked(actor, make_zip(a_dot_png=PICTURE))


def test_a_zip_that_lies_about_a_size_is_stopped_while_unpacking() -> None:
    with pytest.raises(Exception, match="larger than 0 MB"):
        archives.copy_bounded(io.BytesIO(b"x" * 3000), io.BytesIO(), 1000)


def test_a_zip_with_too_many_files_is_refused(media: Path, actor: Actor, settings: SettingsWrapper) -> None:
    settings.MAX_DATASET_IMAGES = 1
    with pytest.raises(archives.RefusedArchive, match="holds 3 files"):
        unpacked(actor, make_zip(a_dot_png=PICTURE, b_dot_png=OTHER, c_dot_png=OTHER))


def test_scripts_svgs_and_nested_archives_in_a_zip_are_refused(media: Path, actor: Actor) -> None:
    done = unpacked(
        actor, make_zip(a_dot_svg=b"<svg/>", b_dot_html=b"<p>", c_dot_zip=b"PK", d_dot_png=b"<svg onload=x>")
    )
    assert (done.added, len(done.refused)) == ([], 4)


@pytest.mark.parametrize("content", [b"PK\x03\x04 and then nothing", b"", PICTURE[:50]])
def test_a_broken_zip_is_no_crash(media: Path, actor: Actor, content: bytes) -> None:
    with pytest.raises(archives.RefusedArchive, match="broken"):
        unpacked(actor, io.BytesIO(content))


def test_what_is_packed_wrong_is_refused_and_the_rest_comes_in(media: Path, actor: Actor) -> None:
    content = make_zip(a_dot_png=PICTURE, a_dot_txt=b"portrait, in the rain, smiling", b_dot_png=OTHER).read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        places = [archive.getinfo(name).header_offset + 30 + len(name) for name in ("a.png", "a.txt")]
    broken = bytearray(content)
    for place in places:
        broken[place : place + 8] = b"\xff" * 8
    done = unpacked(actor, io.BytesIO(bytes(broken)))
    assert [image.file_name for image in done.added] == ["b.png"]
    assert [line.partition(" (")[0] for line in done.refused] == [
        "a.txt: broken in the ZIP",
        "a.png: broken in the ZIP",
    ]


def test_what_file_managers_leave_behind_is_passed_over(media: Path, actor: Actor) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("__MACOSX/._a.png", b"x")
        archive.writestr(".DS_Store", b"x")
        archive.writestr("a.png", PICTURE)
    done = unpacked(actor, buffer)
    assert (len(done.added), done.refused) == (1, [])


def test_a_dataset_goes_out_as_a_zip_and_comes_back_the_same(store: Store, curator: Client) -> None:
    actor, twin = make_actor(images=0), make_actor(images=0)
    archives.unpack(
        actor.dataset, make_zip(a_dot_png=PICTURE, a_dot_txt=b"one", b_dot_png=OTHER, b_dot_txt=b"two")
    )
    answer = curator.get(f"/actors/{actor.pk}/dataset.zip")
    content = answer.getvalue()
    archives.unpack(twin.dataset, io.BytesIO(content))
    rows = [list(each.dataset.images.values_list("file_name", "sha256", "caption")) for each in (actor, twin)]
    assert rows[0] == rows[1]
    assert twin.dataset.fingerprint() == actor.dataset.fingerprint()


def test_captions_go_out_are_edited_and_come_back(media: Path, actor: Actor, curator: Client) -> None:
    archives.unpack(actor.dataset, make_zip(a_dot_png=PICTURE, a_dot_txt=b"old"))
    answer = curator.get(f"/actors/{actor.pk}/dataset.zip?only=captions")
    with zipfile.ZipFile(io.BytesIO(answer.getvalue())) as archive:
        assert (archive.namelist(), archive.read("a.txt")) == (["a.txt"], b"old\n")
    done = archives.unpack(actor.dataset, make_zip(a_dot_txt=b"new", missing_dot_txt=b"?"))
    assert (
        done.summary() == "0 images added, 1 captions changed, 1 refused: missing.txt: no image of that name."
    )
    assert actor.dataset.images.get().caption == "new"
