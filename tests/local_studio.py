"""The real site on its real local endpoint, part by part: one can be killed while the others go on."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

from actortrain_site.start import commands
from tests.faults.studio import ROOT, Studio, free_port

PASSWORD = "click click click"
PREPARE = """
from django.contrib.auth.models import User
from actortrain_site import preparation
from training.models import PreviewSettings
preparation.prepare()
PreviewSettings(pk=1, automatic=False).save()  # the one worker is for trainings
User.objects.create_superuser("admin", "", {password!r})
"""
#: As a curator does in the dataset.
LEAVE_FLAWED_OUT = """
from actors.models import TrainingDataset
for dataset in TrainingDataset.objects.all():
    wrong = [image.pk for image in dataset.images.all() if "error" in {f["level"] for f in image.findings}]
    dataset.images.filter(pk__in=wrong).update(included=False)
    dataset.touch()
"""


class LocalStudio(Studio):
    """Web, tasks, endpoint and worker as ``make start`` runs them, with the demo actors and quick samples."""

    def __init__(self, room: Path) -> None:
        super().__init__(room, f"sqlite:///{room / 'site.sqlite3'}", seed=0)
        self.port = free_port()
        own = {key: value for key, value in self.environment.items() if not key.startswith("RUNPOD")}
        address = {
            "LOCAL_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "ACTORTRAIN_ENDPOINT_KEY": "local key",
        }
        worker = {"ACTORTRAIN_TRAINER": "tests.sketching_trainer", "OMP_NUM_THREADS": "1"}
        self.environment = own | address | worker | {"PYTHONUNBUFFERED": "1"}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web}"

    def commands(self) -> dict[str, list[str]]:
        """Those of the start command, without the interpreter in front."""
        found = commands("127.0.0.1", self.web, ("127.0.0.1", self.port), self.room)
        return {name: command[1:] for name, command in found.items()}

    def prepare(self) -> None:
        """Tables, static files, demo actors, and a login."""
        self.run(PREPARE.format(password=PASSWORD))

    def run(self, code: str) -> None:
        """Code on the studio's database, in a process of its own."""
        command = [sys.executable, "-c", f"import django; django.setup()\n{code}"]
        subprocess.run(command, cwd=ROOT, env=os.environ | self.environment, check=True)

    def jobs_by_actor(self) -> Counter[str]:
        """How many training jobs the endpoint was ever given, by the model they train."""
        with sqlite3.connect(self.room / "endpoint.sqlite3") as database:
            inputs = [
                json.loads(row[0])["training_config"] for row in database.execute("SELECT input FROM jobs")
            ]
        return Counter(config["model_name"] for config in inputs if config["mode"] != "preview")
