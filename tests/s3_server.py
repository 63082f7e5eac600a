"""An S3 server for tests: ``rclone serve s3`` over a folder, with a key pair it really checks."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RCLONE = Path(sys.executable).with_name("rclone")


@dataclass(frozen=True)
class S3Server:
    url: str
    bucket: str
    access_key: str
    secret_key: str
    #: Where the objects lie as files.
    folder: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serve_s3(folder: Path, origin: str = "") -> Iterator[S3Server]:
    """Over a folder; pages of ``origin`` may send to it, as a bucket's CORS rules would allow."""
    bucket = folder / "actors-bucket"
    bucket.mkdir(parents=True)
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}", bucket.name, "test-access-key", "test-secret-key", bucket)
    command = [
        str(RCLONE),
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--vfs-cache-mode",
        "off",
        "--no-checksum",
    ]
    command += ["--auth-key", f"{server.access_key},{server.secret_key}", "--config", "", str(folder)]
    command += ["--allow-origin", origin] if origin else []
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            message = f"rclone stopped with code {process.returncode}"
            raise RuntimeError(message)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    message = f"rclone does not answer on port {port}"
    raise TimeoutError(message)
