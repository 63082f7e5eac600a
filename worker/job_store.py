"""The local endpoint's memory: jobs, their states and the workers' stop signals, in one SQLite file.

Everything a restart must not lose is a row here; only "when did we last hear from a worker" is kept
in memory, because silence is measured from the moment the endpoint itself is up.
States and rules are RunPod's: https://docs.runpod.io/serverless/endpoints/job-states
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from worker.job_states import FINISHED, MOVES, Job, State

log = logging.getLogger("endpoint")

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    input TEXT NOT NULL,
    output TEXT,
    error TEXT,
    worker_id TEXT,
    execution_timeout_ms INTEGER NOT NULL,
    ttl_ms INTEGER NOT NULL,
    created_at REAL NOT NULL,
    queued_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    losses INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    webhook TEXT,
    webhook_tries INTEGER NOT NULL DEFAULT 0,
    webhook_at REAL
);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, queued_at, seq);
CREATE TABLE IF NOT EXISTS stops (worker_id TEXT NOT NULL, job_id TEXT NOT NULL, UNIQUE (worker_id, job_id));
CREATE TABLE IF NOT EXISTS excused (job_id TEXT NOT NULL UNIQUE);
"""


class StoreError(Exception):
    """The state file cannot be used; the message says why and what to do."""


