"""What enters a dataset: pictures only, by their content, kept byte for byte."""

from __future__ import annotations

import resource
import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from PIL import Image
from pytest_django.fixtures import Settings as SettingsWrapper

from actors import images, ingest, storage
from actors.images import RefusedImage
from tests.actors import fuzz
from tests.actors.pictures import as_bytes, as_file, portrait, turned_photograph
from tests.factories import make_actor


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_the_five_formats_are_read(kind: str) -> None:
    facts = images.examine(as_file(portrait(pixels=128), kind))
    assert (facts.format, facts.width, facts.height) == (kind, 128, 128)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO"])
def test_other_formats_are_refused_with_the_formats_we_read(kind: str) -> None:
    with pytest.raises(RefusedImage, match="JPEG, PNG, WebP, AVIF and HEIC"):
        images.examine(as_file(portrait(pixels=64), kind))


def test_a_web_page_named_png_is_refused() -> None:
    with pytest.raises(RefusedImage, match="web page"):
        images.examine(BytesIO(b"<!DOCTYPE html><script>alert(1)</script>"))


def test_svg_is_refused() -> None:
    with pytest.raises(RefusedImage, match="SVG"):
        images.examine(BytesIO(b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"))


def test_a_picture_with_a_web_page_behind_its_end_is_refused() -> None:
    with pytest.raises(RefusedImage, match="web page"):
        images.examine(BytesIO(as_bytes(portrait(pixels=64), "JPEG") + b"<html><script>x</script></html>"))


def test_a_picture_that_is_an_archive_as_well_is_refused() -> None:
    buffer = BytesIO(as_bytes(portrait(pixels=64), "PNG"))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("payload.bin", b"x" * 6000)
    with pytest.raises(RefusedImage, match="archive"):
        images.examine(buffer)


def test_a_truncated_picture_is_refused() -> None:
    whole = as_bytes(portrait(), "JPEG")
    with pytest.raises(RefusedImage, match="broken"):
        images.examine(BytesIO(whole[: len(whole) // 2]))


def _bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises a wall of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedImage, match="50 megapixels"):
        images.examine(BytesIO(_bomb(side, side)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_an_animation_is_refused() -> None:
    frames = [portrait(seed, 64) for seed in range(3)]
    with pytest.raises(RefusedImage, match="animation"):
        images.examine(as_file(frames[0], "WEBP", save_all=True, append_images=frames[1:]))


def test_a_file_above_the_limit_is_refused_with_its_size(settings: SettingsWrapper) -> None:
    settings.MAX_IMAGE_BYTES = 1000
    with pytest.raises(RefusedImage, match="at most 0 MB"):
        images.examine(as_file(portrait()))


@pytest.mark.django_db
def test_the_original_is_kept_byte_for_byte_and_trainings_read_an_upright_copy_without_exif(
    media: Path,
) -> None:
    dataset = make_actor(images=0).dataset
    content = turned_photograph()
    image = ingest.take_in(dataset, BytesIO(content), "IMG_0001.JPG")
    original, read = storage.parse(image.original_url), storage.parse(image.url)
    assert original
    assert read
    assert default_storage.open(original.key).read() == content
    with Image.open(default_storage.open(read.key)) as copy:
        assert copy.size == (300, 512) == (image.width, image.height)
        assert not copy.getexif()
        assert b"Exif" not in default_storage.open(read.key).read()


@pytest.mark.django_db
def test_a_plain_picture_is_stored_once_as_it_came(media: Path) -> None:
    content = as_bytes(portrait(), "WEBP")
    image = ingest.take_in(make_actor(images=0).dataset, BytesIO(content), "a.png")
    address = storage.parse(image.url)
    assert address
    assert address.key.endswith(".webp"), "the ending follows the content"
    assert (image.original_url, default_storage.open(address.key).read()) == ("", content)


@pytest.mark.django_db
def test_heic_is_converted_for_trainings(media: Path) -> None:
    image = ingest.take_in(make_actor(images=0).dataset, as_file(portrait(), "HEIF"), "a.heic")
    assert image.url.endswith(".jpg")
    assert image.original_url.endswith(".heic")


@pytest.mark.django_db
def test_the_same_bytes_enter_a_dataset_once(media: Path) -> None:
    dataset = make_actor(images=0).dataset
    first = ingest.take_in(dataset, as_file(portrait()), "a.png")
    with pytest.raises(ingest.Duplicate, match=r"already, as a\.png"):
        ingest.take_in(dataset, as_file(portrait()), "b.png")
    assert list(dataset.images.all()) == [first]


@pytest.mark.django_db
def test_a_full_dataset_takes_no_more(media: Path, settings: SettingsWrapper) -> None:
    settings.MAX_DATASET_IMAGES = 2
    with pytest.raises(RefusedImage, match="2 images already"):
        ingest.take_in(make_actor(images=2).dataset, as_file(portrait()), "a.png")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd.png", "passwd.png"),
        ("C:\\pictures\\anna.jpg", "anna.jpg"),
        ("a\x00b\u202egnp.png", "abgnp.png"),
        ("", "picture"),
        ("x" * 500 + ".png", "x" * 180 + ".png"),
    ],
)
def test_file_names_are_only_shown_and_lead_nowhere(name: str, safe: str) -> None:
    assert ingest.safe_name(name) == safe


@pytest.mark.django_db
@pytest.mark.timeout(400)
def test_broken_files_never_crash_nor_leave_half_a_row_nor_eat_the_memory(
    media: Path, settings: SettingsWrapper
) -> None:
    """A part of ``python -m tests.actors.fuzz``, which sends 10,000."""
    settings.MAX_DATASET_IMAGES = 1000
    result = fuzz.run(150)
    assert result.is_good, str(result)
    assert result.ends["refused"] > 70, "else the files are not broken enough to mean anything"
    assert result.ends["done"] > 10, "else they are too broken"


def test_a_broken_file_is_made_from_seed_and_number_alone() -> None:
    assert fuzz.broken_file(1, 24) == fuzz.broken_file(1, 24) != fuzz.broken_file(2, 24)
