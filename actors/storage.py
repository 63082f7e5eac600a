"""The object store: its addresses in every spelling, and signed links into it.

Files lie in S3 (``S3_BUCKET``) or, by default, under ``var/media``; then the bucket is called
``local`` and the links go through this site's own ``/files/`` view. Either way a link is signed
and expires, and a worker needs no keys: it reads and writes by link.
"""

from __future__ import annotations

import mimetypes
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple, cast
from urllib.parse import quote, unquote, urlsplit

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core import signing
from django.core.files.storage import default_storage
from django.urls import reverse

LOCAL_BUCKET = "local"
#: Keys below this are for holders of a signed link only, whatever their role.
PRIVATE = "private/"
#: Shown by browsers in place; everything else is a download, so that nothing runs as a page.
SHOWN_IN_PLACE = ("image/png", "image/jpeg", "image/webp", "image/avif")
_VIRTUAL_HOST = re.compile(
    r"^(?P<bucket>.+)\.s3(?:-accelerate|[.-][a-z0-9-]+)?(?:\.dualstack)?\.amazonaws\.com$"
)
_PATH_HOST = re.compile(r"^s3(?:-accelerate|[.-][a-z0-9-]+)?(?:\.dualstack)?\.amazonaws\.com$")


class Address(NamedTuple):
    """Where one object lies."""

    bucket: str
    key: str

    @property
    def s3(self) -> str:
        """``s3://bucket/key``, the spelling that the payload and the database use."""
        return f"s3://{self.bucket}/{self.key}"


def bucket_name() -> str:
    """The bucket this site writes to."""
    return settings.S3_BUCKET or LOCAL_BUCKET


def parse(url: str) -> Address | None:
    """The address behind any spelling of an S3 URL; ``None`` when it is not one.

    Understood: ``s3://bucket/key``, virtual-hosted (``bucket.s3.region``, ``bucket.s3-accelerate``),
    path-style (``s3-accelerate.amazonaws.com/bucket/key``), the store's endpoint, this site's ``/files/``.
    """
    parts = urlsplit(url.strip())
    host, path = parts.netloc.lower(), parts.path.lstrip("/")
    bucket, _, key = path.partition("/")
    if parts.scheme == "s3":
        return Address(parts.netloc, path) if path else None
    if parts.scheme not in ("http", "https"):
        return None
    if match := _VIRTUAL_HOST.match(host):
        return Address(match["bucket"], unquote(path)) if path else None
    own_hosts = {urlsplit(settings.S3_ENDPOINT_URL).netloc.lower()} if settings.S3_ENDPOINT_URL else set()
    if (_PATH_HOST.match(host) or host in own_hosts) and bucket and key:
        return Address(bucket, unquote(key))
    if url.startswith(f"{settings.SITE_URL}/files/") and key:
        return Address(LOCAL_BUCKET, unquote(key))
    return None


def public_url(address: Address) -> str:
    """The https spelling that consumers of the registry read: virtual-hosted on AWS."""
    key = quote(address.key)
    if address.bucket == LOCAL_BUCKET and not settings.S3_BUCKET:
        return f"{settings.SITE_URL}{reverse('file', args=[address.key])}"
    if settings.S3_ENDPOINT_URL and address.bucket == settings.S3_BUCKET:
        return f"{settings.S3_ENDPOINT_URL.rstrip('/')}/{address.bucket}/{key}"
    return f"https://{address.bucket}.s3.{settings.S3_REGION}.amazonaws.com/{key}"


def display_url(url: str) -> str:
    """Path-style AWS URLs in their virtual-hosted form; anything else as it is."""
    parts = urlsplit(url)
    if _PATH_HOST.match(parts.netloc.lower()):
        bucket, _, key = parts.path.lstrip("/").partition("/")
        if key:
            return f"https://{bucket}.{parts.netloc}/{key}"
    return url


def own(key: str) -> Address:
    """The address of a key in this site's bucket."""
    return Address(bucket_name(), key)


def served_type(key: str) -> str:
    """What a file is served as, by its name: a kind of picture, or bytes. Never a page."""
    kind = mimetypes.guess_type(key)[0] or ""
    return kind if kind in SHOWN_IN_PLACE else "application/octet-stream"


def download_link(url: str, seconds: int | None = None) -> str:
    """A signed GET link to an object; empty when this site has no way to reach it."""
    address = parse(url)
    if address is None:
        return url if url.startswith("https://") else ""
    return _link("get", address, seconds or settings.FILE_LINK_SECONDS)


def upload_link(key: str, seconds: int | None = None, size: int | None = None) -> str:
    """A signed link that takes one PUT of the file's bytes; of exactly ``size`` bytes when given."""
    return _link("put", own(key), seconds or settings.JOB_LINK_SECONDS, size)


def _link(method: str, address: Address, seconds: int, size: int | None = None) -> str:
    if settings.S3_BUCKET:
        operation = {"get": "get_object", "put": "put_object"}[method]
        params: dict[str, Any] = {"Bucket": address.bucket, "Key": address.key}
        if method == "get":
            params["ResponseContentType"] = served_type(address.key)
        if size is not None:
            params["ContentLength"] = size
        link: str = s3_client().generate_presigned_url(operation, Params=params, ExpiresIn=seconds)
        return link
    if address.bucket != LOCAL_BUCKET:
        return ""
    token = sign(method, address.key, seconds, size)
    path = reverse("file", args=[address.key])
    base = settings.SITE_URL if method == "put" or seconds != settings.FILE_LINK_SECONDS else ""
    return f"{base}{path}?token={token}"


