"""Jobs that nobody waits for any more: each is stopped, however often that takes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import models, transaction
from django.db.models import F
from django.utils import timezone
from django_q.tasks import async_task

if TYPE_CHECKING:
    from training.models import TrainingVersion

#: After this the endpoint has dropped the job by itself.
LONGEST = timedelta(days=8)
#: A job that runs on costs money each minute.
LONGEST_PAUSE = timedelta(minutes=1)


class JobToStop(models.Model):
    """One order to cancel a job. It outlives the version, which may be deleted meanwhile."""

    job_id = models.CharField(max_length=200, primary_key=True)
    endpoint_id = models.CharField(max_length=200, blank=True)
    #: No foreign key: the order stays when the version goes.
    version_pk = models.PositiveBigIntegerField()
    ordered_at = models.DateTimeField(default=timezone.now)
    next_try_at = models.DateTimeField(default=timezone.now, db_index=True)
    failures = models.PositiveIntegerField(default=0)

    class Meta:
        app_label = "training"
        verbose_name_plural = "jobs to stop"

    def __str__(self) -> str:
        return self.job_id

    @classmethod
    def order(cls, version: TrainingVersion, job_id: str = "") -> None:
        """Has a job of this version stopped, soon and surely: the sweep repeats what does not work."""
        facts = {"endpoint_id": version.endpoint_id, "version_pk": version.pk}
        stop, made = cls.objects.get_or_create(job_id=job_id or version.job_id or "", defaults=facts)
        if made:
            transaction.on_commit(lambda: async_task("training.tasks.stop_job", stop.pk))

    @classmethod
    def order_job(cls, endpoint_id: str, job_id: str) -> None:
        """The same for a job that no version stands behind: a preview's."""
        facts = {"endpoint_id": endpoint_id, "version_pk": 0}
        stop, made = cls.objects.get_or_create(job_id=job_id, defaults=facts)
        if made:
            transaction.on_commit(lambda: async_task("training.tasks.stop_job", stop.pk))

    @classmethod
    def due(cls, now: datetime) -> list[str]:
        """Takes those whose next try is due; each is given to one caller."""
        keys = cls.objects.filter(next_try_at__lte=now).order_by("next_try_at").values_list("pk", flat=True)
        later = now + timedelta(seconds=30)
        return [
            key
            for key in keys[:50]
            if cls.objects.filter(pk=key, next_try_at__lte=now).update(next_try_at=later)
        ]

    def put_off(self) -> None:
        """It could not be stopped now: again, ever later."""
        pause = min(LONGEST_PAUSE, timedelta(seconds=3 * 2 ** min(self.failures, 10)))
        JobToStop.objects.filter(pk=self.pk).update(
            failures=F("failures") + 1, next_try_at=timezone.now() + pause
        )

    @property
    def is_over(self) -> bool:
        """Whether the job can't be there any more."""
        return timezone.now() - self.ordered_at > LONGEST
