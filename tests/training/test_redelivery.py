"""A task that is delivered twice, at once or in sequence, changes nothing the second time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.core import mail
from django.db import connection
from django_q.models import Schedule
from pytest_django.fixtures import Settings

from tests.factories import make_version
from tests.runpod_simulator import Simulator
from tests.training import at_once
from training import notices, tasks
from training.models import Status

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.django_db
@pytest.mark.parametrize("scenario", at_once.SCENARIOS)
@pytest.mark.usefixtures("media")
def test_one_after_another(
    scenario: at_once.Scenario, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "SWEEP_SECONDS", 0)
    assert scenario(at_once.one_after_another, lambda: simulator.accepted) == ""


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scenario", at_once.SCENARIOS)
@pytest.mark.usefixtures("media")
def test_at_once_on_postgresql(
    scenario: at_once.Scenario, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "SWEEP_SECONDS", 0)
    errors: list[BaseException] = []

    def in_threads(step: at_once.Step) -> None:
        barrier = threading.Barrier(at_once.TIMES)

        def run() -> None:
            barrier.wait()
            try:
                step()
            except Exception as error:  # noqa: BLE001  # shown by the test
                errors.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(at_once.TIMES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert scenario(in_threads, lambda: simulator.accepted) == ""
    assert errors == []


@pytest.mark.slow
def test_at_once_on_sqlite_by_processes(tmp_path: Path, migrated: Path) -> None:
    environment = {
        **os.environ,
        "ENV_FILE": os.devnull,
        "VAR_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{shutil.copy(migrated, tmp_path)}",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "tests.training.at_once"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr[-3000:]


@pytest.mark.django_db
def test_a_letter_is_sent_once(settings: Settings) -> None:
    settings.NOTIFY_EMAILS = ["studio@example.com"]
    version = make_version(status=Status.TRAINING)
    version.fail("Out of memory.")
    notices.send(version.pk, "failed")
    notices.send(version.pk, "failed")
    assert len(mail.outbox) == 1


@pytest.mark.django_db
def test_a_letter_that_could_not_be_sent_is_sent_when_the_task_comes_again(settings: Settings) -> None:
    settings.NOTIFY_EMAILS = ["studio@example.com"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    version = make_version(status=Status.TRAINING)
    version.fail("Out of memory.")
    with pytest.raises(OSError, match="refused"):
        notices.send(version.pk, "failed")
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    notices.send(version.pk, "failed")
    assert len(mail.outbox) == 1


@pytest.mark.django_db
def test_the_schedule_is_there_once() -> None:
    tasks.ensure_schedule()
    tasks.ensure_schedule()
    assert Schedule.objects.filter(name="sweep").count() == 1
