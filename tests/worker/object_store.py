"""An object store of one process: takes signed GETs and PUTs over HTTP, and can be told to fail."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

SIGNATURE = "X-Signature=do-not-log-me"


class ObjectStore:
    """``files`` by path. ``faults`` maps "METHOD /path" to the statuses to answer first; -1 hangs."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[int]] = {}
        self.calls: Counter[str] = Counter()
        self.stopped = threading.Event()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if (path := self.checked()) is not None:
                    content = store.files.get(path)
                    self.reply(404 if content is None else 200, content or b"")

            def do_PUT(self) -> None:
                assert "content-length" in self.headers, "S3 refuses chunked uploads"
                body = self.rfile.read(int(self.headers["content-length"]))
                if (path := self.checked()) is not None:
                    store.files[path] = body
                    self.reply(200)

            def checked(self) -> str | None:
                parts = urlsplit(self.path)
                call = f"{self.command} {parts.path}"
                store.calls[call] += 1
                if parts.query != SIGNATURE:
                    self.reply(403)
                    return None
                faults = store.faults.get(call)
                if faults:
                    if (status := faults.pop(0)) == -1:
                        store.stopped.wait(30)
                    else:
                        self.reply(status)
                    return None
                return parts.path

            def reply(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def signed(self, path: str) -> str:
        """A URL that works."""
        return f"{self.url}{path}?{SIGNATURE}"


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStore]:
    """A store that is served while the block runs."""
    store = ObjectStore()
    thread = threading.Thread(target=store.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        store.stopped.set()
        store.server.shutdown()
        time.sleep(0.05)
        store.server.server_close()


def training_input(store: ObjectStore, name: str, **config: Any) -> dict[str, Any]:
    """A job's input as the site builds it: two images, one prompt, samples at steps 0 and 4 of 4."""
    for image in ("one.png", "two.png"):
        store.files[f"/images/{image}"] = f"pixels of {image}".encode()
    images = [
        {
            "s3_url": f"s3://bucket/images/{image}",
            "download_url": store.signed(f"/images/{image}"),
            "caption": f"portrait of 0007, {image}",
        }
        for image in ("one.png", "two.png")
    ]
    parameters = {
        "learning_rate": 0.002, "max_train_steps": 4, "network_dim": 8, "network_alpha": 8,
        "class_tokens": "0007", "batch_size": 2, "num_repeats": 1, "lr_scheduler": "cosine",
        "lr_warmup_steps": 0, "optimizer_type": "adamw8bit", "gradient_dtype": "bf16",
    }  # fmt: skip
    samples = [
        {
            "step": step,
            "prompt": 0,
            "put_url": store.signed(f"/out/{name}/{step}.png"),
            "url": f"{store.url}/out/{name}/{step}.png",
        }
        for step in (0, 4)
    ]
    return {
        "workflow": {},
        "training_data": {"s3_urls": [image["s3_url"] for image in images], "images": images},
        "training_config": {
            "mode": "custom-actors", "user_id": "u", "tenant_id": "t",
            "request_id": f"request of {name}", "model_name": name,
            "learning_rate": 0.002, "max_train_steps": 4,
            "parameters": parameters, "base_model": "embedded", "seed": 42,
            "dataset_fingerprint": "sha256:0", "sample_steps": [0, 4],
            "sample_prompts": [{"prompt": "portrait of 0007", "seed": 1000}],
            "uploads": {
                "lora": {
                    "put_url": store.signed(f"/out/{name}.safetensors"),
                    "url": f"{store.url}/out/{name}.safetensors",
                },
                "samples": samples,
            },
            **config,
        },
    }  # fmt: skip