class JobStore:
    """All reads and writes of jobs. One thread only; every verb is a few fast statements."""

    def __init__(self, path: Path, *, ping_timeout: float = 30.0, keep_seconds: float = 1800.0) -> None:
        self.ping_timeout = ping_timeout
        self.keep_seconds = keep_seconds
        self._db = _open(path)
        # Whoever held a job before a restart gets the full time to be heard again. Monotonic, so a
        # machine waking from sleep does not declare its workers dead before they can speak.
        holders = self._db.execute("SELECT worker_id FROM jobs WHERE state = ?", [State.IN_PROGRESS])
        self._seen: dict[str, float] = {worker_id: time.monotonic() for (worker_id,) in holders}

    def close(self) -> None:
        """Closes the file; nothing is pending, every verb has committed.

        Whoever stops the endpoint usually stops its workers too: a job that is lost by that is not to blame.
        """
        self._db.execute(
            "INSERT OR IGNORE INTO excused SELECT id FROM jobs WHERE state = ?", [State.IN_PROGRESS]
        )
        self._db.close()

    # -- the site's side ------------------------------------------------------------------------

    def submit(self, job_input: Any, webhook: str | None, execution_timeout_ms: int, ttl_ms: int) -> str:
        """The id of a new job at the end of the queue."""
        now = time.time()
        job_id = f"{uuid.uuid4()}-l1"
        self._db.execute(
            "INSERT INTO jobs (id, state, input, webhook, execution_timeout_ms, ttl_ms, created_at,"
            " queued_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [job_id, State.IN_QUEUE, json.dumps(job_input), webhook, execution_timeout_ms, ttl_ms, now, now],
        )
        log.info("job %s: IN_QUEUE", job_id)
        return job_id

    def get(self, job_id: str) -> Job | None:
        """The job; ``None`` when unknown or forgotten."""
        found = self._jobs("id = ?", job_id)
        return found[0] if found else None

    def cancel(self, job: Job) -> bool:
        """Stops a waiting or running job; false when it had already finished."""
        if job.state in FINISHED:
            return False
        self._tell_worker_to_stop(job)
        return self._move(job, State.CANCELLED, finished_at=time.time())

    def retry(self, job: Job) -> bool:
        """Puts a failed or timed-out job back at the end of the queue, without its old result."""
        if job.state not in (State.FAILED, State.TIMED_OUT):
            return False
        return self._move(
            job, State.IN_QUEUE, queued_at=time.time(), retries=job.retries + 1, losses=0, worker_id=None
        )

    def health(self) -> dict[str, Any]:
        """The body of ``/health``. Finished jobs count while their results are kept."""
        counts = dict(self._db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        (retried,) = self._db.execute("SELECT coalesce(sum(losses + retries), 0) FROM jobs").fetchone()
        busy = {job.worker_id for job in self._jobs("state = ?", State.IN_PROGRESS)}
        alive = {worker for worker in self._seen if not self._is_silent(worker)}
        return {
            "jobs": {
                "completed": counts.get(State.COMPLETED, 0),
                "failed": counts.get(State.FAILED, 0) + counts.get(State.TIMED_OUT, 0),
                "inProgress": counts.get(State.IN_PROGRESS, 0),
                "inQueue": counts.get(State.IN_QUEUE, 0),
                "retried": retried,
            },
            "workers": {
                "idle": len(alive - busy),
                "initializing": 0,
                "ready": len(alive),
                "running": len(alive & busy),
                "throttled": 0,
                "unhealthy": len(busy - alive),
            },
        }

    # -- the workers' side ----------------------------------------------------------------------

    def saw(self, worker_id: str) -> None:
        """The worker is alive now."""
        self._seen[worker_id] = time.monotonic()

    def drop_held(self, worker_id: str) -> None:
        """The worker says it holds no job: what we believed it was doing is lost (it was restarted,
        or could not deliver the result), and need not wait for the time-out."""
        for job in self._held_by(worker_id):
            self._lose(job, f"worker {worker_id} gave it up")

    def take(self, worker_id: str) -> Job | None:
        """The job that waits longest, now in progress at this worker; one job per worker."""
        if self._held_by(worker_id):
            return None
        for job in self._jobs("state = ? ORDER BY queued_at, seq LIMIT 1", State.IN_QUEUE):
            # A stop meant for an earlier run of this job must not hit the new one.
            self._db.execute("DELETE FROM stops WHERE worker_id = ? AND job_id = ?", [worker_id, job.id])
            if self._move(job, State.IN_PROGRESS, worker_id=worker_id, started_at=time.time()):
                return self.get(job.id)
        return None

    def record_progress(self, worker_id: str, job_id: str, output: Any) -> bool:
        """Shows ``output`` while the job runs. Late news of a finished or moved job is dropped."""
        changed = self._db.execute(
            "UPDATE jobs SET output = ? WHERE id = ? AND worker_id = ? AND state = ?",
            [json.dumps(output), job_id, worker_id, State.IN_PROGRESS],
        )
        return changed.rowcount == 1

    def finish(self, worker_id: str, job_id: str, output: Any, error: str | None) -> bool:
        """Completes or fails the job; false when this worker does not (or no longer) hold it."""
        job = self.get(job_id)
        if job is None or job.state != State.IN_PROGRESS or job.worker_id != worker_id:
            return False
        state = State.COMPLETED if error is None else State.FAILED
        text = None if output is None else json.dumps(output)
        return self._move(job, state, output=text, error=error, finished_at=time.time())

    def ping(self, worker_id: str, job_ids: Iterable[str]) -> None:
        """A sign of life. A job in the worker's hands that is not its own any more must be stopped."""
        self.saw(worker_id)
        own = {job.id for job in self._held_by(worker_id)}
        for job_id in set(job_ids) - own:
            self._db.execute("INSERT OR IGNORE INTO stops VALUES (?, ?)", [worker_id, job_id])

    def take_stops(self, worker_id: str) -> list[str] | None:
        """Jobs the worker must stop, each told once; a ping that still names one tells it again."""
        rows = self._db.execute("DELETE FROM stops WHERE worker_id = ? RETURNING job_id", [worker_id])
        return [job_id for (job_id,) in rows.fetchall()] or None

    # -- time -----------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Everything that happens because time passed."""
        now = time.time()
        for job in self._jobs(
            "state IN (?, ?) AND created_at + ttl_ms / 1000.0 < ?", State.IN_QUEUE, State.IN_PROGRESS, now
        ):
            self._tell_worker_to_stop(job)
            self._forget(job, "its ttl has passed")
        for job in self._jobs("state = ?", State.IN_PROGRESS):
            if (job.started_at or 0) + job.execution_timeout_ms / 1000 < now:
                self._tell_worker_to_stop(job)
                limit = f"{job.execution_timeout_ms / 1000:g} s"
                error = f"Stopped after {limit}: policy.executionTimeout was reached. Raise it, or do less."
                self._move(job, State.TIMED_OUT, error=error, finished_at=now)
            elif self._is_silent(job.worker_id):
                self._lose(job, f"worker {job.worker_id} has been silent for {self.ping_timeout:g} s")
        for job in self._jobs("finished_at + ? < ?", self.keep_seconds, now):
            self._forget(job, "kept long enough")
        self._seen = {w: at for w, at in self._seen.items() if not self._is_silent(w) or self._held_by(w)}

    def due_webhooks(self) -> list[Job]:
        """Finished jobs whose webhook is to be called now."""
        return self._jobs("webhook_at <= ?", time.time())

    def webhook_done(self, job: Job, *, delivered: bool, tries: int, interval: float) -> None:
        """One attempt was made; at most ``tries`` attempts, ``interval`` seconds apart."""
        again = not delivered and job.webhook_tries + 1 < tries
        self._db.execute(
            "UPDATE jobs SET webhook_tries = webhook_tries + 1, webhook_at = ? WHERE id = ? AND state = ?",
            [time.time() + interval if again else None, job.id, job.state],
        )

    # -- inside ---------------------------------------------------------------------------------

    def _move(self, job: Job, to: State, **columns: Any) -> bool:
        """The only writer of ``state``: one conditional UPDATE; false when someone moved it first."""
        if to not in MOVES[job.state]:
            raise ValueError(f"a job cannot go from {job.state} to {to}")
        if to == State.IN_QUEUE:
            columns = {"output": None, "error": None, "started_at": None, "finished_at": None} | columns
        if job.webhook is not None:
            columns |= {"webhook_at": columns.get("finished_at"), "webhook_tries": 0}
        names = "".join(f", {name} = ?" for name in columns)
        changed = self._db.execute(
            f"UPDATE jobs SET state = ?{names} WHERE id = ? AND state = ?",  # noqa: S608 (own names)
            [to, *columns.values(), job.id, job.state],
        )
        if changed.rowcount:
            log.info(
                "job %s: %s -> %s %s",
                job.id,
                job.state,
                to,
                columns.get("error") or columns.get("worker_id") or "",
            )
        return changed.rowcount == 1

    def _lose(self, job: Job, why: str) -> None:
        """Once more for another worker; a second loss is a failure: the job may be what kills workers."""
        self._tell_worker_to_stop(job)
        excused = self._db.execute("DELETE FROM excused WHERE job_id = ?", [job.id]).rowcount == 1
        if excused or job.losses == 0:
            log.warning("job %s goes back to the queue: %s", job.id, why)
            self._move(job, State.IN_QUEUE, losses=job.losses + (not excused), worker_id=None)
        else:
            error = f"The job was lost twice, the last time because {why}. Look at the worker, then retry."
            self._move(job, State.FAILED, output=None, error=error, finished_at=time.time())

    def _forget(self, job: Job, why: str) -> None:
        log.info("job %s: forgotten, %s", job.id, why)
        self._db.execute("DELETE FROM jobs WHERE id = ? AND state = ?", [job.id, job.state])

    def _tell_worker_to_stop(self, job: Job) -> None:
        if job.state == State.IN_PROGRESS:
            self._db.execute("INSERT OR IGNORE INTO stops VALUES (?, ?)", [job.worker_id, job.id])

    def _is_silent(self, worker_id: str | None) -> bool:
        return time.monotonic() - self._seen.get(worker_id or "", float("-inf")) > self.ping_timeout

    def _held_by(self, worker_id: str) -> list[Job]:
        return self._jobs("worker_id = ? AND state = ?", worker_id, State.IN_PROGRESS)

    def _jobs(self, where: str, *values: Any) -> list[Job]:
        cursor = self._db.execute(f"SELECT * FROM jobs WHERE {where}", values)  # noqa: S608 (own text)
        names = [column[0] for column in cursor.description]
        rows = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
        return [Job(**(row | {"state": State(row["state"])})) for row in rows]


def _open(path: Path) -> sqlite3.Connection:
    """The database, made when missing, readable by its owner only: job inputs hold signed URLs."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(path, isolation_level=None, timeout=5)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # safe against SIGKILL; only a power cut may cost rows
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise StoreError(f"{path} was written by another release (format {version}). Move it away.")
        db.executescript(SCHEMA)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"The state file {path} cannot be used: {error}. Move it away or fix it.") from error
    return db
