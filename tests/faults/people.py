"""What people do while everything is being killed: launch, cancel, and decide about lost answers."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
from django.contrib.auth.models import User
from django.test import Client

from actors.models import Actor
from actors.tokens import make_token
from tests.factories import make_drawn_actor
from training.models import ACTIVE, Preview, Status, TrainingVersion
from training.preview_models import PreviewStatus

CSRF = "f" * 32


class People:
    """One trainer with a browser and a script. A call that breaks off is made again, as people do."""

    def __init__(self, web: str, actors: int, chance: random.Random) -> None:
        self.web, self.chance = web, chance
        user = User.objects.create_superuser("trainer", "", "trainer")
        browser = Client()
        browser.force_login(user)
        self._cookies = {"sessionid": browser.cookies["sessionid"].value, "csrftoken": CSRF}
        self._token = make_token(user, "fault test", ["read", "train"])[1]
        self.actors: list[Actor] = [make_drawn_actor() for _ in range(actors)]
        #: Launches that were begun and not acknowledged yet, by actor; and all that were.
        self.open: dict[int, str] = {}
        self.acknowledged: dict[str, int] = {}
        self.cancelled: set[int] = set()
        self.decisions: list[str] = []

    def act(self, jobs: Mapping[str, Any]) -> None:
        """One round of everything that people may want to do now."""
        busy = set(TrainingVersion.objects.filter(status__in=ACTIVE).values_list("actor_id", flat=True))
        for actor in self.actors:
            if actor.pk in self.open or actor.pk not in busy:
                self.launch(actor.pk)
        self.decide(jobs)

    def launch(self, actor: int) -> None:
        """With a key: a launch whose answer is lost is asked for again and is still one launch."""
        key = self.open.setdefault(actor, uuid.UUID(int=self.chance.getrandbits(128)).hex)
        parameters = {"max_train_steps": 60, "lr_warmup_steps": 5}
        answer = self._post(
            "/api/versions",
            json={"actor": actor, "parameters": parameters},
            headers={"Authorization": f"Token {self._token}", "Idempotency-Key": key},
        )
        if answer is not None and answer.status_code == 201:
            self.acknowledged[key] = int(answer.json()["id"])
            del self.open[actor]

    def cancel_one(self) -> None:
        """At any moment, so often the wrong one."""
        keys = list(TrainingVersion.objects.filter(status__in=ACTIVE).values_list("pk", flat=True))
        if keys:
            chosen = self.chance.choice(keys)
            self._post(f"/trainings/{chosen}/cancel")

    def decide(self, jobs: Mapping[str, Any]) -> None:
        """Where an answer is lost, look at the endpoint's own page and say what is true."""
        for version in TrainingVersion.objects.filter(status=Status.SUBMITTING):
            if not version.can_be_resolved:
                continue
            mine = [job for job in jobs.values() if job["config"]["request_id"] == version.request_id]
            states = [job["state"] for job in mine]
            if not states:
                self._decide("resubmit", version)
            elif states == ["FAILED"]:
                self._decide("give-up", version)

        for preview in Preview.objects.filter(status=PreviewStatus.CLAIMED):
            if not preview.can_be_resolved:
                continue
            mine = [job for job in jobs.values() if job["config"]["request_id"] == preview.request_id]
            states = [job["state"] for job in mine]
            if not states:
                self._decide("send-again", preview)
            elif states == ["FAILED"]:
                self._decide("give-up", preview)

    def _decide(self, what: str, found: TrainingVersion | Preview) -> None:
        place = "previews" if isinstance(found, Preview) else "trainings"
        if self._post(f"/{place}/{found.pk}/{what}") is not None:
            self.decisions.append(what)

    def _post(self, path: str, **request: Any) -> httpx.Response | None:
        browser = {"cookies": self._cookies, "headers": {"X-CSRFToken": CSRF, "Referer": self.web}}
        call: dict[str, Any] = request or browser
        try:
            answer = httpx.post(self.web + path, timeout=10, **call)
        except httpx.HTTPError:
            return None
        if "/login" in answer.headers.get("location", ""):
            raise RuntimeError(f"{path}: the trainer is not signed in")
        return answer if answer.status_code < 400 else None
