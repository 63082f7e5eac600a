"""How long the tests wait, and for what."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.runpod_simulator import Simulator
from training.runpod import JobReport, JobState, RunPod, RunPodConfig

BODY = {"input": {"training_config": {"model_name": "actor_7_V3", "max_train_steps": 100}}}
LONG = {"simulate": "hang"}


def hasty(simulator: Simulator, **changes: Any) -> RunPodConfig:
    return replace(
        RunPodConfig(
            simulator.url,
            simulator.endpoint_id,
            simulator.api_key,
            connect_timeout=1,
            read_timeout=0.5,
            answer_timeout=0.5,
            retries=2,
            backoff=0.02,
            longest_wait=2,
        ),
        **changes,
    )


def wait(read: Callable[[], JobReport], *states: JobState) -> JobReport:
    deadline = time.monotonic() + 5
    while (report := read()).state not in states:
        assert time.monotonic() < deadline, report
        time.sleep(0.01)
    return report


def finished(runpod: RunPod, job_id: str) -> JobReport:
    final = [state for state in JobState if state.is_final]
    return wait(lambda: runpod.status(job_id), *final)
