"""The endpoints that train: how to reach one, and what was last seen of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Self

from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from training.runpod import Health, RunPod, RunPodConfig, RunPodError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Older than this, what was seen of an endpoint no longer counts.
FRESH = timedelta(minutes=3)


def connect(endpoint_id: str = "", *, hasty: bool = False) -> RunPod:
    """A client of this endpoint, by default the configured one; use it as a context manager.

    A version is looked up where it was sent, even when the site sends new ones elsewhere by now.
    ``hasty`` is for callers who keep somebody waiting: one try, a few seconds.
    """
    patience: Mapping[str, float] = (
        {"connect_timeout": 2, "read_timeout": 4, "answer_timeout": 5} if hasty else {}
    )
    config = RunPodConfig(
        settings.RUNPOD_BASE_URL,
        endpoint_id or settings.RUNPOD_ENDPOINT_ID,
        settings.RUNPOD_API_KEY,
        retries=0 if hasty else 3,
        **patience,
    )
    return RunPod(config)


class EndpointState(models.Model):
    """What the sweep saw last: RunPod's own counts, or the trouble, said once and not per training."""

    endpoint_id = models.CharField(max_length=200, primary_key=True)
    looked_at = models.DateTimeField(default=timezone.now)
    jobs = models.JSONField(default=dict)
    workers = models.JSONField(default=dict)
    trouble = models.TextField(blank=True)
    trouble_since = models.DateTimeField(null=True)

    class Meta:
        app_label = "training"

    def __str__(self) -> str:
        return self.endpoint_id

    @staticmethod
    def configured() -> str:
        """The endpoint that new trainings are sent to."""
        return str(settings.RUNPOD_ENDPOINT_ID)

    @classmethod
    def current(cls) -> Self | None:
        """The configured endpoint as it was seen lately; ``None`` when nobody has looked."""
        state = cls.objects.filter(endpoint_id=cls.configured()).first()
        return state if state and timezone.now() - state.looked_at < FRESH else None

    @classmethod
    def look(cls, endpoint_id: str, runpod: RunPod) -> bool:
        """Asks the endpoint how it is. False when it could not say."""
        try:
            cls.well(endpoint_id, runpod.health())
        except RunPodError as error:
            cls.troubled(endpoint_id, str(error))
            return False
        return True

    @classmethod
    def well(cls, endpoint_id: str, health: Health) -> None:
        """It answers."""
        seen = {"looked_at": timezone.now(), "jobs": dict(health.jobs), "workers": dict(health.workers)}
        facts = {**seen, "trouble": "", "trouble_since": None}
        cls.objects.update_or_create(endpoint_id=endpoint_id, defaults=facts)

    @classmethod
    def troubled(cls, endpoint_id: str, why: str) -> None:
        """It does not; since when is kept while it lasts."""
        cls.objects.get_or_create(endpoint_id=endpoint_id)
        cls.objects.filter(endpoint_id=endpoint_id).update(
            looked_at=timezone.now(), trouble=why, trouble_since=Coalesce("trouble_since", Now())
        )

    def count(self, of: Literal["jobs", "workers"], word: str) -> int:
        """One of RunPod's counts; 0 where it told none."""
        return int((self.jobs if of == "jobs" else self.workers).get(word, 0))

    @property
    def is_cold(self) -> bool:
        """No worker is up: the next job waits for one to start."""
        return not any(self.count("workers", word) for word in ("idle", "ready", "running"))

    @property
    def can_work(self) -> bool:
        """Whether jobs that wait have a worker, or one that is starting."""
        starting = self.count("workers", "initializing")
        return not self.is_cold or bool(starting) or not self.count("jobs", "inQueue")

    @property
    def words(self) -> str:
        """The counts in one line."""
        jobs = f"Jobs: {self.count('jobs', 'inProgress')} running, {self.count('jobs', 'inQueue')} waiting."
        names = ("running", "idle", "initializing", "throttled", "unhealthy")
        workers = [f"{self.count('workers', name)} {name}" for name in names if self.count("workers", name)]
        return f"{jobs} Workers: {', '.join(workers) or 'none is up; one starts when a job comes'}."
