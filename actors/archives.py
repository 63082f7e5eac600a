"""Datasets as ZIP files: images with their captions beside them, ``portrait.png`` and ``portrait.txt``.

On the way in nothing of the archive is trusted: not its names, not its sizes, not its kinds of files.
"""

from __future__ import annotations

import lzma
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from django.conf import settings
from zipstream import ZipStream

from actors import edits, ingest, storage
from actors.images import RefusedImage
from actors.models import TrainingDataset, TrainingImage

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAX_CAPTION_BYTES = 20_000
#: Of a member, more than this many bytes for each packed one is a bomb; text packs to 1:20 or so.
MAX_RATIO = 200
_CHUNK = 1024 * 1024
#: What Python's unpackers answer broken archives with.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)


class RefusedArchive(Exception):
    """The ZIP can't be taken at all; the message says why."""


@dataclass
class Unpacked:
    """What came of an archive."""

    added: list[TrainingImage] = field(default_factory=list)
    duplicates: int = 0
    captions: int = 0
    #: ``name: reason``
    refused: list[str] = field(default_factory=list)

    def summary(self) -> str:
        parts = [f"{len(self.added)} images added"]
        parts += [f"{self.duplicates} already here"] if self.duplicates else []
        parts += [f"{self.captions} captions changed"] if self.captions else []
        parts += [f"{len(self.refused)} refused: {'; '.join(self.refused[:5])}"] if self.refused else []
        return ", ".join(parts) + "."


def unpack(dataset: TrainingDataset, file: IO[bytes], *, by: User | None = None) -> Unpacked:
    """Takes the images in and the captions onto images of the same name. Raises ``RefusedArchive``."""
    try:
        archive = zipfile.ZipFile(file)
    except _BROKEN as error:
        raise RefusedArchive(f"The ZIP is broken: {str(error)[:100]}.") from None
    with archive:
        return _unpack(dataset, archive, by)


def _unpack(dataset: TrainingDataset, archive: zipfile.ZipFile, by: User | None) -> Unpacked:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > 2 * settings.MAX_DATASET_IMAGES:
        raise RefusedArchive(
            f"The ZIP holds {len(members)} files; at most {2 * settings.MAX_DATASET_IMAGES}."
        )
    total = sum(member.file_size for member in members)
    if total > settings.MAX_ZIP_BYTES:
        raise RefusedArchive(f"Unpacked it would be {total / 1e9:.1f} GB; that is too much.")
    done = Unpacked()
    captions: dict[str, str] = {}
    pictures: list[zipfile.ZipInfo] = []
    for member in sorted(members, key=lambda each: each.filename):
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if any(part.startswith(".") or part == "__MACOSX" for part in path.parts if part != ".."):
            continue  # what file managers leave behind
        if reason := _suspicious(member, path):
            done.refused.append(f"{ingest.safe_name(member.filename)}: {reason}")
        elif path.suffix.lower() == ".txt":
            try:
                captions[_stem(path)] = _text(archive, member)
            except RefusedImage as refusal:
                done.refused.append(f"{path.name}: {refusal}")
        else:
            pictures.append(member)
    for member in pictures:
        _take(dataset, archive, member, captions, done, by)
    _caption_known(dataset, captions, done, by)
    return done


