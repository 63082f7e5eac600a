"""Previews under the unmodified SDK on the local endpoint: real pictures on the embedded base."""

from __future__ import annotations

import io
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from tests.endpoint_contract import EndpointUnderTest
from tests.worker.object_store import SIGNATURE, ObjectStore, object_store, training_input
from tests.worker.processes import KEY, eventually, family_of, gone, running_endpoint, running_worker
from tests.worker.test_handler import error_of, submit

SETTINGS = {
    "module": "worker.handler",
    "ACTORTRAIN_TRAINER": "tests.worker.stand_in_trainer",
    "ACTORTRAIN_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
PROMPT = "portrait of a young woman, fair skin, bob black hair, green eyes, smiling, red shirt"
#: So many that there is time to stop them.
LONG = [{"steps": 100, "seed": seed} for seed in range(200)]
#: Importing torch takes seconds, and on a busy machine minutes.
PATIENCE = 150
pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("previews")]


@pytest.fixture(scope="module")
def lora() -> bytes:
    """A LoRA of the embedded base that has learned nothing but changes every picture."""
    import torch

    from worker.base_model import load_base
    from worker.job import EMBEDDED_BASE
    from worker.lora import add_lora, settle_lora, write_lora

    torch.manual_seed(3)
    transformer = load_base(EMBEDDED_BASE).transformer
    for weight in add_lora(transformer, 4, 4):
        torch.nn.init.normal_(weight, std=0.05)
    settle_lora(transformer, torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lora.safetensors"
        write_lora(path, transformer, torch.bfloat16, {})
        return path.read_bytes()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("preview")


@pytest.fixture(scope="module")
def worker(room: Path) -> Iterator[tuple[EndpointUnderTest, int]]:
    """An endpoint with one worker, and the worker's process id."""
    with running_endpoint(room / "state.sqlite3") as running:
        endpoint = EndpointUnderTest(running.base_url, KEY, lambda outcome: {"do": outcome}, PATIENCE)
        with running_worker(running.base_url, room / "worker", **SETTINGS) as process:
            yield endpoint, process.pid


@pytest.fixture
def endpoint(worker: tuple[EndpointUnderTest, int]) -> EndpointUnderTest:
    return worker[0]


@pytest.fixture
def store(lora: bytes) -> Iterator[ObjectStore]:
    with object_store() as store:
        store.files["/loras/actor_7_V3.safetensors"] = lora
        yield store


def preview_input(store: ObjectStore, name: str, *images: dict[str, Any], **config: Any) -> dict[str, Any]:
    """An order of pictures ``name/0.png``, ``name/1.png`` …; each names what is special about it."""
    usual = {"prompt": PROMPT, "seed": 5, "strength": 1.0, "steps": 2}
    return {
        "training_config": {
            "mode": "preview",
            "request_id": f"request of {name}",
            "model_name": "actor_7_V3",
            "base_model": "embedded",
            "loras": [
                {
                    "download_url": store.signed("/loras/actor_7_V3.safetensors"),
                    "version": "V3",
                    "step": 300,
                }
            ],
            "images": [
                {
                    **usual,
                    **image,
                    "put_url": store.signed(f"/out/{name}/{number}.png"),
                    "url": f"{store.url}/out/{name}/{number}.png",
                }
                for number, image in enumerate(images)
            ],
            **config,
        }
    }


def drawing_processes(pid: int) -> list[int]:
    """Those of the worker's children that draw."""
    return [
        child for child in family_of(pid) if b"worker.draw" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def wait_for_a_picture(endpoint: EndpointUnderTest, job_id: str) -> None:
    """Until the job says that it has drawn one."""
    eventually(lambda: (endpoint.status(job_id).get("output") or {}).get("step"), "a picture", PATIENCE)


def picture_of(store: ObjectStore, path: str) -> Image.Image:
    image = Image.open(io.BytesIO(store.files[path]))
    image.load()
    return image


def test_a_preview_is_drawn_uploaded_and_told(endpoint: EndpointUnderTest, store: ObjectStore) -> None:
    order = preview_input(store, "first", {}, {"strength": 0}, {"strength": 0.5, "seed": 6})
    output = endpoint.wait(submit(endpoint, order), "COMPLETED", "FAILED")["output"]
    assert [image["url"] for image in output["images"]] == [
        f"{store.url}/out/first/{number}.png" for number in range(3)
    ]
    full, alone = (picture_of(store, f"/out/first/{number}.png") for number in (0, 1))
    assert full.size == (64, 64)
    assert ImageChops.difference(full, alone).getbbox() is not None
    assert (full.info["prompt"], full.info["seed"], full.info["strength"]) == (PROMPT, "5", "1")
    assert (full.info["steps"], full.info["version"], alone.info["version"]) == ("2", "V3", "base alone")
    progress = output["progress"]
    assert [entry["stage"] for entry in progress["stages"]] == ["starting", "downloading", "drawing", "done"]
    assert (progress["step"], progress["total_steps"]) == (3, 3)
    assert output["model_info"] == {"base_model": "embedded"}


def test_the_process_stays_warm_so_the_next_preview_takes_a_moment(
    worker: tuple[EndpointUnderTest, int], store: ObjectStore
) -> None:
    endpoint, pid = worker
    endpoint.wait(submit(endpoint, preview_input(store, "before", {})), "COMPLETED")
    (drawing,) = drawing_processes(pid)
    began = time.monotonic()
    endpoint.wait(submit(endpoint, preview_input(store, "warm", {}, {"seed": 9})), "COMPLETED")
    assert time.monotonic() - began < 15  # half a second when the machine is idle
    assert drawing_processes(pid) == [drawing]


def test_a_preview_that_comes_twice_is_drawn_once(endpoint: EndpointUnderTest, store: ObjectStore) -> None:
    order = preview_input(store, "twice", {})
    first, second = submit(endpoint, order), submit(endpoint, order)
    results = [endpoint.wait(job_id, "COMPLETED")["output"] for job_id in (first, second)]
    assert results[0] == results[1]
    assert store.calls["PUT /out/twice/0.png"] == 1


def test_a_training_sends_the_drawing_process_away(
    worker: tuple[EndpointUnderTest, int], store: ObjectStore
) -> None:
    endpoint, pid = worker
    endpoint.wait(submit(endpoint, preview_input(store, "leaves", {})), "COMPLETED")
    (drawing,) = drawing_processes(pid)
    endpoint.wait(submit(endpoint, training_input(store, "actor_7_V4")), "COMPLETED")
    assert gone([drawing])


def test_a_cancelled_preview_stops_drawing(worker: tuple[EndpointUnderTest, int], store: ObjectStore) -> None:
    endpoint, pid = worker
    job_id = submit(endpoint, preview_input(store, "cancelled", *LONG))
    wait_for_a_picture(endpoint, job_id)
    drawing = drawing_processes(pid)
    endpoint.client.post(f"/cancel/{job_id}")
    eventually(lambda: gone(drawing), "the drawing process is stopped", 15)
    assert endpoint.status(job_id)["status"] == "CANCELLED"


def test_a_killed_drawing_process_is_told_and_the_next_preview_gets_a_new_one(
    worker: tuple[EndpointUnderTest, int], store: ObjectStore
) -> None:
    endpoint, pid = worker
    job_id = submit(endpoint, preview_input(store, "killed", *LONG))
    wait_for_a_picture(endpoint, job_id)
    for child in drawing_processes(pid):
        os.kill(child, signal.SIGKILL)
    error = endpoint.wait(job_id, "FAILED")["error"]
    assert "killed by the system, most likely for lack of memory: use a larger worker" in error
    endpoint.wait(submit(endpoint, preview_input(store, "revived", {})), "COMPLETED")


def test_what_goes_wrong_is_said_in_one_line(endpoint: EndpointUnderTest, store: ObjectStore) -> None:
    bad = preview_input(store, "bad", {"strength": 9})
    assert "strength of entry 1 must be between 0 and 2, not 9" in error_of(endpoint, bad)

    missing = preview_input(store, "missing", {})
    missing["training_config"]["loras"][0]["download_url"] = store.signed("/loras/nowhere")
    assert "The LoRA V3 at step 300 failed: there is nothing" in error_of(endpoint, missing)

    store.files["/loras/bad"] = b"no LoRA"
    damaged = preview_input(store, "damaged", {})
    damaged["training_config"]["loras"][0]["download_url"] = store.signed("/loras/bad")
    assert "The LoRA V3 does not fit the base model or is damaged" in error_of(endpoint, damaged)

    nowhere = preview_input(store, "nowhere", {}, base_model="/no/such/base")
    assert "The base model /no/such/base could not be loaded" in error_of(endpoint, nowhere)

    store.faults["PUT /out/refused/1.png"] = [403] * 9
    refused = error_of(endpoint, preview_input(store, "refused", {}, {"seed": 2}))
    assert "1 of 2 pictures are lost: The upload of 001.png was refused (403)" in refused
    assert "/out/refused/0.png" in store.files


def test_no_signature_is_ever_logged(endpoint: EndpointUnderTest, store: ObjectStore, room: Path) -> None:
    output = endpoint.wait(submit(endpoint, preview_input(store, "quiet", {})), "COMPLETED")["output"]
    assert SIGNATURE not in str(output)
    assert SIGNATURE not in (room / "worker" / "worker.log").read_text()
