"""What the site expects of an endpoint: one class of tests for the local endpoint and the simulator.

A test module subclasses :class:`EndpointContract` and has a fixture ``endpoint`` that returns an
:class:`EndpointUnderTest`: an endpoint with exactly one worker, which has nothing to do.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal

import httpx
import pytest

Outcome = Literal["succeed", "fail", "hang"]
FINISHED = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}
MISSING = "00000000-0000-4000-8000-000000000000-e1"


@dataclass
class EndpointUnderTest:
    """``job_input(outcome)`` is an input that makes the worker succeed with some output, fail with
    the error "as ordered", or report the progress ``{"step": 1}`` and then hang until it is stopped."""

    base_url: str
    key: str
    job_input: Callable[[Outcome], dict[str, Any]]
    patience: float = 20.0
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=self.base_url, headers={"Authorization": f"Bearer {self.key}"}, timeout=15
        )

    def run(self, outcome: Outcome, **body: Any) -> str:
        """Submits a job and returns its id."""
        response = self.client.post("/run", json={"input": self.job_input(outcome), **body})
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def status(self, job_id: str) -> dict[str, Any]:
        """The body of /status, or ``{"status": 404}``."""
        response = self.client.get(f"/status/{job_id}")
        return dict(response.json()) if response.status_code == 200 else {"status": response.status_code}

    def wait(self, job_id: str, *statuses: Any) -> dict[str, Any]:
        """Polls until the job has one of the statuses."""
        deadline = time.monotonic() + self.patience
        while (seen := self.status(job_id))["status"] not in statuses:
            assert time.monotonic() < deadline, f"{seen} instead of {statuses}"
            time.sleep(0.05)
        return seen

    def stop(self, job_id: str) -> None:
        """Frees the worker for the next test."""
        self.client.post(f"/cancel/{job_id}")
        assert self.status(job_id)["status"] == "CANCELLED"


class WebhookReceiver:
    """Listens on a free port; answers with ``statuses`` in turn, the last of them from then on."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses) or [200]
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.bodies.append(json.loads(body))
                receiver.times.append(time.monotonic())
                left = receiver.statuses
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/token"

    def wait(self, count: int, seconds: float = 15) -> list[dict[str, Any]]:
        """The bodies, once there are ``count``."""
        deadline = time.monotonic() + seconds
        while len(self.bodies) < count:
            assert time.monotonic() < deadline, f"{len(self.bodies)} webhook calls instead of {count}"
            time.sleep(0.05)
        return self.bodies


