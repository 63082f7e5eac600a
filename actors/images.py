"""Reading pictures from strangers: by content, bounded, and nothing that isn't plainly one picture.

What enters a dataset is kept byte for byte. A training reads the same file, unless it is of a kind
that trainers don't read (HEIC, AVIF) or carries EXIF data (an orientation, a place): then it reads a
converted one, upright and with nothing but pixels and their colour profile in it.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import IO

import pillow_heif
from django.conf import settings
from PIL import Image, ImageOps, UnidentifiedImageError

pillow_heif.register_heif_opener(thumbnails=False)
Image.MAX_IMAGE_PIXELS = settings.MAX_IMAGE_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)

#: Formats we take, and the endings their files get here.
ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "HEIF": ".heic"}
#: Of these, what every trainer reads.
TRAINABLE = ("JPEG", "PNG", "WEBP")
READABLE_NAMES = "JPEG, PNG, WebP, AVIF and HEIC"
THUMBNAIL_PIXELS = 480
MIN_SIDE = 16
#: What Pillow calls XMP and IPTC data, which hold places as well.
_METADATA = ("xmp", "XML:com.adobe.xmp", "photoshop", "Raw profile type iptc", "Raw profile type xmp")
#: Files that are a picture and something else at once start or end like this.
_FOREIGN = (b"<!doctype", b"<html", b"<script", b"<svg", b"<?php", b"%pdf-")
_EDGE = 4096
#: Decoded pictures are large: so many at once in one process, the others wait.
_DECODING = threading.BoundedSemaphore(2)
#: Pillow and its plug-ins answer broken files with any of these.
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    TypeError,
    IndexError,
    KeyError,
    ArithmeticError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class RefusedImage(Exception):
    """The file can't enter a dataset; the message says why and what to do."""


@dataclass(frozen=True)
class Facts:
    """What a file is, by its content."""

    format: str
    #: Upright, as people and trainings see it.
    width: int
    height: int
    sha256: str
    size_bytes: int
    #: Holds EXIF, XMP or IPTC data: an orientation, a place, a camera.
    has_exif: bool

    @property
    def ending(self) -> str:
        return ENDINGS[self.format]

    @property
    def is_trainable(self) -> bool:
        """Whether a training can read the file as it is."""
        return self.format in TRAINABLE and not self.has_exif


def examine(file: IO[bytes]) -> Facts:
    """Decodes the whole file once. Raises ``RefusedImage``."""
    size = _size(file)
    if size > settings.MAX_IMAGE_BYTES:
        raise RefusedImage(
            f"The file has {size / 1e6:.0f} MB; at most {settings.MAX_IMAGE_BYTES / 1e6:.0f} MB are taken."
        )
    _refuse_polyglots(file)
    with opened(file) as image:
        kind = str(image.format)
        try:
            has_exif = bool(image.getexif()) or any(key in _METADATA for key in image.info)
            width, height = ImageOps.exif_transpose(image).size
        except _BROKEN as error:
            raise RefusedImage(f"The picture's EXIF data is broken: {_reason(error)}.") from None
    return Facts(kind, width, height, sha256_of(file), size, has_exif)


def sha256_of(file: IO[bytes]) -> str:
    """Hash of the whole file, in hex; the file is at its end afterwards."""
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(1024 * 1024):
        digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def opened(file: IO[bytes]) -> Iterator[Image.Image]:
    """The picture, decoded to its end. Raises ``RefusedImage`` for anything that isn't one."""
    file.seek(0)
    with _DECODING:
        try:
            image = Image.open(file, formats=list(ENDINGS))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise RefusedImage(_too_large("")) from None
        except UnidentifiedImageError:
            raise RefusedImage(f"This is no picture we read: {READABLE_NAMES}.") from None
        except _BROKEN as error:
            raise RefusedImage(f"The picture is broken: {_reason(error)}.") from None
        with image:
            width, height = image.size
            if width * height > settings.MAX_IMAGE_PIXELS:
                raise RefusedImage(_too_large(f"{width} × {height} pixels: "))
            if min(width, height) < MIN_SIDE:
                raise RefusedImage(f"The picture is only {width} × {height} pixels.")
            if getattr(image, "n_frames", 1) > 1 and image.format != "HEIF":
                raise RefusedImage("The file is an animation; save one frame as a picture.")
            try:
                image.load()
            except _BROKEN as error:
                raise RefusedImage(f"The picture is broken: {_reason(error)}.") from None
            yield image


def small_webp(picture: Image.Image) -> bytes:
    """The thumbnail of an ``upright`` picture."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=80, method=4)
    return buffer.getvalue()


def trainable_copy(file: IO[bytes]) -> tuple[bytes, str]:
    """What a training reads instead of the file, and its ending. Raises ``RefusedImage``."""
    with opened(file) as image:
        pixels, profile = upright(image), image.info.get("icc_profile")
        lossless = image.format in ("PNG", "WEBP")
    buffer = BytesIO()
    if lossless:
        pixels.save(buffer, "PNG", icc_profile=profile)
    else:
        pixels.save(buffer, "JPEG", quality=95, subsampling=0, icc_profile=profile)
    return buffer.getvalue(), ".png" if lossless else ".jpg"


def upright(image: Image.Image) -> Image.Image:
    """A copy in RGB, turned as its EXIF data says, transparent parts white, without any metadata."""
    turned = ImageOps.exif_transpose(image)
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        flat = Image.new("RGB", turned.size, "white")
        flat.paste(turned, mask=turned.getchannel("A"))
    else:
        flat = turned.convert("RGB") if turned.mode != "RGB" else turned.copy()
    flat.info = {}
    return flat


def _refuse_polyglots(file: IO[bytes]) -> None:
    size = _size(file)
    file.seek(0)
    edges = file.read(_EDGE)
    file.seek(max(0, size - _EDGE))
    edges = (edges + file.read(_EDGE)).lower()
    if any(mark in edges for mark in _FOREIGN):
        raise RefusedImage("The file holds a web page, SVG or PDF; export it as PNG or JPEG.")
    file.seek(0)
    if zipfile.is_zipfile(file):
        raise RefusedImage("The file is an archive as well as a picture; save the picture again.")


def _size(file: IO[bytes]) -> int:
    return file.seek(0, 2)


def _too_large(found: str) -> str:
    limit = settings.MAX_IMAGE_PIXELS // 1_000_000
    return f"{found}more than {limit} megapixels are not decoded; scale it down."


def _reason(error: BaseException) -> str:
    """One short line without paths or addresses in memory."""
    text = str(error).split("\n")[0][:100].split(" <")[0]
    return text or type(error).__name__
