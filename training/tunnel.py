"""A public address for a machine that has none: an ngrok tunnel, held by a process of its own.

No training needs it, because the sweep carries everything: with it webhooks arrive, and a RunPod worker
can reach files that lie on this machine. ``manage.py tunnel`` holds the tunnel; page and API start and
stop that process. What runs stands in ``var/tunnel.json``, so every process of the site can tell.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from django.conf import settings

START_SECONDS = 20


class TunnelError(Exception):
    """Why there is no tunnel, and what to do about it."""


@dataclass(frozen=True)
class Status:
    """What ``/api/ngrok/status`` answers. ``pid`` is the process that holds the tunnel."""

    running: bool
    url: str = ""
    pid: int = 0
    #: What stands in the way of a start; empty when nothing does.
    obstacle: str = ""


def state_file() -> Path:
    """Where the running tunnel is written down."""
    return Path(settings.VAR_DIR) / "tunnel.json"


def obstacle() -> str:
    """Why a tunnel can't start here; empty when it can."""
    if find_spec("ngrok") is None:
        return "The ngrok package is not installed: pip install ngrok"
    if not settings.NGROK_AUTHTOKEN:
        return "NGROK_AUTHTOKEN is not set. Copy yours from dashboard.ngrok.com, and set it in .env."
    return ""


def status() -> Status:
    """The tunnel as it is now; a file that a killed process left behind does not count."""
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
        found = Status(**json.loads(state_file().read_text()))
        if _is_tunnel(found.pid):
            return found
    return Status(running=False, obstacle=obstacle())


def public_url() -> str:
    """Where the outside reaches this site: the tunnel while it runs, else ``PUBLIC_URL``."""
    found = status()
    return found.url if found.running else str(settings.SITE_URL)


def start() -> Status:
    """Starts the holding process and waits until it has an address. Twice is once. Raises ``TunnelError``."""
    found = status()
    if found.running:
        return found
    if found.obstacle:
        raise TunnelError(found.obstacle)
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "tunnel"]
    child = subprocess.Popen(
        command,
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if (found := status()).running:
            return found
        if child.poll() is not None:
            said = child.stderr.read().decode(errors="replace").strip() if child.stderr else ""
            raise TunnelError(said.splitlines()[-1] if said else "The tunnel ended at once.")
        time.sleep(0.1)
    child.kill()
    raise TunnelError(f"ngrok gave no address within {START_SECONDS} s. Is this machine on the internet?")


def stop() -> Status:
    """Ends the holding process, if there is one."""
    found = status()
    if found.running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while _is_tunnel(found.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
    state_file().unlink(missing_ok=True)
    return status()


def hold() -> str:
    """Opens the tunnel in this process and writes it down. The address. Raises ``TunnelError``."""
    if status().running:
        raise TunnelError(f"A tunnel runs already: {status().url}")
    if why := obstacle():
        raise TunnelError(why)
    target = urlsplit(settings.SITE_URL)
    address = f"{target.hostname}:{target.port or (443 if target.scheme == 'https' else 80)}"
    options = {"domain": settings.NGROK_DOMAIN} if settings.NGROK_DOMAIN else {}
    try:
        # An optional extra without types.
        listener = import_module("ngrok").forward(address, authtoken=settings.NGROK_AUTHTOKEN, **options)
        url = str(listener.url())
    except (ValueError, RuntimeError, OSError) as error:
        raise TunnelError(_why(error)) from None
    record = Status(running=True, url=url, pid=os.getpid())
    state_file().parent.mkdir(parents=True, exist_ok=True)
    state_file().write_text(json.dumps(asdict(record)))
    return url


def _why(error: Exception) -> str:
    """The SDK's error in a line without the token."""
    text = " ".join(str(part) for part in error.args).replace(settings.NGROK_AUTHTOKEN, "…")
    if "authentication failed" in text or "ERR_NGROK_1" in text:
        return f"ngrok refuses NGROK_AUTHTOKEN: check it at dashboard.ngrok.com. ({text[:200]})"
    return f"ngrok can't be reached ({text[:200]}). Trainings go on without a tunnel: the sweep follows them."


def _is_tunnel(pid: int) -> bool:
    """Whether the process lives and is ours, not another one that got its number."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2:-1] == [b"tunnel"]
    except OSError:
        pass
    if Path("/proc").is_dir() or not pid:
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Reach:
    """Whether a webhook of RunPod can arrive."""

    state: str  # yes, no, unknown
    says: str


def reach() -> Reach:
    """Looks at the public address, and calls it where it is one. The sweep needs none of this."""
    url = public_url()
    host = urlsplit(url).hostname or ""
    carries = "The sweep follows trainings all the same."
    if settings.LOCAL_ENDPOINT:
        return Reach("yes", "The local endpoint runs on this machine: its webhooks need no public address.")
    if _is_private(host):
        return Reach("no", f"{url} is not public, so RunPod's webhooks can't arrive. {carries}")
    try:
        answer = httpx.get(f"{url}/healthz", timeout=5, headers={"ngrok-skip-browser-warning": "1"})
        ours = (
            answer.headers.get("content-type", "").startswith("application/json") and "checks" in answer.text
        )
    except httpx.HTTPError as error:
        return Reach("no", f"{url} does not answer ({type(error).__name__}). {carries}")
    if ours:
        return Reach("yes", f"{url} answers, so webhooks arrive.")
    return Reach(
        "no", f"Something else than this site answers at {url} (HTTP {answer.status_code}). {carries}"
    )


def _is_private(host: str) -> bool:
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return host == "localhost" or host.endswith(".local")
    return all(not ipaddress.ip_address(str(address)).is_global for address in found)
