"""Fetching a picture from a URL that a person has typed, without becoming their tool.

Only hosts of ``IMAGE_URL_HOSTS``, only public addresses. The name is looked up once and the connection
goes to that very address, so a DNS answer that changes meanwhile changes nothing; each redirect is
checked like the first URL.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import IO
from urllib.parse import urljoin, urlsplit

import httpx
from django.conf import settings

MAX_REDIRECTS = 3
TIMEOUT = httpx.Timeout(20.0, connect=5.0)
_OPEN_IPV6 = ipaddress.ip_network("2000::/3")
Resolver = Callable[[str, int], str]


class RefusedUrl(Exception):
    """The URL is not fetched, or gave no file; the message says why."""


def fetch(url: str, target: IO[bytes], *, resolve: Resolver | None = None) -> None:
    """Writes what lies at the URL. Raises ``RefusedUrl``."""
    for _ in range(MAX_REDIRECTS + 1):
        onward = _fetch_once(url, target, resolve or public_address)
        if onward is None:
            return
        url = urljoin(url, onward)
    raise RefusedUrl(f"More than {MAX_REDIRECTS} redirects.")


def check(url: str) -> tuple[str, int]:
    """Host and port of a URL we may ask. The setting lists hosts, meaning https, or whole origins."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port or {"http": 80}.get(parts.scheme, 443)
    except ValueError:
        raise RefusedUrl("This is no URL.") from None
    if not settings.IMAGE_URL_HOSTS:
        raise RefusedUrl("Imports by URL are off: name the hosts in IMAGE_URL_HOSTS.")
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise RefusedUrl("Only plain https:// URLs are fetched.")
    allowed = {entry if "://" in entry else f"https://{entry}" for entry in settings.IMAGE_URL_HOSTS}
    if f"{parts.scheme}://{parts.netloc.rstrip('.').lower()}" not in allowed:
        raise RefusedUrl(f"{host} is not among the hosts that images are imported from.")
    return host, port


def public_address(host: str, port: int) -> str:
    """One address of the host. All of them must be public: a mixed answer is an attack or a mistake."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise RefusedUrl(f"{host} has no address.") from None
    addresses = [str(answer[4][0]) for answer in answers]
    for address in addresses:
        if not is_public(address):
            raise RefusedUrl(f"{host} leads to a private address; such are never asked.")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an address lies in the open Internet, also when IPv6 only wraps an IPv4 address."""
    parsed = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        # All the open Internet of today lies in 2000::/3; outside are translators such as 64:ff9b::/96.
        return is_public(str(inner)) if inner else parsed in _OPEN_IPV6 and parsed.is_global
    return parsed.is_global and not parsed.is_multicast


def _fetch_once(url: str, target: IO[bytes], resolve: Resolver) -> str | None:
    """Writes the file, or returns where the answer redirects to."""
    host, port = check(url)
    address = resolve(host, port)
    parts = urlsplit(url)
    literal = f"[{address}]" if ":" in address else address
    pinned = parts._replace(netloc=f"{literal}:{port}", fragment="").geturl()
    headers = {"Host": parts.netloc, "User-Agent": "ActorTrain", "Accept": "image/*"}
    try:
        with (
            httpx.Client(timeout=TIMEOUT, trust_env=False) as client,
            client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": host}) as answer,
        ):
            if answer.is_redirect:
                return answer.headers["Location"]
            if answer.status_code != httpx.codes.OK:
                raise RefusedUrl(f"{host} answered {answer.status_code}.")
            written = 0
            for chunk in answer.iter_bytes(64 * 1024):
                written += len(chunk)
                if written > settings.MAX_IMAGE_BYTES:
                    raise RefusedUrl(f"The file is larger than {settings.MAX_IMAGE_BYTES / 1e6:.0f} MB.")
                target.write(chunk)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RefusedUrl(f"{host} gave no file: {type(error).__name__}.") from None
    return None
