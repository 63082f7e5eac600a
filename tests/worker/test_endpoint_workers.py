"""The workers' side of the local endpoint, call by call: who gets a job, and when it is taken away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.endpoint_contract import webhook_receiver
from tests.worker.processes import KEY, Endpoint, eventually, running_endpoint


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    with running_endpoint(
        tmp_path / "state.sqlite3", "--long-poll", "0.2", "--ping-timeout", "1"
    ) as endpoint:
        yield endpoint


def submit(endpoint: Endpoint, **body: Any) -> str:
    with endpoint.client() as site:
        return str(site.post("/run", json={"input": {"n": 1}, **body}).json()["id"])


def status(endpoint: Endpoint, job_id: str) -> dict[str, Any]:
    with endpoint.client() as site:
        response = site.get(f"/status/{job_id}")
    return dict(response.json()) if response.status_code == 200 else {"status": response.status_code}


def becomes(endpoint: Endpoint, job_id: str, state: str | int) -> Callable[[], dict[str, Any] | None]:
    def look() -> dict[str, Any] | None:
        seen = status(endpoint, job_id)
        return seen if seen["status"] == state else None

    return look


def test_jobs_are_given_in_the_order_they_came_one_to_each_worker(endpoint: Endpoint) -> None:
    first, second = submit(endpoint), submit(endpoint)
    a, b = endpoint.worker("a"), endpoint.worker("b")
    assert a.take() == {"id": first, "input": {"n": 1}}
    assert a.take(in_hand=1) is None
    assert b.take() == {"id": second, "input": {"n": 1}}


def test_a_waiting_worker_gets_a_job_the_moment_it_comes(tmp_path: Path) -> None:
    with running_endpoint(tmp_path / "state.sqlite3", "--long-poll", "10") as endpoint:
        worker = endpoint.worker("a")
        worker.client.timeout = httpx.Timeout(0.3)
        with pytest.raises(httpx.ReadTimeout):
            worker.take()  # a worker that leaves in the middle of its question gets nothing
        job_id = submit(endpoint)
        worker.client.timeout = httpx.Timeout(20)
        started = time.monotonic()
        job = worker.take()
        assert job is not None
        assert job["id"] == job_id
        assert time.monotonic() - started < 5


def test_the_batch_form_answers_a_list_of_one(endpoint: Endpoint) -> None:
    job_id = submit(endpoint)
    submit(endpoint)
    response = endpoint.worker("a").client.get("/job-take-batch/a?gpu=none&batch_size=4&job_in_progress=0")
    assert [job["id"] for job in response.json()] == [job_id]


@pytest.mark.parametrize("path", ["job-take/a", "job-stop/a", "ping/a"])
def test_a_worker_without_the_key_is_refused(endpoint: Endpoint, path: str) -> None:
    assert httpx.get(f"{endpoint.worker_url}/{path}?gpu=none").status_code == 401
    assert httpx.post(f"{endpoint.worker_url}/job-done/a/b", json={"output": 1}).status_code == 401


def test_another_endpoint_id_is_404(endpoint: Endpoint) -> None:
    url = endpoint.base_url.replace("/local", "/other")
    response = httpx.get(f"{url}/health", headers={"Authorization": f"Bearer {KEY}"})
    assert response.status_code == 404
    assert "local" in response.json()["error"]


def test_late_progress_never_overwrites_a_result(endpoint: Endpoint) -> None:
    job_id = submit(endpoint)
    worker = endpoint.worker("a")
    worker.take()
    worker.send(job_id, {"status": "IN_PROGRESS", "output": {"step": 1}})
    assert status(endpoint, job_id)["output"] == {"step": 1}
    worker.send(job_id, {"output": {"loraUrl": "x"}})
    assert worker.send(job_id, {"status": "IN_PROGRESS", "output": {"step": 2}}).status_code == 200
    worker.send(job_id, {"error": "too late"})
    done = status(endpoint, job_id)
    assert (done["status"], done["output"]) == ("COMPLETED", {"loraUrl": "x"})
    assert "error" not in done


def test_a_result_of_another_worker_is_not_taken(endpoint: Endpoint) -> None:
    job_id = submit(endpoint)
    endpoint.worker("a").take()
    endpoint.worker("b").send(job_id, {"output": 1})
    endpoint.worker("b").send(job_id, {"status": "IN_PROGRESS", "output": 2})
    seen = status(endpoint, job_id)
    assert seen["status"] == "IN_PROGRESS"
    assert "output" not in seen


@pytest.mark.parametrize("body", ["{", "[]", '{"output": "' + "x" * 20_000_001 + '"}'])
def test_a_result_that_cannot_be_read_fails_the_job_at_once(endpoint: Endpoint, body: str) -> None:
    job_id = submit(endpoint)
    worker = endpoint.worker("a")
    worker.take()
    worker.send(job_id, body)
    job = status(endpoint, job_id)
    assert job["status"] == "FAILED"
    assert "cannot be read" in job["error"]


def test_numbers_and_letters_that_json_lacks_do_not_break_status(endpoint: Endpoint) -> None:
    job_id = submit(endpoint)
    worker = endpoint.worker("a")
    worker.take()
    worker.send(job_id, r'{"output": {"loss": NaN, "name": "\ud800"}}')
    assert status(endpoint, job_id)["output"] == {"loss": None, "name": "\ud800"}


def test_a_silent_worker_loses_its_job_to_another_once_then_it_fails(endpoint: Endpoint) -> None:
    job_id = submit(endpoint)
    first, second = endpoint.worker("first"), endpoint.worker("second")
    first.take()
    first.ping(job_id)
    eventually(becomes(endpoint, job_id, "IN_QUEUE"), "the job goes back")
    assert second.take() == {"id": job_id, "input": {"n": 1}}
    assert status(endpoint, job_id)["retries"] == 1
    # The first one comes back to life: it is told to stop, and what it sends no longer counts.
    first.ping(job_id)
    assert first.stops() == [job_id]
    first.send(job_id, {"output": "stale"})
    job = eventually(becomes(endpoint, job_id, "FAILED"), "the job fails")
    assert "lost twice" in job["error"]
    assert "second has been silent" in job["error"]
    assert "output" not in job


def test_a_worker_that_pings_keeps_its_job(endpoint: Endpoint) -> None:
    job_id = submit(endpoint)
    worker = endpoint.worker("a")
    worker.take()
    for _ in range(6):
        time.sleep(0.3)
        worker.ping(job_id)
    assert status(endpoint, job_id)["status"] == "IN_PROGRESS"
    assert worker.stops() == []


def test_a_worker_that_comes_back_with_empty_hands_gives_its_job_up_at_once(endpoint: Endpoint) -> None:
    job_id = submit(endpoint)
    worker = endpoint.worker("a")
    worker.take()
    assert worker.take(in_hand=1) is None
    assert worker.take() == {"id": job_id, "input": {"n": 1}}
    assert worker.take() is None
    assert "gave it up" in status(endpoint, job_id)["error"]


def test_a_cancelled_job_is_stopped_at_its_worker(endpoint: Endpoint) -> None:
    job_id = submit(endpoint)
    worker = endpoint.worker("a")
    worker.take()
    with endpoint.client() as site:
        site.post(f"/cancel/{job_id}")
    assert worker.stops() == [job_id]
    worker.send(job_id, {"output": "too late"})
    assert status(endpoint, job_id)["status"] == "CANCELLED"


def test_a_retried_job_is_not_hit_by_an_old_stop(endpoint: Endpoint) -> None:
    job_id = submit(endpoint, policy={"executionTimeout": 1, "ttl": 60_000})
    worker = endpoint.worker("a")
    worker.take()
    eventually(becomes(endpoint, job_id, "TIMED_OUT"), "time-out")
    with endpoint.client() as site:
        assert site.post(f"/retry/{job_id}").json() == {"id": job_id, "status": "IN_QUEUE"}
    retaken = worker.take()
    assert retaken is not None
    assert retaken["id"] == job_id


def test_results_are_kept_for_a_while_then_forgotten(tmp_path: Path) -> None:
    with running_endpoint(tmp_path / "state.sqlite3", "--keep-seconds", "0.5") as endpoint:
        job_id = submit(endpoint)
        worker = endpoint.worker("a")
        worker.take()
        worker.send(job_id, {"output": 1})
        assert status(endpoint, job_id)["status"] == "COMPLETED"
        eventually(becomes(endpoint, job_id, 404), "forgotten")


def test_the_webhook_is_tried_three_times_with_a_pause(endpoint: Endpoint) -> None:
    with webhook_receiver(500, 204, 503) as receiver:
        job_id = submit(endpoint, webhook=receiver.url)
        worker = endpoint.worker("a")
        worker.take()
        worker.send(job_id, {"output": 1})
        bodies = receiver.wait(3)
        time.sleep(0.6)
        assert len(bodies) == 3
        assert bodies[0] == bodies[2] == status(endpoint, job_id)
        assert receiver.times[1] - receiver.times[0] >= 0.2


def test_a_webhook_that_answers_200_is_called_once(endpoint: Endpoint) -> None:
    with webhook_receiver(500, 200) as receiver:
        job_id = submit(endpoint, webhook=receiver.url)
        worker = endpoint.worker("a")
        worker.take()
        worker.send(job_id, {"error": "as ordered"})
        receiver.wait(2)
        time.sleep(0.6)
        assert [body["status"] for body in receiver.bodies] == ["FAILED", "FAILED"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"input": {}, "policy": {"ttl": -1}}, "policy.ttl"),
        ({"input": {}, "policy": {"executionTimeout": "1"}}, "policy.executionTimeout"),
        ({"input": {}, "policy": []}, "policy"),
        ({"input": {}, "webhook": "ftp://x"}, "webhook"),
        ({"input": []}, "input"),
    ],
)
def test_a_wrong_run_says_what_is_wrong(endpoint: Endpoint, body: dict[str, Any], word: str) -> None:
    with endpoint.client() as site:
        response = site.post("/run", json=body)
    assert response.status_code == 400
    assert word in response.json()["error"]