def _suspicious(member: zipfile.ZipInfo, path: PurePosixPath) -> str:
    """Why a member is not even opened; empty when it may be."""
    suffix = path.suffix.lower()
    limit = MAX_CAPTION_BYTES if suffix == ".txt" else settings.MAX_IMAGE_BYTES
    packed = max(1, member.compress_size)
    reasons = {
        "its name leads out of the archive": ".." in path.parts or path.is_absolute() or ":" in path.parts[0],
        "it is a link, not a file": stat.S_ISLNK(member.external_attr >> 16),
        "it is encrypted": bool(member.flag_bits & 0x1),
        "neither a picture nor a caption": suffix not in (*ingest.IMAGE_NAMES, ".txt"),
        f"larger than {limit / 1e6:.2g} MB": member.file_size > limit,
        "it unpacks to a multiple of its size, as bombs do": (
            member.file_size > _CHUNK and member.file_size > packed * MAX_RATIO
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _stem(path: PurePosixPath) -> str:
    return path.with_suffix("").as_posix()


def _text(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    content = BytesIO()
    _read(archive, member, content, MAX_CAPTION_BYTES)
    try:
        text = content.getvalue().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RefusedImage("the caption is not UTF-8 text") from None
    if len(text) > edits.MAX_CAPTION or "\0" in text:
        raise RefusedImage(f"no caption of at most {edits.MAX_CAPTION} characters")
    return " ".join(text.split())


def _take(
    dataset: TrainingDataset,
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    captions: dict[str, str],
    done: Unpacked,
    by: User | None,
) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    caption = captions.pop(_stem(path), "")
    try:
        with tempfile.SpooledTemporaryFile(max_size=8 * _CHUNK) as copy:
            _read(archive, member, copy, settings.MAX_IMAGE_BYTES)
            done.added.append(ingest.take_in(dataset, copy, path.name, caption=caption, by=by))
    except ingest.Duplicate as duplicate:
        done.duplicates += 1
        if caption:
            captions[_stem(PurePosixPath(duplicate.image.file_name))] = caption
    except RefusedImage as refusal:
        done.refused.append(f"{path.name}: {refusal}")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: IO[bytes], limit: int) -> None:
    """Unpacks one file, as far as the limit. Raises ``RefusedImage``."""
    try:
        with archive.open(member) as source:
            copy_bounded(source, target, limit)
    except _BROKEN as error:
        raise RefusedImage(f"broken in the ZIP ({str(error)[:60]})") from None


def _caption_known(
    dataset: TrainingDataset, captions: dict[str, str], done: Unpacked, by: User | None
) -> None:
    """Captions without a picture go to the images of that name: so captions come back from a ZIP."""
    by_stem = {PurePosixPath(image.file_name).stem: image for image in dataset.images.all()}
    values = {}
    for stem, caption in captions.items():
        image = by_stem.get(PurePosixPath(stem).name)
        if image is None:
            done.refused.append(f"{PurePosixPath(stem).name}.txt: no image of that name")
        elif image.caption != caption:
            values[image.pk] = {"caption": caption}
    if values:
        edits.change(dataset, values, f"{len(values)} captions from a ZIP", by=by)
    done.captions = len(values)


def copy_bounded(source: IO[bytes], target: IO[bytes], limit: int) -> None:
    """Copies a stream whose announced size may be a lie. Raises ``RefusedImage`` above the limit."""
    left = limit
    while chunk := source.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise RefusedImage(f"The file is larger than {limit / 1e6:.0f} MB.")
        target.write(chunk)


def pack(dataset: TrainingDataset, *, captions_only: bool = False) -> Iterator[bytes]:
    """The included images as uploaded, and their captions, as the bytes of a ZIP; constant memory."""
    archive = ZipStream(sized=False)
    taken: set[str] = set()
    lacking: list[str] = []
    for image in dataset.included_images():
        name = _free_name(image.file_name, taken)
        if not captions_only:
            try:
                with storage.opened(image.original_url or image.url, settings.MAX_IMAGE_BYTES) as file:
                    archive.add(iter(partial(file.read, _CHUNK), b""), name)
                    yield from archive.all_files()
            except OSError:  # half of a ZIP would be worse than one that says what it lacks
                lacking.append(name)
        if image.caption:
            archive.add(image.caption.encode() + b"\n", str(PurePosixPath(name).with_suffix(".txt")))
    if lacking:
        archive.add("\n".join(["Not in the object store:", *lacking, ""]).encode(), "MISSING.md")
    yield from archive


def _free_name(file_name: str, taken: set[str]) -> str:
    path = PurePosixPath(ingest.safe_name(file_name))
    stem, number = path.stem, 2
    while stem in taken:
        stem, number = f"{path.stem}_{number}", number + 1
    taken.add(stem)
    return f"{stem}{path.suffix}"
