"""The handler's parts: reading an order, moving files, following the trainer, painting progress."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.worker.object_store import SIGNATURE, ObjectStore, object_store, training_input
from worker import handler, train_process, transfers
from worker.order import ImageSource, JobFailedError, Upload, read_order
from worker.progress import LOG_LINES, LOSS_POINTS, Picture, Reporter, thin


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


# -- the order ---------------------------------------------------------------------------------


def test_an_old_callers_parameters_and_images_are_read_from_the_graph(store: ObjectStore) -> None:
    job_input = training_input(store, "actor_7_V1")
    wanted = job_input["training_config"].pop("parameters")
    nodes: dict[str, dict[str, Any]] = {"95": {}, "107": {}, "109": {}}
    homes = {
        "95": ["optimizer_type", "lr_scheduler", "lr_warmup_steps"],
        "107": ["network_dim", "network_alpha", "learning_rate", "max_train_steps", "gradient_dtype"],
        "109": ["batch_size", "class_tokens", "num_repeats"],
    }
    for node, names in homes.items():
        nodes[node]["inputs"] = {name: wanted[name] for name in names} | {"other": 1}
    job_input["workflow"] = nodes
    del job_input["training_data"]["images"]
    order = read_order(job_input)
    assert order.parameters == wanted
    assert order.images[1] == ImageSource("s3://bucket/images/two.png", None, "0007")


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("training_config", None, "training_config"),
        ("training_data", [], "training_data"),
        ("training_data", {}, "no images"),
        ("training_data", {"images": [{"caption": "x"}]}, "entry 1 has neither"),
        ("training_data", {"images": ["x"]}, "entry 1 must be an object"),
        ("training_data", {"images": [{"download_url": "file:///etc/passwd"}]}, "http or https"),
        ("training_data", {"s3_urls": ["s3://b/k"] * 1001}, "at most 1000"),
    ],
)
def test_a_wrong_input_names_what_is_wrong(store: ObjectStore, where: str, value: Any, words: str) -> None:
    job_input = training_input(store, "actor_7_V1") | {where: value}
    with pytest.raises(JobFailedError, match=words):
        read_order(job_input)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("request_id", "", "request_id"),
        ("model_name", "../../etc/cron", "model_name"),
        ("parameters", {}, "all eleven"),
        ("seed", "x", "wrong kind"),
        ("sample_prompts", [{"prompt": "x"}], "without 'seed'"),
        ("sample_steps", 5, "wrong kind"),
        ("uploads", {"lora": {"put_url": "x", "url": "y"}}, "http or https"),
        ("uploads", [], "wrong kind|uploads.lora"),
    ],
)
def test_a_wrong_config_names_what_is_wrong(store: ObjectStore, key: str, value: Any, words: str) -> None:
    with pytest.raises(JobFailedError, match=words):
        read_order(training_input(store, "actor_7_V1", **{key: value}))


def test_signed_urls_do_not_show_when_an_order_is_printed(store: ObjectStore) -> None:
    assert SIGNATURE not in repr(read_order(training_input(store, "actor_7_V1")))


def test_the_same_request_has_the_same_key_whatever_signed_its_links(store: ObjectStore) -> None:
    first = training_input(store, "actor_7_V1")
    second = training_input(store, "actor_7_V1")
    second["training_config"]["uploads"]["lora"]["put_url"] += "&again=1"
    assert read_order(first).key == read_order(second).key
    assert read_order(first).key != read_order(training_input(store, "actor_7_V1", request_id="other")).key


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("learning_rate", 2, "learning_rate must be a number above 0 and at most 1, not 2"),
        ("network_dim", "16", "network_dim must be a whole number"),
        ("lr_warmup_steps", 5, "lr_warmup_steps must be between 0 and 4"),
        ("optimizer_type", None, "optimizer_type must be one of adamw8bit, adafactor"),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_is_downloaded_or_started(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, words: str
) -> None:
    monkeypatch.setenv("ACTORTRAIN_WORK_DIR", str(tmp_path))
    job_input = training_input(store, "actor_7_V1")
    job_input["training_config"]["parameters"][name] = value
    result = asyncio.run(handler.handler({"id": "1", "input": job_input}))
    assert words in result["error"]
    assert not store.calls
    assert not list(tmp_path.iterdir())


def test_an_order_is_read_without_the_seconds_that_torch_takes() -> None:
    code = "import sys, worker.order; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("job_input", [None, [], "x"])
def test_the_handler_answers_nonsense_with_one_line(job_input: Any) -> None:
    result = asyncio.run(handler.handler({"id": "1", "input": job_input}))
    assert result == {"error": "The job's input must be a JSON object."}


def test_a_full_disk_is_told(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORTRAIN_WORK_DIR", str(tmp_path))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(handler, "_write_job", full)
    job = {"id": "1", "input": training_input(store, "actor_7_V1")}
    assert "disk is full" in asyncio.run(handler.handler(job))["error"]
    assert not list(tmp_path.glob("job-*"))


def test_folders_of_killed_workers_are_cleared_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTORTRAIN_WORK_DIR", str(tmp_path))
    for name in (f"job-{os.getpid()}-a", "job-99999999-b", f"job-{os.getppid()}-c", "results"):
        (tmp_path / name).mkdir()
    handler._clear_leftovers()
    assert {path.name for path in tmp_path.iterdir()} == {f"job-{os.getppid()}-c", "results"}


# -- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://bucket/a/b c.png", ("bucket", "a/b c.png")),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a/b%20c.png", ("bucket", "a/b c.png")),
        ("https://my.bucket.s3-accelerate.amazonaws.com/a.png", ("my.bucket", "a.png")),
        ("https://s3-accelerate.amazonaws.com/bucket/a/b.png", ("bucket", "a/b.png")),
        ("https://s3.us-east-1.amazonaws.com/bucket/a.png", ("bucket", "a.png")),
    ],
)
def test_every_spelling_of_an_s3_address_is_understood(url: str, location: tuple[str, str]) -> None:
    assert transfers.parse_location(url) == location


def download(store: ObjectStore, folder: Path, *paths: str, pause: float = 0.01) -> list[Path]:
    async def run() -> list[Path]:
        async with transfers.new_client() as client:
            sources = [ImageSource(f"s3://b{path}", store.signed(path), "x") for path in paths]
            return await transfers.download_images(client, sources, folder, pause=pause)

    return asyncio.run(run())


def test_images_keep_their_order_and_never_share_a_name(store: ObjectStore, tmp_path: Path) -> None:
    paths = [f"/{folder}/same name.png" for folder in "abcdefgh"]
    store.files = {path.replace(" ", "%20"): path.encode() for path in paths}
    copies = download(store, tmp_path, *(path.replace(" ", "%20") for path in paths))
    assert [copy.read_text() for copy in copies] == paths
    assert copies[0] == tmp_path / "0001" / "same_name.png"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ([500, 502, 503, 504], r"after 4 attempts \(answered 504\)"),
        ([401], r"refused \(401\)"),
        ([418], "answered 418"),
    ],
)
def test_a_download_that_fails_says_why(
    store: ObjectStore, tmp_path: Path, fault: list[int], words: str
) -> None:
    store.files["/a.png"] = b"x"
    store.faults["GET /a.png"] = fault
    with pytest.raises(JobFailedError, match=words):
        download(store, tmp_path, "/a.png")


def test_an_image_that_is_too_large_or_empty_is_refused(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.files = {"/a.png": b"x" * 2_000_001, "/b.png": b""}
    monkeypatch.setattr(transfers, "MAX_IMAGE_BYTES", 2_000_000)
    with pytest.raises(JobFailedError, match=r"a\.png is larger than 2 MB"):
        download(store, tmp_path, "/a.png")
    with pytest.raises(JobFailedError, match=r"b\.png is empty"):
        download(store, tmp_path, "/b.png")


def test_a_store_that_hangs_is_given_up(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "DOWNLOAD_SECONDS", 0.3)
    store.faults["GET /a.png"] = [-1]
    started = time.monotonic()
    with pytest.raises(JobFailedError, match=r"not done after 0\.3 s"):
        download(store, tmp_path, "/a.png")
    assert time.monotonic() - started < 3


def test_a_store_that_is_down_is_told_without_its_url(tmp_path: Path) -> None:
    async def run() -> None:
        async with transfers.new_client() as client:
            target = Upload(f"http://127.0.0.1:9/x?{SIGNATURE}", "y")
            await transfers.upload(client, tmp_path / "a.safetensors", target, pause=0.01)

    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(JobFailedError, match="ConnectError") as caught:
        asyncio.run(run())
    assert SIGNATURE not in str(caught.value)


def test_without_link_and_keys_an_image_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")

    async def run() -> None:
        async with transfers.new_client() as client:
            await transfers.download_images(client, [ImageSource("s3://b/a.png", None, "x")], tmp_path)

    with pytest.raises(JobFailedError, match="no AWS keys"):
        asyncio.run(run())


# -- the trainer's process ---------------------------------------------------------------------


def test_a_trainer_that_falls_silent_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORTRAIN_TRAINER", "http.server")  # serves for ever and never says a word of ours
    started = time.monotonic()
    with pytest.raises(JobFailedError, match=r"said nothing for 0\.5 s"):
        asyncio.run(train_process.run_trainer(Path("0"), lambda _: None, silence=0.5))
    assert time.monotonic() - started < 5


def test_a_trainer_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACTORTRAIN_TRAINER", "worker.no_such_module")
    with pytest.raises(JobFailedError, match=r"No module named worker\.no_such_module"):
        asyncio.run(train_process.run_trainer(tmp_path, lambda _: None))


# -- progress ----------------------------------------------------------------------------------


def test_a_long_loss_curve_is_thinned_evenly_with_both_ends() -> None:
    points: list[list[float]] = [[step, 0.5] for step in range(1, 5001)]
    thinned = thin(points)
    assert len(thinned) == LOSS_POINTS
    assert (thinned[0][0], thinned[-1][0]) == (1, 5000)
    gaps = {int(after[0] - before[0]) for before, after in pairwise(thinned)}
    assert gaps <= {10, 11}
    assert thin(points[:500]) == points[:500]


def test_the_log_keeps_its_last_lines_only() -> None:
    picture = Picture()
    for number in range(LOG_LINES + 50):
        picture.say(str(number))
    messages = [line["message"] for line in picture.as_dict()["log"]]
    assert (len(messages), messages[0], messages[-1]) == (LOG_LINES, "50", "249")


def test_updates_are_held_back_but_a_new_stage_is_told_soon() -> None:
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        reporter = Reporter(sent.append, Picture(), interval=0.2)
        async with reporter.running():
            reporter.enter("starting")
            await asyncio.sleep(0.05)
            assert [picture["stage"] for picture in sent] == ["starting"]
            for step in range(50):
                reporter.picture.step = step
                reporter.touch()
                await asyncio.sleep(0.01)
            reporter.enter("training")
            reporter.enter("training")
            await asyncio.sleep(0.1)

    asyncio.run(run())
    assert 3 <= len(sent) <= 6
    assert (sent[-1]["stage"], sent[-1]["step"]) == ("training", 49)
    assert len(sent[-1]["stages"]) == 2


def test_the_log_tells_each_sample_step_with_loss_and_pace() -> None:
    picture = Picture()
    assert handler.words_at(0, picture) == "Samples of step 0"
    picture.add_loss(60, 0.12345)
    picture.seconds_per_step = 0.271
    assert handler.words_at(60, picture) == "Samples of step 60: loss 0.1235, 0.27 s a step"
