"""Answers that no well-behaved server gives, and a server that can give them.

Kinds: ``400``, ``401``, ``404`` and other codes as JSON · ``429`` with Retry-After · ``html`` (a web page
with 200) · ``html_404``, ``html_502`` · ``cut`` (half the body) · ``drip`` (byte by byte) · ``hang_up``
(closed without an answer) · ``silent`` (never answers) · ``unknown_state``.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

PAGE = "<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>"
#: Longer than any client of a test waits.
SILENCE = 30.0


def broken_answer(kind: str, whole: Mapping[str, Any], retry_after: str) -> Response:
    """``whole`` is what a good answer would have said."""
    match kind:
        case "html":
            return HTMLResponse(PAGE)
        case "html_404" | "html_502":
            return HTMLResponse(PAGE, int(kind.removeprefix("html_")))
        case "429":
            return JSONResponse({"error": "rate limited"}, 429, {"Retry-After": retry_after})
        case "unknown_state":
            return JSONResponse({**whole, "status": "HIBERNATING"})
        case "cut" | "drip" | "hang_up" | "silent":
            return _BrokenOff(kind, json.dumps(whole).encode())
        case _:
            return JSONResponse({"error": f"simulated {kind}"}, int(kind))


class _BrokenOff(Response):
    def __init__(self, kind: str, whole: bytes) -> None:
        super().__init__()
        self.kind, self.whole = kind, whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport = scope["transport"]
        if self.kind == "silent":
            await asyncio.sleep(SILENCE)
        if self.kind in ("hang_up", "silent"):
            transport.abort()
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(self.whole)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self.kind == "cut":
            half = self.whole[: len(self.whole) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            transport.close()
            return
        for position in range(len(self.whole)):
            byte = self.whole[position : position + 1]
            await send(
                {"type": "http.response.body", "body": byte, "more_body": position + 1 < len(self.whole)}
            )
            await asyncio.sleep(0.1)


class _OpenProtocol(H11Protocol):
    """Hands the connection to the application, so that it can hang up."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # always TCP
        super().connection_made(transport)
        inner = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, "transport": transport}, receive, send)

        self.app = with_transport


def _server(app: ASGIApp) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app, http=_OpenProtocol, log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
    )


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


@contextmanager
def serve_in_thread(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serves on a free port until the block ends; gives the address."""
    server, listener = _server(app), _listen(port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=5)
        listener.close()


def serve_until_stopped(app: ASGIApp, port: int) -> None:
    listener = _listen(port)
    _server(app).run(sockets=[listener])
