"""The simulator keeps the same contract as the local endpoint, so what is proven on it holds there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.endpoint_contract import EndpointContract, EndpointUnderTest
from tests.runpod_simulator import Simulator


@pytest.fixture(scope="module")
def endpoint() -> Iterator[EndpointUnderTest]:
    simulator = Simulator(speed=1, queue_seconds=0.05, train_seconds=0.1, workers=1)
    with simulator.serve():
        yield EndpointUnderTest(
            f"{simulator.url}/{simulator.endpoint_id}",
            simulator.api_key,
            lambda outcome: {"simulate": outcome},
        )


class TestSimulator(EndpointContract):
    pass
