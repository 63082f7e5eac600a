"""Images in, LoRA and samples out: streaming, with limits, retries and time-outs.

No message and no log line holds a signed URL, nor a library's own error text, which might quote one.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import httpx

from worker.draw_order import LoraSource
from worker.order import ImageSource, JobFailedError, Upload

MAX_IMAGE_BYTES = 50_000_000
MAX_LORA_BYTES = 4_000_000_000
AT_ONCE = 4
ATTEMPTS = 4
CHUNK = 256 * 1024
DOWNLOAD_SECONDS = 300
UPLOAD_SECONDS = 1800
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Location(NamedTuple):
    """An object in S3."""

    bucket: str
    key: str


def new_client() -> httpx.AsyncClient:
    """For all transfers of one job."""
    return httpx.AsyncClient(timeout=httpx.Timeout(60, connect=15))


async def download_images(
    client: httpx.AsyncClient, sources: list[ImageSource], folder: Path, *, pause: float = 1.0
) -> list[Path]:
    """Copies of all images, in order. The first that fails ends the others."""
    gate = asyncio.Semaphore(AT_ONCE)
    s3 = _Keys()

    async def fetch(number: int, source: ImageSource) -> Path:
        path = folder / f"{number:04d}" / source.name  # the trainer names a bad image as its owner does
        path.parent.mkdir(exist_ok=True)
        async with gate:
            if source.download_url is None:
                await asyncio.to_thread(s3.download, source, path)
            else:
                await _patiently(
                    lambda: _get(client, source, path), f"Image {source.name}", DOWNLOAD_SECONDS, pause
                )
        return path

    tasks = [asyncio.create_task(fetch(number, source)) for number, source in enumerate(sources, 1)]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def download_lora(
    client: httpx.AsyncClient, source: LoraSource, path: Path, *, pause: float = 1.0
) -> None:
    """A copy of a LoRA."""
    what = f"The LoRA {source.name}"

    async def attempt() -> None:
        await _fetch(
            client,
            source.download_url,
            path,
            what,
            most=MAX_LORA_BYTES,
            missing="it is no longer in the object store",
            too_large="train one with a smaller network_dim",
        )

    await _patiently(attempt, what, DOWNLOAD_SECONDS, pause)


async def upload(client: httpx.AsyncClient, path: Path, target: Upload, *, pause: float = 1.0) -> None:
    """One PUT of the file's bytes; repeating it is safe, the address takes the same file again."""
    size = await asyncio.to_thread(lambda: path.stat().st_size)
    await _patiently(
        lambda: _put(client, path, size, target), f"The upload of {path.name}", UPLOAD_SECONDS, pause
    )


class _RetryError(Exception):
    """Worth another attempt; the text says what happened."""


async def _patiently(attempt: Callable[[], Awaitable[None]], what: str, seconds: float, pause: float) -> None:
    """Runs ``attempt`` up to ``ATTEMPTS`` times, all of it within ``seconds``."""
    why = "no answer"
    try:
        async with asyncio.timeout(seconds):
            for number in range(ATTEMPTS):
                try:
                    return await attempt()
                except (_RetryError, httpx.TransportError) as error:
                    why = str(error) if isinstance(error, _RetryError) else type(error).__name__
                if number < ATTEMPTS - 1:
                    await asyncio.sleep(pause * 2**number)
    except TimeoutError:
        why = f"not done after {seconds:g} s"
    except httpx.InvalidURL:
        raise JobFailedError(f"{what} failed: its signed URL is no valid URL.") from None
    raise JobFailedError(
        f"{what} failed after {ATTEMPTS} attempts ({why}): check the object store, then launch again."
    )


async def _get(client: httpx.AsyncClient, source: ImageSource, path: Path) -> None:
    what = f"Image {source.name}"
    link = source.download_url or ""
    await _fetch(
        client, link, path, what, most=MAX_IMAGE_BYTES, missing="sync the dataset", too_large="scale it down"
    )


async def _fetch(
    client: httpx.AsyncClient, link: str, path: Path, what: str, *, most: int, missing: str, too_large: str
) -> None:
    async with client.stream("GET", link, follow_redirects=True) as response:
        _check(response.status_code, what, missing=missing)
        size = 0
        with path.open("wb") as file:
            async for chunk in response.aiter_bytes(CHUNK):
                size += len(chunk)
                if size > most:
                    raise JobFailedError(f"{what} is larger than {most // 1_000_000} MB: {too_large}.")
                file.write(chunk)
    if size == 0:
        raise JobFailedError(f"{what} is empty: upload it again.")


async def _put(client: httpx.AsyncClient, path: Path, size: int, target: Upload) -> None:
    async def body() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    # S3 refuses chunked transfer, hence the length; a content type would have to be in the signature.
    headers = {"content-length": str(size)}
    response = await client.put(target.put_url, content=body(), headers=headers)
    _check(response.status_code, f"The upload of {path.name}", missing="check the bucket's name")


def _check(status: int, what: str, *, missing: str) -> None:
    if status in RETRIED:
        raise _RetryError(f"answered {status}")
    if status == 404:
        raise JobFailedError(
            f"{what} failed: there is nothing at its address (404): {missing}, then launch again."
        )
    if status in (401, 403):
        raise JobFailedError(
            f"{what} was refused ({status}): the signed URL has expired, or its key lacks the permission."
            " Launch again."
        )
    if not 200 <= status < 300:
        raise JobFailedError(f"{what} failed: the object store answered {status}.")


def parse_location(url: str) -> Location:
    """Bucket and key of ``s3://``, virtual-hosted and path-style URLs."""
    parts = urlsplit(url)
    host, path = parts.netloc, unquote(parts.path).lstrip("/")
    if parts.scheme == "s3":
        return Location(host, path)
    if hosted := re.fullmatch(r"(.+)\.s3[.-][\w.-]*amazonaws\.com", host):
        return Location(hosted[1], path)
    bucket, _, key = path.partition("/")
    return Location(bucket, key)


class _Keys:
    """Reads by the worker's own AWS keys, for callers that sign nothing."""

    def __init__(self) -> None:
        self._client: Any = None

    def download(self, source: ImageSource, path: Path) -> None:
        """Blocks; runs in a thread."""
        import boto3  # slow to import, and most workers never need it
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        if self._client is None:
            session = boto3.Session()
            if session.get_credentials() is None:
                raise JobFailedError(
                    f"Image {source.name} has no download_url and this worker has no AWS keys: "
                    "send training_data.images with signed links."
                )
            config = Config(
                signature_version="s3v4",
                connect_timeout=15,
                read_timeout=60,
                retries={"max_attempts": ATTEMPTS},
            )
            self._client = session.client("s3", config=config)
        location = parse_location(source.s3_url)
        try:
            size = self._client.head_object(Bucket=location.bucket, Key=location.key)["ContentLength"]
            if size > MAX_IMAGE_BYTES:
                limit = MAX_IMAGE_BYTES // 1_000_000
                raise JobFailedError(f"Image {source.name} is larger than {limit} MB: scale it down.")
            self._client.download_file(location.bucket, location.key, str(path))
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            _check(status, f"Image {source.name}", missing="sync the dataset")
            raise JobFailedError(f"Image {source.name} could not be read from S3 ({status}).") from None
        except (BotoCoreError, _RetryError) as error:
            raise JobFailedError(
                f"Image {source.name} could not be read from S3 ({type(error).__name__})."
            ) from None
