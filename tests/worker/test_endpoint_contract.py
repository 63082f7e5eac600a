"""The local endpoint with an unmodified RunPod SDK worker keeps the site's contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.endpoint_contract import EndpointContract, EndpointUnderTest
from tests.worker.processes import KEY, running_endpoint, running_worker

pytestmark = pytest.mark.xdist_group("endpoint")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointUnderTest]:
    room = tmp_path_factory.mktemp("endpoint")
    with (
        running_endpoint(room / "endpoint.sqlite3") as endpoint,
        running_worker(endpoint.base_url, room / "worker"),
    ):
        yield EndpointUnderTest(endpoint.base_url, KEY, lambda outcome: {"do": outcome})


class TestLocalEndpoint(EndpointContract):
    pass
