"""The snippets that a good version's page gives away are run as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_actor, make_version
from training.models import Status, TrainingVersion
from training.using import snippets, stable_address

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db
FLUX = "black-forest-labs/FLUX.1-dev"


def texts(version: TrainingVersion) -> dict[str, str]:
    return {snippet.key: snippet.text for snippet in snippets(version)}


def use_page(client: Client, version: TrainingVersion) -> str:
    return client.get(reverse("use", args=[version.actor_id])).text


def test_the_page_gives_the_address_that_the_api_answers(admin_client: Client) -> None:
    version = make_version(base_model=FLUX)
    version.mark_good()
    address = stable_address(version.actor_id)
    assert address in use_page(admin_client, version)
    path = address.removeprefix("http://127.0.0.1:8000")
    assert admin_client.get(path)["Location"] == version.lora_url
    assert address in texts(version)["curl"]


def test_snippets_hold_any_trigger_token_safely(admin_client: Client) -> None:
    version = make_version(base_model=FLUX, class_tokens='zoë "the \\ one" </code><b>')
    version.mark_good()
    found = texts(version)
    compile(found["diffusers"], "snippet", "exec")
    assert version.class_tokens in json.loads(found["comfyui"])["5"]["inputs"]["text"]
    page = use_page(admin_client, version)
    assert "</code><b>" not in page
    assert "&lt;/code&gt;" in page


def test_the_example_calls_this_actor_and_nobody_else(admin_client: Client) -> None:
    version = make_version(base_model=FLUX, class_tokens="0042_rare")
    version.mark_good()
    assert "woman" not in texts(version)["diffusers"] + texts(version)["comfyui"]
    assert "portrait photo of 0042_rare, " in use_page(admin_client, version)
    # An old version whose trigger token nobody wrote down.
    unknown = make_version(base_model=FLUX, class_tokens="")
    assert f"portrait photo of {unknown.actor.trigger_token}, " in texts(unknown)["diffusers"]


def test_comfyui_gets_a_graph_whose_links_all_lead_somewhere() -> None:
    nodes = json.loads(texts(make_version(base_model=FLUX))["comfyui"])
    links = [value for node in nodes.values() for value in node["inputs"].values() if isinstance(value, list)]
    assert links
    assert all(number in nodes and slot == 0 for number, slot in links)
    used = {number for number, _ in links}
    assert set(nodes) - used == {"11"}  # only the end is read by nobody


def test_the_embedded_base_has_no_comfyui_snippet() -> None:
    assert list(texts(make_version())) == ["curl", "diffusers"]


def test_without_a_good_version_the_page_says_what_to_do(admin_client: Client) -> None:
    none = make_actor()
    assert "Train a version and mark it good" in admin_client.get(reverse("use", args=[none.pk])).text
    assert "waits for your decision" in use_page(admin_client, make_version())
    running = make_version(status=Status.TRAINING)
    assert "is training. Judge its samples" in use_page(admin_client, running)


def test_the_diffusers_snippet_of_the_embedded_base_draws(tmp_path: Path) -> None:
    version = make_version()
    file = f"actor_{version.actor_id}.safetensors"
    make = f"""
import torch
from pathlib import Path
from worker.base_model import load_base
from worker.lora import add_lora, settle_lora, write_lora
transformer = load_base("worker/base").transformer
add_lora(transformer, 4, 4)
settle_lora(transformer, torch.bfloat16)
write_lora(Path({str(tmp_path / file)!r}), transformer, torch.bfloat16, {{}})
"""
    text = texts(version)["diffusers"].replace('"actor_', f'"{tmp_path}/actor_')
    text = text.replace("num_inference_steps=24", "num_inference_steps=2")
    done = subprocess.run(
        [sys.executable, "-c", f"{make}\n{text}"],
        cwd=ROOT,
        env={"OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"actor_{version.actor_id}.png").stat().st_size > 500
