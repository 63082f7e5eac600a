"""The worker's transfers against a real S3 server, which checks every signature."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.s3_server import S3Server
from worker import transfers
from worker.order import ImageSource, JobFailedError, Upload


def sign(s3: S3Server, operation: str, key: str) -> str:
    client: Any = boto3.client(
        "s3",
        endpoint_url=s3.url,
        region_name="us-east-1",
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    return str(client.generate_presigned_url(operation, Params={"Bucket": s3.bucket, "Key": key}))


def download(source: ImageSource, folder: Path) -> Path:
    async def run() -> list[Path]:
        async with transfers.new_client() as client:
            return await transfers.download_images(client, [source], folder, pause=0.01)

    return asyncio.run(run())[0]


def upload(path: Path, put_url: str) -> None:
    async def run() -> None:
        async with transfers.new_client() as client:
            await transfers.upload(client, path, Upload(put_url, "where it lies"), pause=0.01)

    asyncio.run(run())


def test_signed_links_carry_a_file_up_and_down(s3: S3Server, tmp_path: Path) -> None:
    lora = tmp_path / "actor_7_V1.safetensors"
    lora.write_bytes(bytes(range(256)) * 3000)  # several chunks
    upload(lora, sign(s3, "put_object", "loras/actor_7_V1.safetensors"))
    link = sign(s3, "get_object", "loras/actor_7_V1.safetensors")
    copy = download(ImageSource("s3://b/loras/actor_7_V1.safetensors", link, "x"), tmp_path)
    assert copy.read_bytes() == lora.read_bytes()


def test_a_link_signed_for_another_file_is_refused(s3: S3Server, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"x")
    link = sign(s3, "put_object", "loras/a.safetensors").replace("a.safetensors", "b.safetensors")
    with pytest.raises(JobFailedError, match=r"a\.safetensors was refused \(403\)"):
        upload(tmp_path / "a.safetensors", link)
    assert not (s3.folder / "loras" / "b.safetensors").exists()


def test_without_a_link_the_workers_own_keys_read_the_image(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.png").write_bytes(b"pixels")
    upload(tmp_path / "one.png", sign(s3, "put_object", "images/one.png"))
    for name, value in {
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
    }.items():
        monkeypatch.setenv(name, value)
    copy = download(ImageSource(f"s3://{s3.bucket}/images/one.png", None, "x"), tmp_path)
    assert copy.read_bytes() == b"pixels"
    with pytest.raises(
        JobFailedError, match=r"Image two\.png failed: there is nothing at its address \(404\)"
    ):
        download(ImageSource(f"s3://{s3.bucket}/images/two.png", None, "x"), tmp_path)
