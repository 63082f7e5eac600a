"""The handler under the unmodified SDK on the local endpoint, with a trainer that needs no torch."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint_contract import EndpointUnderTest
from tests.worker.object_store import SIGNATURE, ObjectStore, object_store, training_input
from tests.worker.processes import KEY, eventually, family_of, gone, running_endpoint, running_worker

pytestmark = pytest.mark.xdist_group("handler")
HANDLER = {"module": "worker.handler", "ACTORTRAIN_TRAINER": "tests.worker.stand_in_trainer"}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("handler")


@pytest.fixture(scope="module")
def bare_endpoint(room: Path) -> Iterator[EndpointUnderTest]:
    with running_endpoint(room / "state.sqlite3") as endpoint:
        yield EndpointUnderTest(endpoint.base_url, KEY, lambda outcome: {"do": outcome})


@pytest.fixture(scope="module")
def endpoint(bare_endpoint: EndpointUnderTest, room: Path) -> Iterator[EndpointUnderTest]:
    with running_worker(bare_endpoint.base_url, room / "worker", AWS_SECRET_ACCESS_KEY="x", **HANDLER):
        yield bare_endpoint


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


def submit(endpoint: EndpointUnderTest, job_input: dict[str, Any]) -> str:
    policy = {"executionTimeout": 60_000, "ttl": 600_000}
    return str(endpoint.client.post("/run", json={"input": job_input, "policy": policy}).json()["id"])


def error_of(endpoint: EndpointUnderTest, job_input: dict[str, Any]) -> str:
    job = endpoint.wait(submit(endpoint, job_input), "FAILED")
    assert "output" not in job
    assert "\n" not in job["error"]
    assert SIGNATURE not in job["error"]
    return str(job["error"])


def wait_for_step(endpoint: EndpointUnderTest, job_id: str, step: int) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        picture: dict[str, Any] = endpoint.status(job_id).get("output") or {}
        return picture if picture.get("step") == step else None

    return eventually(look, f"step {step}")


def trainer_pids(picture: dict[str, Any]) -> list[int]:
    for line in picture["log"]:
        if found := re.match(r"pids (\d+) (\d+)", line["message"]):
            return [int(found[1]), int(found[2])]
    raise AssertionError(picture["log"])


def test_a_training_ends_with_the_contracts_output_and_all_files_uploaded(
    endpoint: EndpointUnderTest, store: ObjectStore
) -> None:
    job = endpoint.wait(submit(endpoint, training_input(store, "actor_7_V1")), "COMPLETED", "FAILED")
    output = job["output"]
    lora = store.files["/out/actor_7_V1.safetensors"]
    assert output["loraUrl"] == f"{store.url}/out/actor_7_V1.safetensors"
    assert output["loraName"] == "actor_7_V1.safetensors"
    assert output["model_info"] == {
        "size_bytes": len(lora),
        "download_url": output["loraUrl"],
        "sha256": hashlib.sha256(lora).hexdigest(),
        "base_model": "embedded",
    }
    picture = output["progress"]
    assert [entry["stage"] for entry in picture["stages"]] == [
        "starting", "downloading", "training", "uploading", "done",
    ]  # fmt: skip
    assert (picture["stage"], picture["step"], picture["total_steps"]) == ("done", 4, 4)
    assert [point[0] for point in picture["loss_history"]] == [1, 3, 4]  # 2 was not a number
    assert picture["samples"] == [
        {"step": step, "prompt": 0, "url": f"{store.url}/out/actor_7_V1/{step}.png", "seed": 1000}
        for step in (0, 4)
    ]
    assert store.files["/out/actor_7_V1/4.png"] == b"PNG 4 portrait of 0007"
    messages = [line["message"] for line in picture["log"]]
    assert any("2 images; secrets []" in message for message in messages)
    assert any("3 held-back images: 0.9000 before, 0.5000" in message for message in messages)
    assert any(message.startswith("Samples of step 4: loss") for message in messages)


def test_checkpoints_are_uploaded_and_told_and_a_lost_one_costs_no_lora(
    endpoint: EndpointUnderTest, store: ObjectStore
) -> None:
    job_input = training_input(store, "actor_7_V9")
    job_input["training_config"]["uploads"]["checkpoints"] = [
        {"step": step, "put_url": store.signed(f"/out/step{step}"), "url": f"{store.url}/out/step{step}"}
        for step in (2, 3)
    ]
    store.faults["PUT /out/step3"] = [403]
    picture = endpoint.wait(submit(endpoint, job_input), "COMPLETED")["output"]["progress"]
    assert picture["checkpoints"] == [{"step": 2, "url": f"{store.url}/out/step2", "size_bytes": 6}]
    assert store.files["/out/step2"] == b"LoRA 2"
    assert any("checkpoint of step 3 is lost" in line["message"] for line in picture["log"])


def test_a_job_that_comes_twice_is_trained_once(endpoint: EndpointUnderTest, store: ObjectStore) -> None:
    job_input = training_input(store, "actor_7_V2")
    first, second = submit(endpoint, job_input), submit(endpoint, job_input)
    results = [endpoint.wait(job_id, "COMPLETED")["output"] for job_id in (first, second)]
    assert results[0] == results[1]
    assert store.calls["PUT /out/actor_7_V2.safetensors"] == 1


def test_no_signature_is_ever_logged_or_shown(
    endpoint: EndpointUnderTest, store: ObjectStore, room: Path
) -> None:
    job_id = submit(endpoint, training_input(store, "actor_7_V3"))
    output = endpoint.wait(job_id, "COMPLETED")["output"]
    assert SIGNATURE not in str(output)
    assert SIGNATURE not in (room / "worker" / "worker.log").read_text()


def test_a_store_that_stumbles_is_asked_again(endpoint: EndpointUnderTest, store: ObjectStore) -> None:
    store.faults["GET /images/one.png"] = [503]
    store.faults["PUT /out/actor_7_V4.safetensors"] = [500]
    endpoint.wait(submit(endpoint, training_input(store, "actor_7_V4")), "COMPLETED")
    assert store.calls["PUT /out/actor_7_V4.safetensors"] == 2


def test_a_missing_image_is_named(endpoint: EndpointUnderTest, store: ObjectStore) -> None:
    job_input = training_input(store, "actor_7_V5")
    del store.files["/images/two.png"]
    assert "Image two.png failed: there is nothing at its address (404)" in error_of(endpoint, job_input)


def test_a_refused_upload_of_the_lora_fails_the_job(endpoint: EndpointUnderTest, store: ObjectStore) -> None:
    store.faults["PUT /out/actor_7_V6.safetensors"] = [403]
    error = error_of(endpoint, training_input(store, "actor_7_V6"))
    assert "The upload of actor_7_V6.safetensors was refused (403)" in error


def test_a_refused_sample_costs_a_warning_not_the_lora(
    endpoint: EndpointUnderTest, store: ObjectStore
) -> None:
    store.faults["PUT /out/actor_7_V7/0.png"] = [403]
    output = endpoint.wait(submit(endpoint, training_input(store, "actor_7_V7")), "COMPLETED")["output"]
    assert [sample["step"] for sample in output["progress"]["samples"]] == [4]
    warnings = [line["message"] for line in output["progress"]["log"] if line["level"] == "warning"]
    assert len(warnings) == 1
    assert "sample of step 0 is lost" in warnings[0]


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("error", "Image one.png is corrupt: replace or remove it."),
        ("crash", "exit code 3: RuntimeError: as ordered"),
        ("killed", "lack of memory"),
    ],
)
def test_a_trainer_that_fails_says_why(
    endpoint: EndpointUnderTest, store: ObjectStore, behaviour: str, words: str
) -> None:
    assert words in error_of(endpoint, training_input(store, f"actor_8_{behaviour}", base_model=behaviour))


def test_an_input_without_uploads_is_refused(endpoint: EndpointUnderTest, store: ObjectStore) -> None:
    assert "uploads.lora" in error_of(endpoint, training_input(store, "actor_7_V9", uploads={}))


def test_progress_is_a_full_picture_and_cancelling_leaves_nothing_behind(
    endpoint: EndpointUnderTest, store: ObjectStore, room: Path
) -> None:
    job_id = submit(endpoint, training_input(store, "actor_7_V10", base_model="hang"))
    picture = wait_for_step(endpoint, job_id, 3)
    assert picture["stage"] == "training"
    assert picture["loss_history"] == [[1, 1.0], [3, 0.333333]]
    sample = eventually(lambda: endpoint.status(job_id)["output"]["samples"], "the sample of step 0")
    assert sample[0]["url"] == f"{store.url}/out/actor_7_V10/0.png"
    pids = trainer_pids(picture)
    assert not gone(pids)
    endpoint.stop(job_id)
    eventually(lambda: gone(pids), "the trainer and its child are gone")
    eventually(lambda: not list((room / "worker").glob("job-*")), "the job's folder is gone")
    # And the worker goes on.
    endpoint.wait(submit(endpoint, training_input(store, "actor_7_V11")), "COMPLETED")


def test_sigterm_in_the_middle_of_a_training_stops_all_and_the_next_worker_takes_over(
    tmp_path: Path, store: ObjectStore
) -> None:
    with running_endpoint(tmp_path / "state.sqlite3") as process:
        endpoint = EndpointUnderTest(process.base_url, KEY, lambda outcome: {"do": outcome})
        options = ("--worker-id", "local-1")
        with running_worker(process.base_url, tmp_path, *options, **HANDLER) as worker:
            job_id = submit(endpoint, training_input(store, "actor_9_V1", base_model="hang"))
            pids = trainer_pids(wait_for_step(endpoint, job_id, 3))
            family = family_of(worker.pid)
            started = time.monotonic()
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(10) == 0
            assert time.monotonic() - started < 5
            eventually(lambda: gone(pids + family), "nothing is left")
            assert not list(tmp_path.glob("job-*"))
        assert endpoint.status(job_id)["status"] == "IN_PROGRESS"  # the endpoint cannot know yet
        with running_worker(process.base_url, tmp_path, *options, **HANDLER):
            eventually(lambda: endpoint.status(job_id).get("retries") == 1, "given to the new worker")
            endpoint.client.post(f"/cancel/{job_id}")


def test_a_killed_worker_takes_trainer_and_heartbeat_with_it(tmp_path: Path, store: ObjectStore) -> None:
    with running_endpoint(tmp_path / "state.sqlite3", "--ping-timeout", "2") as process:
        endpoint = EndpointUnderTest(process.base_url, KEY, lambda outcome: {"do": outcome})
        with running_worker(process.base_url, tmp_path, **HANDLER) as worker:
            job_id = submit(endpoint, training_input(store, "actor_9_V2", base_model="hang"))
            trainer, sleeper = trainer_pids(wait_for_step(endpoint, job_id, 3))
            family = [pid for pid in family_of(worker.pid) if pid != sleeper]
            assert {trainer} < set(family)  # the heartbeat is a process of its own
            worker.kill()
            worker.wait()
            eventually(lambda: gone(family), "trainer and heartbeat are gone")
            os.kill(sleeper, signal.SIGKILL)  # only what has asked for it dies with its parent
            eventually(lambda: endpoint.status(job_id)["status"] == "IN_QUEUE", "the endpoint noticed")


def test_a_worker_without_an_endpoint_waits_patiently_and_leaves_when_told(tmp_path: Path) -> None:
    with running_worker("http://127.0.0.1:9/v2/local", tmp_path, **HANDLER) as worker:
        log = tmp_path / "worker.log"
        eventually(lambda: "Failed to get job" in log.read_text(), "it asks")
        before = log.read_text().count("Failed to get job")
        time.sleep(2)
        assert log.read_text().count("Failed to get job") - before < 12
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(5) == 0


def test_local_worker_refuses_wrong_arguments_in_one_line(tmp_path: Path) -> None:
    for options in [
        ["--ping-ms", "10"],
        ["--endpoint-url", "http://127.0.0.1:1/"],
    ]:
        with running_worker("http://127.0.0.1:9/v2/local", tmp_path, *options, **HANDLER) as worker:
            assert worker.wait(10) == 2
    lines = (tmp_path / "worker.log").read_text().splitlines()
    assert len(lines) == 2
    assert "1000" in lines[0]
    assert "/v2/" in lines[1]
