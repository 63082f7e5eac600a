"""What the endpoint says, parsed at the edge; and what the client keeps to itself."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.job_report import error_text, parse_report
from training.progress import parse_progress
from training.runpod import (
    JobState,
    Rejected,
    RunPod,
    RunPodConfig,
    UnreadableReportError,
    lora_url,
    parse_webhook,
    same_job,
)
from training.runpod_http import check

KEY = "rpa_secret_key_of_the_studio"
CONFIG = RunPodConfig("https://api.runpod.ai/v2/", "abc", KEY)
#: The shape of a real webhook of a FluxTrainer container, with names of our own.
WEBHOOK: dict[str, Any] = {
    "delayTime": 320165,
    "executionTime": 1558769,
    "id": "1b4e28ba-2fa1-41d2-883f-0016d3cca427-e2",
    "input": {"training_config": {"model_name": "actor_7_V3"}},
    "output": {
        "job_id": "7_1760000000000",
        "loraName": "actor_7_V3.safetensors",
        "loraUrl": "https://s3-accelerate.amazonaws.com/studio-loras/actor_7_V3.safetensors",
        "message": "LoRA training completed successfully",
        "model_info": {"size_bytes": 153271968, "name": "actor_7_V3.safetensors"},
        "status": "success",
    },
    "retries": 1,
    "status": "COMPLETED",
    "webhook": "https://studio.example/api/training-webhook/token",
}


def report_of(**changes: Any) -> Any:
    return parse_report(json.dumps(WEBHOOK | changes))


def test_a_webhook_of_the_field_completes_a_job() -> None:
    report = parse_webhook(json.dumps(WEBHOOK).encode())
    assert report.state == JobState.COMPLETED
    assert report.state.is_final
    assert report.lora_url == WEBHOOK["output"]["loraUrl"]
    assert (report.lora_name, report.lora_bytes) == ("actor_7_V3.safetensors", 153271968)
    assert (report.delay_ms, report.execution_ms, report.retries) == (320165, 1558769, 1)
    assert report.progress is None
    assert report.error is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        b'{"status": "COMPLETED"}',
        b'{"id": "", "status": "COMPLETED"}',
        b'{"id": "../run", "status": "COMPLETED"}',
        b'{"id": "..", "status": "COMPLETED"}',
        b'{"id": 7, "status": "COMPLETED"}',
        b'{"id": "a", "status": "DONE"}',
        b'{"id": "a", "status": ["COMPLETED"]}',
        b'{"id": "a"}',
        b"[" * 100_000,
        json.dumps({"id": "a" * 201, "status": "COMPLETED"}).encode(),
    ],
)
def test_what_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableReportError):
        parse_webhook(body)


@pytest.mark.parametrize(
    ("output", "url"),
    [
        ({"loraUrl": "https://a/1", "s3_url": "https://a/2"}, "https://a/1"),
        ({"loraUrl": "", "s3_url": "s3://a/2"}, "s3://a/2"),
        ({"model_info": {"download_url": "https://a/3"}}, "https://a/3"),
        ({"loraUrl": "javascript:alert(1)"}, None),
        ({"loraUrl": {"url": "https://a/1"}}, None),
        ({"loraUrl": "https://a/" + "x" * 1200}, None),
        ({"model_info": "none"}, None),
        ("https://a/1", None),
        (None, None),
    ],
)
def test_the_lora_is_found_where_containers_put_it(output: Any, url: str | None) -> None:
    assert lora_url(output) == url


def test_ids_are_the_same_with_and_without_their_suffix() -> None:
    bare = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
    assert same_job(bare, f"{bare}-e1")
    assert same_job(f"{bare}-u1", f"{bare}-u1")
    assert not same_job(bare, "1b4e28ba-2fa1-41d2-883f-0016d3cca428-e1")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("One image is broken.", "One image is broken."),
        ({"error_message": "One image is broken."}, "One image is broken."),
        (
            json.dumps({"error_type": "OSError", "error_message": "Disk full", "error_traceback": "…"}),
            "Disk full",
        ),
        ("{not json", "{not json"),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_errors_are_told_as_text(error: Any, text: str | None) -> None:
    assert error_text(error) == text


def test_a_failed_job_may_have_its_error_in_the_output() -> None:
    assert report_of(status="FAILED", output={"error": "No face found."}).error == "No face found."


def test_what_databases_refuse_is_taken_out() -> None:
    output = '{"a\\u0000b": "x\\u0000\\ud800y", "n": NaN, "i": 1e999}'
    report = parse_report(f'{{"id": "a", "status": "COMPLETED", "output": {output}}}')
    assert report.output == {"ab": "x?y", "n": None, "i": None}


@pytest.mark.parametrize("value", [-1, 2**63, "320", True, 1.5, None, []])
def test_times_that_are_none_are_unknown(value: Any) -> None:
    assert report_of(delayTime=value).delay_ms is None


PICTURE: dict[str, Any] = {
    "stage": "training",
    "step": 120,
    "total_steps": 400,
    "seconds_per_step": 0.18,
    "stages": [{"stage": "starting", "started_at": "2026-01-01T10:00:00Z"}],
    "loss_history": [[1, 0.91], [2, 0.88]],
    "samples": [{"step": 0, "prompt": 0, "url": "https://store.example/0.png", "seed": 1000}],
    "log": [{"at": "2026-01-01T11:00:02+01:00", "level": "info", "message": "15 images read"}],
}


def test_a_full_picture_is_read_in_full() -> None:
    progress, notes = parse_progress(PICTURE)
    assert notes == []
    assert progress is not None
    assert (progress.stage, progress.step, progress.total_steps) == ("training", 120, 400)
    assert progress.seconds_per_step == 0.18
    assert progress.stages == ({"stage": "starting", "started_at": "2026-01-01T10:00:00+00:00"},)
    assert progress.loss_history == ((1, 0.91), (2, 0.88))
    assert progress.samples == tuple(PICTURE["samples"])
    assert progress.log[0]["at"] == "2026-01-01T10:00:02+00:00"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("stage", "levitating"),
        ("step", -1),
        ("step", "many"),
        ("step", 2**31),
        ("total_steps", 1.5),
        ("seconds_per_step", "fast"),
        ("stages", [{"stage": "training"}]),
        ("stages", "training"),
        ("loss_history", [[1]]),
        ("loss_history", [["1", 0.5]]),
        ("loss_history", {"1": 0.5}),
        ("samples", [{"step": 0, "prompt": 0, "url": "javascript:alert(1)"}]),
        ("samples", [None]),
        ("log", [{"at": "yesterday", "message": "hm"}]),
        ("log", [{"at": "2026-01-01T10:00:00", "message": "no time zone"}]),
    ],
)
def test_a_malformed_part_is_dropped_with_a_note_and_the_rest_is_used(part: str, value: Any) -> None:
    progress, notes = parse_progress(PICTURE | {part: value})
    whole, _ = parse_progress(PICTURE)
    assert progress is not None
    assert whole is not None
    assert len(notes) == 1
    assert part in notes[0]
    assert not getattr(progress, part)
    others = PICTURE.keys() - {part}
    assert all(getattr(progress, other) == getattr(whole, other) for other in others)


@pytest.mark.parametrize("output", [None, "training 12 %", 0.5, [], {}, {"message": "working"}])
def test_other_containers_report_no_progress(output: Any) -> None:
    assert parse_progress(output) == (None, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(PICTURE)), JSON), JSON, JSON)
def test_no_worker_can_crash_the_reader(picture: dict[str, Any], error: Any, time: Any) -> None:
    report = report_of(status="IN_PROGRESS", output=picture, error=error, delayTime=time, workerId=error)
    json.dumps([report.output, report.error, report.worker_id], allow_nan=False).encode()


# The key stays secret


def test_the_key_is_in_no_repr() -> None:
    with RunPod(CONFIG) as runpod:
        assert KEY not in repr(CONFIG) + repr(runpod)


def test_a_key_quoted_by_the_server_is_taken_out() -> None:
    answer = httpx.Response(400, json={"error": f"bad header: Bearer {KEY}"})
    with pytest.raises(Rejected) as caught:
        check(answer, CONFIG)
    assert KEY not in str(caught.value)
    assert "bad header" in str(caught.value)


@pytest.mark.parametrize("key", ["", "secret\n", "sécret"])
def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ValueError, match="RUNPOD_API_KEY") as caught:
        RunPodConfig("https://api.runpod.ai/v2", "abc", key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("url", ["", "api.runpod.ai/v2", "ftp://api.runpod.ai", "https://"])
def test_a_base_url_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="RUNPOD_BASE_URL"):
        RunPodConfig(url, "abc", KEY)


def test_a_redirect_says_which_setting_is_wrong() -> None:
    with pytest.raises(Rejected, match="RUNPOD_BASE_URL"):
        check(httpx.Response(301, headers={"Location": "https://api.runpod.ai/v2"}), CONFIG)


def test_the_endpoint_id_is_one_part_of_the_address() -> None:
    assert RunPodConfig("https://api.runpod.ai/v2/", "a/b", KEY).url == "https://api.runpod.ai/v2/a%2Fb"
