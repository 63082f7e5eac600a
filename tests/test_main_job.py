"""From sign-in to ``actors.json``, by clicking only, with the real local endpoint and a real training."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests import main_job
from tests.started_site import started

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(420)]


def test_an_actor_gets_a_good_version_by_clicking_only(tmp_path: Path, browser: Browser) -> None:
    with started(tmp_path, "main_job", ACTORTRAIN_ADMIN_PASSWORD="click click click") as site:
        page = main_job.open_site(browser, site, "click click click")
        main_job.choose_actor(page, "0000")
        main_job.auto_adjust(page, "Quick: a first look")
        main_job.set_parameter(page, "Warm-up", "5")
        main_job.set_parameter(page, "Steps", "25")
        main_job.start_training(page)
        main_job.wait_until_training(page)
        main_job.wait_until_completed(page)
        main_job.mark_good(page, "the mohawk holds")

        actors = page.request.get("/actors.json").json()
        validated = actors[0]["validated_lora_model"]
        assert set(validated) == {"version_id", "version_name", "lora_url", "marked_at", "parameters"}
        assert validated["version_name"] == "V1"
        assert validated["parameters"]["max_train_steps"] == 25
        assert [actor.get("validated_lora_model") for actor in actors[1:]] == [None, None]

        lora = page.request.get(validated["lora_url"]).body()
        assert int.from_bytes(lora[:8], "little") < len(lora)  # the length of a safetensors header
        assert b"0000_european_34_female" in lora[:20_000]
