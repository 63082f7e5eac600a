"""What the endpoint says about one job: outside this file nothing of it is Any but the raw output."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from training import strict_json as read
from training.progress import Progress, parse_progress
from training.strict_json import UnreadableReportError

_JOB_ID = re.compile(r"(?!\.+$)[^\s/?#%\\\x00-\x1f\x7f]{1,200}")


class JobState(StrEnum):
    """https://docs.runpod.io/serverless/endpoints/job-states"""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def is_final(self) -> bool:
        return self not in (JobState.IN_QUEUE, JobState.IN_PROGRESS)


class UnknownJobStateError(UnreadableReportError):
    """A job's status, but in a state that RunPod's documentation does not know."""


@dataclass(frozen=True)
class JobReport:
    """One answer about one job, whether from ``/status``, ``/run``, ``/cancel`` or a webhook.

    ``progress`` is None where the container reports none. ``notes`` name the parts that were dropped.
    """

    id: str
    state: JobState
    output: Any = None
    error: str | None = None
    delay_ms: int | None = None
    execution_ms: int | None = None
    retries: int = 0
    worker_id: str = ""
    progress: Progress | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def lora_url(self) -> str | None:
        return lora_url(self.output)

    @property
    def lora_name(self) -> str | None:
        return read.text(read.at(self.output, "loraName"), 300)

    @property
    def lora_bytes(self) -> int | None:
        return read.integer(read.at(self.output, "model_info", "size_bytes"), read.MAX_BIG_INT)


def lora_url(output: object) -> str | None:
    """Where the finished LoRA lies, as it came. Containers name it differently."""
    for path in (("loraUrl",), ("s3_url",), ("model_info", "download_url")):
        if url := read.address(read.at(output, *path)):
            return url
    return None


def same_job(one: str, other: str) -> bool:
    """A webhook may carry the id without its ``-e1`` suffix."""
    return _bare_id(one) == _bare_id(other)


def parse_report(body: bytes | str) -> JobReport:
    """The body of ``/status`` or a webhook, as one report.

    Raises :class:`UnreadableReportError`, or :class:`UnknownJobStateError` for a state of its own.
    """
    data = read.json_object(body)
    job_id = data.get("id")
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        raise UnreadableReportError("The answer names no job.")
    word = data.get("status")
    if word not in list(JobState):
        raise UnknownJobStateError(f"The endpoint says that the job is {read.text(word, 60) or 'nothing'!r}.")
    state = JobState(word)
    output = data.get("output")
    picture = output if state == JobState.IN_PROGRESS else read.at(output, "progress")
    progress, notes = parse_progress(picture)
    return JobReport(
        id=job_id,
        state=state,
        output=output,
        error=error_text(data.get("error"))
        or (error_text(read.at(output, "error")) if state.is_final else None),
        delay_ms=read.integer(data.get("delayTime"), read.MAX_BIG_INT),
        execution_ms=read.integer(data.get("executionTime"), read.MAX_BIG_INT),
        retries=read.integer(data.get("retries"), read.MAX_INT) or 0,
        worker_id=read.text(data.get("workerId"), 200) or "",
        progress=progress,
        notes=tuple(notes),
    )


def _bare_id(job_id: str) -> str:
    return re.sub(r"-[a-z]\d+$", "", job_id)


def error_text(value: object) -> str | None:
    """One readable text. The SDK wraps a crash in JSON: type, message and traceback, as a string."""
    if isinstance(value, Mapping):
        value = value.get("error_message") or value.get("message") or json.dumps(value)
    text = read.text(value, 20_000)
    if text and text.startswith("{"):
        try:
            wrapped = json.loads(text)
        except (ValueError, RecursionError):
            return text[:2000]
        text = read.text(read.at(wrapped, "error_message"), 2000) or text
    return text[:2000] if text else None
