"""A preview's input: what is read, and what is refused before anything is fetched."""

from __future__ import annotations

from typing import Any

import pytest

from worker.draw_order import MAX_IMAGES, is_preview, read_draw_order
from worker.order import JobFailedError

IMAGE = {
    "prompt": "portrait of 0007",
    "seed": 1,
    "strength": 1,
    "put_url": "https://store.example/put?signature",
    "url": "s3://bucket/one.png",
}
LORA = {"download_url": "https://store.example/lora?signature", "version": "V3", "step": 300}


def preview_input(**config: Any) -> dict[str, Any]:
    usual = {
        "mode": "preview",
        "request_id": "r",
        "model_name": "actor_7_V3",
        "base_model": "embedded",
        "loras": [LORA],
        "images": [IMAGE],
    }
    return {"training_config": usual | config}


def test_an_order_is_read_with_its_defaults() -> None:
    order = read_draw_order(preview_input(images=[{**IMAGE, "steps": 12}, {**IMAGE, "strength": 0}]))
    assert [(image.steps, image.strength, image.lora) for image in order.images] == [(12, 1, 0), (None, 0, 0)]
    assert order.loras[0].name == "V3 at step 300"
    assert order.used_loras == [0]


def test_without_strength_no_lora_is_needed() -> None:
    order = read_draw_order(preview_input(loras=[], images=[{**IMAGE, "strength": 0}]))
    assert order.used_loras == []


def test_the_key_stays_when_links_are_signed_anew_and_changes_with_the_request() -> None:
    again = preview_input(images=[{**IMAGE, "put_url": "https://store.example/put?newer"}])
    assert read_draw_order(preview_input()).key == read_draw_order(again).key
    assert read_draw_order(preview_input()).key != read_draw_order(preview_input(request_id="other")).key


def test_no_signed_link_shows_when_an_order_is_printed() -> None:
    assert "signature" not in repr(read_draw_order(preview_input()))


def test_only_the_mode_makes_it_a_preview() -> None:
    assert is_preview(preview_input())
    others: list[Any] = [preview_input(mode="custom-actors"), {}, None, {"training_config": []}]
    assert not any(map(is_preview, others))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"images": []}, "order at least one picture"),
        ({"images": {}}, "order at least one picture"),
        ({"images": "all"}, "must be a list"),
        ({"images": [IMAGE] * (MAX_IMAGES + 1)}, "at most 256"),
        ({"images": [7]}, "entry 1 must be an object"),
        ({"images": [IMAGE, {**IMAGE, "prompt": "  "}]}, "prompt of entry 2 must be a text of 1 to"),
        ({"images": [{**IMAGE, "prompt": "x" * 2001}]}, "prompt of entry 1"),
        ({"images": [{**IMAGE, "seed": -1}]}, "seed of entry 1 must be a whole number"),
        ({"images": [{**IMAGE, "seed": True}]}, "seed of entry 1"),
        ({"images": [{**IMAGE, "seed": 2**63}]}, "seed of entry 1"),
        ({"images": [{**IMAGE, "strength": "full"}]}, "strength of entry 1 must be a number"),
        ({"images": [{**IMAGE, "strength": float("nan")}]}, "strength of entry 1 must be a number"),
        ({"images": [{**IMAGE, "strength": 2.5}]}, "between 0 and 2"),
        ({"images": [{**IMAGE, "steps": 0}]}, "steps of entry 1 must be a whole number between 1 and 100"),
        ({"images": [{**IMAGE, "lora": 1}]}, "lora of entry 1 must be an index"),
        ({"images": [{**IMAGE, "put_url": ""}]}, "entry 1 must have put_url and url"),
        ({"images": [{**IMAGE, "put_url": "file:///etc"}]}, "http or https"),
        ({"loras": []}, "lora of entry 1 must be an index"),
        ({"loras": [{}]}, "loras: entry 1 must have a download_url"),
        ({"loras": [{"download_url": "s3://x/y"}]}, "http or https"),
        ({"loras": [{**LORA, "step": "last"}]}, "step must be a whole number"),
        ({"request_id": ""}, "request_id is missing"),
        ({"model_name": None}, "model_name is missing"),
    ],
)
def test_a_bad_order_is_refused_in_one_line_that_names_the_entry(config: dict[str, Any], says: str) -> None:
    with pytest.raises(JobFailedError, match=says) as refused:
        read_draw_order(preview_input(**config))
    assert "\n" not in str(refused.value)
    assert "signature" not in str(refused.value)
