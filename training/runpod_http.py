"""Manners of talking to the endpoint: settings, what each failure means, patience, whole answers."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import httpx
from httpx_retries import Retry

from training.job_report import (
    JobReport,
    UnknownJobStateError,
    error_text,
    parse_report,
    same_job,
)
from training.strict_json import UnreadableReportError, json_object

_LARGEST_ANSWER = 25_000_000


class RunPodError(Exception):
    """What went wrong, in one line that a person can act on."""


class Unauthorized(RunPodError):
    """401 or 403: the key is wrong or may not use this endpoint."""


class NotFound(RunPodError):
    """404: no such job (not yet registered, past its ttl, or forgotten), or no such endpoint."""


class RateLimited(RunPodError):
    """429: come back after ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float = 10) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(RunPodError):
    """No usable answer: unreachable, 5xx, a web page, a cut or endless body. Later it may work."""


class UnknownState(Unavailable):
    """A readable answer in a state that the documentation does not know."""


class Rejected(RunPodError):
    """This request will never work as it is: 400, a body too large, a wrong address."""


class SubmissionNotSent(RunPodError):
    """The endpoint was not reached: surely not accepted, so it may be sent again."""


class SubmissionUnknown(RunPodError):
    """Sent, but the answer is lost: it may have been accepted, so it must not be sent again by itself."""


@dataclass(frozen=True)
class RunPodConfig:
    """Where the endpoint is and how patient to be, in seconds. ``base_url`` ends in ``/v2``."""

    base_url: str
    endpoint_id: str
    api_key: str = field(repr=False)
    connect_timeout: float = 5
    read_timeout: float = 20
    #: For a whole answer, however slowly it drips.
    answer_timeout: float = 30
    retries: int = 3
    #: Doubles from try to try, with jitter.
    backoff: float = 0.5
    #: A Retry-After beyond this ends in RateLimited at once: no task may sleep long.
    longest_wait: float = 10

    def __post_init__(self) -> None:
        # httpx would put a bad header's value, and with it the key, into its message.
        if not self.api_key or not self.api_key.isascii() or not self.api_key.isprintable():
            raise ValueError("RUNPOD_API_KEY must be plain characters without line breaks.")
        if urlsplit(self.base_url).scheme not in ("http", "https") or not urlsplit(self.base_url).hostname:
            raise ValueError("RUNPOD_BASE_URL must be an address like https://api.runpod.ai/v2.")

    @property
    def url(self) -> str:
        return f"{self.base_url.rstrip('/')}/{quote(self.endpoint_id, safe='')}"

    @property
    def timeout(self) -> httpx.Timeout:
        return httpx.Timeout(self.read_timeout, connect=self.connect_timeout)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}", "Accept": "application/json"}


@cache
def certificates() -> ssl.SSLContext:
    """Read once: it takes longer than most calls."""
    return httpx.create_ssl_context()


class WholeAnswers(httpx.BaseTransport):
    """Reads each answer to its end inside the transport, so that a cut body is retried like a lost one.

    Bounded in time and size: httpx's read time-out starts anew with every byte that drips in.
    """

    def __init__(self, config: RunPodConfig) -> None:
        self._transport = httpx.HTTPTransport(verify=certificates())
        self._seconds = config.answer_timeout

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + self._seconds
        response = self._transport.handle_request(request)
        body = bytearray()
        try:
            for chunk in response.iter_raw():
                body += chunk
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer drips too slowly", request=request)
                if len(body) > _LARGEST_ANSWER:
                    raise httpx.DecodingError("the answer is too large", request=request)
        finally:
            response.close()
        return httpx.Response(response.status_code, headers=response.headers, content=bytes(body))

    def close(self) -> None:
        self._transport.close()


class PatientRetry(Retry):
    """Backoff with jitter. A Retry-After too long to sit out ends the tries; it is never cut short."""

    def parse_retry_after(self, retry_after: str) -> float:
        seconds = super().parse_retry_after(retry_after)
        if seconds > self.max_backoff_wait:
            raise RateLimited(f"The endpoint asks to come back in {seconds:.0f} s.", seconds)
        return seconds


def patience(config: RunPodConfig) -> Retry:
    """For calls that may be repeated. POST is among them for ``/cancel``: submitting goes another way."""
    return PatientRetry(
        total=config.retries,
        allowed_methods=("GET", "POST"),
        status_forcelist=(429, 500, 502, 503, 504),
        backoff_factor=config.backoff,
        backoff_jitter=0.5,
        max_backoff_wait=config.longest_wait,
    )


def check(response: httpx.Response, config: RunPodConfig) -> None:
    """Raises what an answer other than 2xx means."""
    code = response.status_code
    if response.is_success:
        return
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Unauthorized(f"The endpoint refuses the key ({code}): check RUNPOD_API_KEY.")
    if code == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimited("The endpoint asks for fewer requests (429).", _retry_after(response))
    if code >= HTTPStatus.INTERNAL_SERVER_ERROR or _is_page(response):
        # A page with 404 comes from some proxy: it says nothing about the job.
        raise Unavailable(f"The endpoint has trouble (HTTP {code}).")
    if code == HTTPStatus.NOT_FOUND:
        raise NotFound(f"The endpoint {config.endpoint_id} does not know this (404).")
    if response.is_redirect:
        raise Rejected(f"The endpoint's address redirects (HTTP {code}): correct RUNPOD_BASE_URL.")
    raise Rejected(f"The endpoint rejects the request (HTTP {code}): {_detail(response, config)}")


def read_report(response: httpx.Response, config: RunPodConfig, job_id: str) -> JobReport:
    """The report in an answer about this job, or what went wrong."""
    check(response, config)
    try:
        report = parse_report(response.content)
    except UnknownJobStateError as error:
        raise UnknownState(str(error)) from error
    except UnreadableReportError as error:
        raise Unavailable(f"{config.url} does not answer like RunPod: {error}") from error
    if not same_job(report.id, job_id):
        raise Unavailable(f"The endpoint was asked about job {job_id} and answered about {report.id}.")
    return report


def unreachable(config: RunPodConfig, error: Exception) -> str:
    return f"{config.url} gives no answer ({kind(error)}): is the endpoint up and its address right?"


def kind(error: Exception) -> str:
    """The failure in words, without httpx's own text: that may hold what we sent."""
    match error:
        case httpx.ConnectTimeout():
            return "no connection in time"
        case httpx.ConnectError():
            return "no connection"
        case httpx.TimeoutException() | TimeoutError():
            return "timed out"
        case _:
            return "the connection broke"


def _retry_after(response: httpx.Response) -> float:
    try:
        return Retry().parse_retry_after(response.headers.get("Retry-After", ""))
    except ValueError:
        return 10.0


def _is_page(response: httpx.Response) -> bool:
    return "html" in response.headers.get("Content-Type", "") or response.content[:50].lstrip()[:1] == b"<"


def _detail(response: httpx.Response, config: RunPodConfig) -> str:
    try:
        data = json_object(response.content)
        text = error_text(data.get("error")) or error_text(data.get("message")) or ""
    except UnreadableReportError:
        text = response.text
    # Some servers quote the request in their answer.
    return " ".join(text.replace(config.api_key, "…").split())[:300] or "no reason given"