def sign(method: str, key: str, seconds: int, size: int | None = None) -> str:
    """A token that allows one method on one key for some time, and a PUT of so many bytes only.

    The moment of expiry is rounded up to the hour, so that a page's links stay the same for a
    while and browsers keep what they have loaded. A link for less than an hour ends when it says.
    """
    expires = time.time() + seconds
    if seconds >= 3600:
        expires = -(-expires // 3600) * 3600
    return signing.dumps([method, key, int(expires), size], salt="actors.storage")


def token_allows(token: str, method: str, key: str, length: int | None = None) -> bool:
    """Whether the token was made here for this method, key and length, and has not expired."""
    try:
        allowed, for_key, expires, size = signing.loads(token, salt="actors.storage")
    except (signing.BadSignature, ValueError, TypeError):
        return False
    fits = size is None or length == size
    return bool(allowed == method and for_key == key and fits and expires > time.time())


@cache
def s3_client() -> BaseClient:
    """One client for the process; boto3 clients are safe to share between threads.

    Links name the bucket's host in its region, as the CSP does: a redirect from the global host would
    break a browser's upload. Other stores than AWS, and buckets with a dot, are addressed by path.
    """
    client: BaseClient = boto3.client(
        "s3",
        endpoint_url=settings.S3_ENDPOINT_URL,
        region_name=settings.S3_REGION,
        config=Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=30,
            retries={"max_attempts": 3},
            s3={"addressing_style": settings.S3_ADDRESSING, "us_east_1_regional_endpoint": "regional"},
        ),
    )
    return client


def size(url: str) -> int | None:
    """Bytes of the object, ``None`` when it is not there. Raises ``OSError`` when nobody here can say."""
    address = parse(url)
    if address is None or (not settings.S3_BUCKET and address.bucket != LOCAL_BUCKET):
        raise OSError(f"{url} is out of this site's reach.")
    if not settings.S3_BUCKET:
        return int(default_storage.size(address.key)) if default_storage.exists(address.key) else None
    try:
        head: dict[str, Any] = s3_client().head_object(Bucket=address.bucket, Key=address.key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
            return None
        raise OSError(f"The object store refused to look at {address.s3}: {error}") from error
    except BotoCoreError as error:
        raise OSError(f"The object store can't be reached: {error}") from error
    return int(head["ContentLength"])


@contextmanager
def opened(url: str, limit: int) -> Iterator[IO[bytes]]:
    """The object as a seekable file. ``FileNotFoundError`` when it is gone, ``OSError`` when out of reach.

    Also ``OSError`` when it has more bytes than the limit.
    """
    length = size(url)
    address = parse(url)
    if length is None or address is None:
        raise FileNotFoundError(f"{url} is not in the object store.")
    if length > limit:
        raise OSError(f"{url} has {length / 1e6:.0f} MB; at most {limit / 1e6:.0f} MB are read.")
    if not settings.S3_BUCKET:
        with default_storage.open(address.key) as file:
            yield file
        return
    with tempfile.SpooledTemporaryFile(max_size=4 * 1024 * 1024) as copy:
        try:
            s3_client().download_fileobj(address.bucket, address.key, copy)
        except (ClientError, BotoCoreError) as error:
            raise OSError(f"{url} can't be read: {error}") from error
        copy.seek(0)
        yield cast("IO[bytes]", copy)


def delete(url: str) -> None:
    """Removes an object of this site's own bucket; nothing happens when it is gone already."""
    address = parse(url)
    if address and address.bucket == bucket_name():
        default_storage.delete(address.key)


class Stored(NamedTuple):
    """What a listing says of one object."""

    size: int
    etag: str


def list_prefix(bucket: str, prefix: str) -> dict[str, Stored]:
    """Every object below a prefix by key, in one listing. Raises ``OSError`` when the store can't be asked.

    Files on disk have no ETag: size and time of the last change stand in for it.
    """
    if not settings.S3_BUCKET:
        root = Path(settings.MEDIA_ROOT)
        folder = (root / prefix).resolve()
        if bucket != LOCAL_BUCKET or not folder.is_relative_to(root.resolve()):
            raise OSError(f"s3://{bucket}/{prefix} is out of this site's reach.")
        found = [
            (path, path.stat()) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
        ]
        return {
            path.relative_to(root.resolve()).as_posix(): Stored(
                stat.st_size, f"{stat.st_size:x}-{stat.st_mtime_ns:x}"
            )
            for path, stat in found
        }
    try:
        pages = s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {
            entry["Key"]: Stored(entry["Size"], entry.get("ETag", "").strip('"'))
            for page in pages
            for entry in page.get("Contents", [])
        }
    except (ClientError, BotoCoreError) as error:
        raise OSError(f"s3://{bucket}/{prefix} can't be listed: {error}") from error


def save(key: str, content: Any) -> str:
    """Writes a file (a Django ``File``) under exactly this key; returns its ``s3://`` URL.

    Raises ``OSError`` when the store does not take it.
    """
    try:
        default_storage.save(key, content)
    except (ClientError, BotoCoreError) as error:
        raise OSError(f"{key} can't be stored: {error}") from error
    return own(key).s3
