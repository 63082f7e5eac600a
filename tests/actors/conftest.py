"""What tests of datasets share."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.module_loading import import_string


@pytest.fixture
def tasks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry's tasks run in the call that queues them, as a worker would right after it."""

    def run(name: str, *arguments: Any, **_: Any) -> None:
        import_string(name)(*arguments)

    for module in ("actors.tasks", "actors.arrivals"):
        monkeypatch.setattr(f"{module}.async_task", run)
