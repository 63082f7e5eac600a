"""A job of the local endpoint: its states, the moves between them, and how it looks from outside.

States and rules are RunPod's: https://docs.runpod.io/serverless/endpoints/job-states
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """A job's state, in RunPod's words."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


#: Every move a job can make. ``JobStore._move`` is the only place that writes a state.
MOVES: dict[State, frozenset[State]] = {
    State.IN_QUEUE: frozenset({State.IN_PROGRESS, State.CANCELLED}),
    State.IN_PROGRESS: frozenset(
        {State.COMPLETED, State.FAILED, State.CANCELLED, State.TIMED_OUT, State.IN_QUEUE}
    ),
    State.FAILED: frozenset({State.IN_QUEUE}),
    State.TIMED_OUT: frozenset({State.IN_QUEUE}),
    State.COMPLETED: frozenset(),
    State.CANCELLED: frozenset(),
}
FINISHED = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.TIMED_OUT})


@dataclass(frozen=True)
class Job:
    """One row. Times are seconds since 1970; ``input`` and ``output`` are JSON text."""

    seq: int
    id: str
    state: State
    input: str
    output: str | None
    error: str | None
    worker_id: str | None
    execution_timeout_ms: int
    ttl_ms: int
    created_at: float
    queued_at: float
    started_at: float | None
    finished_at: float | None
    losses: int
    retries: int
    webhook: str | None
    webhook_tries: int
    webhook_at: float | None

    def as_status(self) -> dict[str, Any]:
        """The body of ``/status`` and of the webhook. What is not known yet is absent, as on RunPod."""
        body: dict[str, Any] = {"id": self.id, "status": self.state.value}
        if self.started_at is not None:
            body["delayTime"] = round((self.started_at - self.queued_at) * 1000)
            body["workerId"] = self.worker_id
            if self.finished_at is not None:
                body["executionTime"] = round((self.finished_at - self.started_at) * 1000)
        if self.losses + self.retries:
            body["retries"] = self.losses + self.retries
        if self.output is not None:
            body["output"] = json.loads(self.output)
        if self.error is not None:
            body["error"] = self.error
        return body
