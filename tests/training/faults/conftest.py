"""A simulator of its own for each test, and a client of it that gives up quickly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.broken_answers import serve_in_thread
from tests.runpod_simulator import Simulator
from tests.training.faults.patience import hasty
from training.runpod import RunPod


class Switchboard:
    """One server for all tests of this package, with a fresh simulator behind it for each."""

    app: ASGIApp
    address: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="package")
def switchboard() -> Iterator[Switchboard]:
    board = Switchboard()
    with serve_in_thread(board) as board.address:
        yield board


@pytest.fixture
def simulator(switchboard: Switchboard) -> Simulator:
    simulator = Simulator(seed=7, queue_seconds=1, train_seconds=4)
    simulator.url = f"{switchboard.address}/v2"
    switchboard.app = simulator.app()
    return simulator


@pytest.fixture
def runpod(simulator: Simulator) -> Iterator[RunPod]:
    with RunPod(hasty(simulator)) as runpod:
        yield runpod
