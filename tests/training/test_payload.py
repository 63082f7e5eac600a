"""The body of /run: what containers in the field read stays as it is, ours is added beside it."""

from __future__ import annotations

import json
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest

from training.base_models import EMBEDDED, FLUX, auto_adjust
from training.parameters import Parameters
from training.payload import (
    PayloadImage,
    SampleUpload,
    Upload,
    build_body,
    build_input,
    build_policy,
    fill_workflow,
    sample_prompts,
    sample_steps,
)

TRIGGER = "mara_lind"
PARAMETERS = Parameters(
    learning_rate=3e-4,
    max_train_steps=1700,
    network_dim=32,
    network_alpha=12,
    class_tokens=TRIGGER,
    batch_size=2,
    num_repeats=3,
    lr_scheduler="linear",
    lr_warmup_steps=170,
    optimizer_type="adafactor",
    gradient_dtype="fp16",
)
IMAGES = [
    PayloadImage(
        f"s3://studio/actors/7/{name}.png", f"https://signed.example/{name}", f"portrait of {TRIGGER}"
    )
    for name in ("one", "two")
]
#: Every input of the graph that a launch fills, for PARAMETERS. All the others are constants.
FILLED = {
    ("4", "steps"): 1700,
    ("95", "optimizer_type"): "adafactor",
    ("95", "lr_scheduler"): "linear",
    ("95", "lr_warmup_steps"): 170,
    ("107", "network_dim"): 32,
    ("107", "network_alpha"): 12,
    ("107", "learning_rate"): 3e-4,
    ("107", "max_train_steps"): 1700,
    ("107", "gradient_dtype"): "fp16",
    ("107", "save_dtype"): "fp16",
    ("109", "batch_size"): 2,
    ("109", "class_tokens"): TRIGGER,
    ("109", "num_repeats"): 3,
}


def build(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "parameters": PARAMETERS,
        "base_model": EMBEDDED.key,
        "images": IMAGES,
        "user_id": "studio",
        "tenant_id": "tenant",
        "request_id": "7_1760000000000",
        "model_name": "actor_7_V3",
        "dataset_fingerprint": "sha256:0",
        "prompts": sample_prompts(EMBEDDED.key, TRIGGER),
    }
    return build_input(**values | changes)


def inputs(graph: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(node, name): value for node, body in graph.items() for name, value in body["inputs"].items()}


def test_a_launch_fills_these_inputs_and_leaves_every_other_alone() -> None:
    graph = inputs(fill_workflow(PARAMETERS))
    assert {place: graph[place] for place in FILLED} == FILLED
    other, _ = auto_adjust(20, FLUX, class_tokens="joren_vale")
    changed = inputs(fill_workflow(other))
    assert {place for place in graph if graph[place] != changed[place]} == {*FILLED, ("146", "string")}


def test_the_graph_has_all_its_nodes_and_each_link_leads_to_one() -> None:
    graph = fill_workflow(PARAMETERS)
    nodes = "2 4 14 37 88 95 97 98 105 107 108 109 133 146".split()
    assert list(graph) == nodes
    assert graph["133"]["class_type"] == "FluxTrainEnd"
    links = [value for value in inputs(graph).values() if isinstance(value, list)]
    assert {link[0] for link in links} == {"2", "4", "14", "95", "97", "107", "108", "109", "146"}


def test_faces_are_never_flipped() -> None:
    assert inputs(fill_workflow(PARAMETERS))[("108", "flip_aug")] is False


def test_each_style_token_becomes_the_trigger() -> None:
    text = json.dumps(fill_workflow(PARAMETERS))
    assert "STYLE_TOKEN" not in text
    prompts = inputs(fill_workflow(PARAMETERS))[("146", "string")].split("|")
    assert len(prompts) == 4
    assert all(TRIGGER in prompt for prompt in prompts)