@contextlib.contextmanager
def webhook_receiver(*statuses: int) -> Iterator[WebhookReceiver]:
    """A receiver that is served while the block runs."""
    receiver = WebhookReceiver(*statuses)
    thread = threading.Thread(
        target=receiver.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()


class EndpointContract:
    """RunPod's hosted API as the site sees it."""

    long_policy: ClassVar[dict[str, int]] = {"executionTimeout": 600_000, "ttl": 3_600_000}

    def test_a_job_is_queued_then_completed_with_output_times_and_worker(
        self, endpoint: EndpointUnderTest
    ) -> None:
        response = endpoint.client.post("/run", json={"input": endpoint.job_input("succeed")})
        assert response.status_code == 200
        assert response.json()["status"] == "IN_QUEUE"
        job = endpoint.wait(response.json()["id"], "COMPLETED")
        assert job["id"] == response.json()["id"]
        assert job["output"]
        assert job["delayTime"] >= 0
        assert job["executionTime"] >= 0
        assert job["workerId"]
        assert "error" not in job

    def test_progress_stands_in_output_while_the_job_runs(self, endpoint: EndpointUnderTest) -> None:
        job_id = endpoint.run("hang", policy=self.long_policy)
        endpoint.wait(job_id, "IN_PROGRESS")
        deadline = time.monotonic() + endpoint.patience
        while endpoint.status(job_id).get("output") != {"step": 1}:
            assert time.monotonic() < deadline, endpoint.status(job_id)
            time.sleep(0.05)
        endpoint.stop(job_id)

    def test_a_failed_job_has_its_error_and_can_be_retried(self, endpoint: EndpointUnderTest) -> None:
        job_id = endpoint.run("fail")
        job = endpoint.wait(job_id, "FAILED")
        assert "as ordered" in job["error"]
        assert "output" not in job
        response = endpoint.client.post(f"/retry/{job_id}")
        assert response.status_code == 200
        assert response.json() == {"id": job_id, "status": "IN_QUEUE"}
        assert "as ordered" in endpoint.wait(job_id, "FAILED")["error"]

    def test_a_completed_job_can_neither_be_retried_nor_cancelled(self, endpoint: EndpointUnderTest) -> None:
        job_id = endpoint.run("succeed")
        done = endpoint.wait(job_id, "COMPLETED")
        assert endpoint.client.post(f"/retry/{job_id}").status_code == 400
        endpoint.client.post(f"/cancel/{job_id}")
        assert endpoint.status(job_id) == done

    def test_a_running_job_is_cancelled_and_cancelling_twice_changes_nothing(
        self, endpoint: EndpointUnderTest
    ) -> None:
        job_id = endpoint.run("hang", policy=self.long_policy)
        endpoint.wait(job_id, "IN_PROGRESS")
        for _ in range(2):
            response = endpoint.client.post(f"/cancel/{job_id}")
            assert response.status_code == 200
            assert response.json() == {"id": job_id, "status": "CANCELLED"}
        assert endpoint.status(job_id)["status"] == "CANCELLED"
        # The worker is free again.
        endpoint.wait(endpoint.run("succeed"), "COMPLETED")

    def test_a_waiting_job_is_cancelled_and_never_starts(self, endpoint: EndpointUnderTest) -> None:
        first = endpoint.run("hang", policy=self.long_policy)
        endpoint.wait(first, "IN_PROGRESS")
        second, third = endpoint.run("succeed"), endpoint.run("succeed")
        assert endpoint.status(second)["status"] == "IN_QUEUE"
        assert endpoint.client.post(f"/cancel/{second}").json()["status"] == "CANCELLED"
        endpoint.stop(first)
        endpoint.wait(third, "COMPLETED")
        cancelled = endpoint.status(second)
        assert cancelled["status"] == "CANCELLED"
        assert "executionTime" not in cancelled

    def test_an_unknown_job_is_404_everywhere(self, endpoint: EndpointUnderTest) -> None:
        assert endpoint.client.get(f"/status/{MISSING}").status_code == 404
        assert endpoint.client.post(f"/cancel/{MISSING}").status_code == 404
        assert endpoint.client.post(f"/retry/{MISSING}").status_code == 404

    @pytest.mark.parametrize("header", [None, "Bearer wrong", "wrong"])
    def test_without_the_right_key_everything_is_401(
        self, endpoint: EndpointUnderTest, header: str | None
    ) -> None:
        headers = {} if header is None else {"Authorization": header}
        with httpx.Client(base_url=endpoint.base_url, headers=headers) as stranger:
            assert stranger.post("/run", json={"input": endpoint.job_input("succeed")}).status_code == 401
            assert stranger.get(f"/status/{MISSING}").status_code == 401
            assert stranger.post(f"/cancel/{MISSING}").status_code == 401
            assert stranger.get("/health").status_code == 401

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"input": null}'])
    def test_a_run_without_input_is_400(self, endpoint: EndpointUnderTest, body: bytes) -> None:
        assert endpoint.client.post("/run", content=body).status_code == 400

    def test_a_body_of_more_than_10_mb_is_400(self, endpoint: EndpointUnderTest) -> None:
        job_input = endpoint.job_input("succeed") | {"padding": "x" * 10_000_001}
        assert endpoint.client.post("/run", json={"input": job_input}).status_code == 400

    def test_the_webhook_gets_the_body_of_status(self, endpoint: EndpointUnderTest) -> None:
        with webhook_receiver() as receiver:
            job_id = endpoint.run("succeed", webhook=receiver.url)
            job = endpoint.wait(job_id, "COMPLETED")
            (body,) = receiver.wait(1)
            assert body["id"].rpartition("-")[0] == job_id.rpartition("-")[0] or body["id"] == job_id
            assert body["status"] == "COMPLETED"
            assert body["output"] == job["output"]

    def test_a_failure_calls_the_webhook_too(self, endpoint: EndpointUnderTest) -> None:
        with webhook_receiver() as receiver:
            endpoint.run("fail", webhook=receiver.url)
            (body,) = receiver.wait(1)
            assert body["status"] == "FAILED"
            assert "as ordered" in body["error"]

    def test_a_job_past_its_execution_timeout_is_timed_out_and_stopped(
        self, endpoint: EndpointUnderTest
    ) -> None:
        job_id = endpoint.run("hang", policy={"executionTimeout": 500, "ttl": 3_600_000})
        endpoint.wait(job_id, "TIMED_OUT")
        endpoint.wait(endpoint.run("succeed"), "COMPLETED")
        assert endpoint.status(job_id)["status"] == "TIMED_OUT"

    def test_a_job_past_its_ttl_vanishes_waiting_or_running(self, endpoint: EndpointUnderTest) -> None:
        policy = {"executionTimeout": 600_000, "ttl": 2_000}
        running, waiting = endpoint.run("hang", policy=policy), endpoint.run("succeed", policy=policy)
        endpoint.wait(running, "IN_PROGRESS")
        endpoint.wait(running, 404)
        endpoint.wait(waiting, 404, "COMPLETED")  # the worker may have become free just in time
        endpoint.wait(endpoint.run("succeed"), "COMPLETED")

    def test_health_counts_jobs_and_workers(self, endpoint: EndpointUnderTest) -> None:
        job_id = endpoint.run("hang", policy=self.long_policy)
        endpoint.wait(job_id, "IN_PROGRESS")
        waiting = endpoint.run("succeed")
        health = endpoint.client.get("/health").json()
        assert health["jobs"]["inProgress"] == 1
        assert health["jobs"]["inQueue"] == 1
        assert {"completed", "failed", "retried"} <= set(health["jobs"])
        assert health["workers"]["running"] == 1
        assert health["workers"]["idle"] == 0
        endpoint.stop(job_id)
        endpoint.wait(waiting, "COMPLETED")
