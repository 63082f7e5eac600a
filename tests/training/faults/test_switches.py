"""The simulator's own switches."""

from __future__ import annotations

import httpx

from tests.runpod_simulator import Faults, Simulator
from tests.training.faults.patience import BODY, finished, hasty
from training.runpod import RunPod


def test_faults_are_switched_and_counted_over_http(simulator: Simulator) -> None:
    control = simulator.url.removesuffix("/v2") + "/_control"
    httpx.post(control, json={"outcome": "FAILED"}).raise_for_status()
    with RunPod(hasty(simulator)) as runpod:
        finished(runpod, runpod.run(BODY).id)
    seen = httpx.get(control).json()
    assert seen["accepted"] == 1
    assert [job["state"] for job in seen["jobs"].values()] == ["FAILED"]
    assert httpx.post(control, json={"gremlins": True}).status_code == 400


def test_the_same_seed_gives_the_same_faults() -> None:
    def pattern() -> list[bool]:
        simulator = Simulator(seed=5)
        simulator.faults = Faults(broken={"health": "503"}, broken_share=0.5)
        with simulator.serve():
            url, key = f"{simulator.url}/{simulator.endpoint_id}/health", simulator.api_key
            with httpx.Client(headers={"Authorization": f"Bearer {key}"}) as client:
                return [client.get(url).is_success for _ in range(20)]

    assert pattern() == pattern()