def test_filling_one_graph_leaves_no_trace_in_the_next() -> None:
    before = deepcopy(fill_workflow(PARAMETERS))
    spoiled = fill_workflow(PARAMETERS)
    spoiled["107"]["inputs"]["network_dim"] = 999
    del spoiled["133"]
    assert fill_workflow(PARAMETERS) == before


def test_the_old_keys_hold_what_containers_in_the_field_read() -> None:
    job_input = build()
    assert list(job_input) == ["workflow", "training_data", "training_config"]
    assert job_input["training_data"]["s3_urls"] == [image.s3_url for image in IMAGES]
    old = {
        "mode": "custom-actors",
        "user_id": "studio",
        "tenant_id": "tenant",
        "request_id": "7_1760000000000",
        "model_name": "actor_7_V3",
        "learning_rate": 3e-4,
        "max_train_steps": 1700,
    }
    assert old.items() <= job_input["training_config"].items()


def test_our_keys_stand_beside_them() -> None:
    lora = Upload("https://put.example/lora", "https://store.example/lora")
    samples = [SampleUpload(0, 1, "https://put.example/s", "https://store.example/s")]
    job_input = build(lora=lora, samples=samples)
    config = job_input["training_config"]
    assert config["parameters"] == PARAMETERS.to_dict()
    assert config["base_model"] == "embedded"
    assert config["seed"] == 42
    assert config["sample_steps"] == [0, 340, 680, 1020, 1360, 1700]
    assert config["uploads"]["lora"] == {
        "put_url": "https://put.example/lora",
        "url": "https://store.example/lora",
    }
    assert config["uploads"]["samples"] == [
        {"step": 0, "prompt": 1, "put_url": "https://put.example/s", "url": "https://store.example/s"}
    ]
    assert job_input["training_data"]["images"][0] == {
        "s3_url": "s3://studio/actors/7/one.png",
        "download_url": "https://signed.example/one",
        "caption": f"portrait of {TRIGGER}",
    }


def test_without_a_place_for_the_lora_nothing_is_said_about_uploads() -> None:
    assert "uploads" not in build()["training_config"]


def test_the_body_names_a_webhook_only_where_one_can_arrive() -> None:
    policy = build_policy(1800)
    assert list(build_body(build(), webhook="https://studio.example/hook", policy=policy)) == [
        "input",
        "webhook",
        "policy",
    ]
    assert "webhook" not in build_body(build(), webhook=None, policy=policy)


@pytest.mark.parametrize("seconds", [1, 300, 3600, 24 * 3600, 30 * 24 * 3600])
def test_the_policy_leaves_time_and_stays_within_seven_days(seconds: int) -> None:
    policy = build_policy(seconds)
    week = 7 * 24 * 3600 * 1000
    assert min(seconds * 1000, week - 3600_000) <= policy["executionTimeout"] < policy["ttl"] <= week
    assert policy["executionTimeout"] >= 600_000
    assert policy["ttl"] >= 86_400_000


def test_flux_is_sampled_with_the_prompts_of_its_graph() -> None:
    prompts = sample_prompts(FLUX.key, TRIGGER)
    assert "|".join(each.prompt for each in prompts) == inputs(fill_workflow(PARAMETERS))[("146", "string")]


def test_the_embedded_base_is_sampled_with_and_without_the_trigger() -> None:
    prompts = sample_prompts(EMBEDDED.key, TRIGGER)
    assert [TRIGGER in each.prompt for each in prompts] == [True] * 4 + [False] * 2
    assert [each.seed for each in prompts] == [1000, 1001, 1002, 1003, 1004, 1005]


@pytest.mark.parametrize("total", [20, 99, 400, 1700, 5000])
def test_samples_start_at_the_base_and_end_at_the_last_step(total: int) -> None:
    steps = sample_steps(total)
    assert (steps[0], steps[-1], len(steps)) == (0, total, 6)
    gaps = [after - before for before, after in pairwise(steps)]
    assert max(gaps) - min(gaps) <= 1
