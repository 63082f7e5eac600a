"""Tasks of the registry. Each may run twice, and large work is cut into batches that end in time."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from actors import storage
from actors.measuring import measure_images, waiting
from actors.models import Actor, ImageUpload, TrainingDataset, TrainingImage

#: Faces take up to half a second a picture; a task has three minutes.
BATCH = 20
#: More waiting tasks than this is a queue that nothing is added to without need.
BUSY = 50
#: Uploads that never finished, and the record of those that did, are dropped after this.
KEEP_UPLOADS = timedelta(days=2)
#: A task that has not ended by then has died with its machine.
STUCK_AFTER = timedelta(hours=1)


def inspect_later(dataset: TrainingDataset) -> int:
    """Queues what nobody has looked into yet; returns how many images that is."""
    ids = list(waiting(dataset).values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH):
        async_task(
            "actors.tasks.inspect", ids[start : start + BATCH], task_name=f"inspect {dataset.actor_id}"
        )
    return len(ids)


def inspect_again(dataset: TrainingDataset) -> int:
    """Queues every image, known or not."""
    dataset.images.update(inspected_at=None)
    dataset.write_verdict()
    return inspect_later(dataset)


def inspect(ids: list[int]) -> None:
    """Measures images, then judges their dataset once all of it is measured."""
    chosen = TrainingImage.objects.filter(pk__in=ids).select_related("dataset__actor")
    measure_images(chosen.iterator(chunk_size=BATCH))


def finish_upload(pk: str) -> None:
    """A ZIP or a URL import on its way in."""
    from actors import arrivals

    upload = ImageUpload.objects.filter(pk=pk, state=ImageUpload.State.WORKING).first()
    if upload:
        arrivals.settle(upload)


def sync(actor_id: int) -> None:
    """Compares one dataset with the object store, and pushes what is only local."""
    from actors.sync import push_local, sync_dataset

    actor = Actor.objects.select_related("dataset").get(pk=actor_id)
    push_local(actor.dataset)
    sync_dataset(actor.dataset)
    inspect_later(actor.dataset)


def tidy() -> None:
    """Once an hour: drops old uploads with their bytes, and inspects what slipped through."""
    ImageUpload.objects.filter(
        state=ImageUpload.State.WORKING, created_at__lt=timezone.now() - STUCK_AFTER
    ).update(state=ImageUpload.State.REFUSED, message="Its task was cut off. Send it again.")
    old = ImageUpload.objects.filter(created_at__lt=timezone.now() - KEEP_UPLOADS)
    for upload in old.iterator():
        storage.delete(storage.own(upload.key).s3)
        upload.delete()
    if OrmQ.objects.count() > BUSY:
        return  # what is queued already must not be queued again
    forgotten = TrainingDataset.objects.filter(
        images__inspected_at=None, images__state=TrainingImage.State.SYNCED
    ).exclude(images__url="")
    for dataset in forgotten.distinct()[:50]:
        inspect_later(dataset)


def ensure_schedule(**_: object) -> None:
    """Runs after every migrate."""
    Schedule.objects.update_or_create(
        name="tidy uploads",
        defaults={
            "func": "actors.tasks.tidy",
            "schedule_type": Schedule.MINUTES,
            "minutes": 10,
            "repeats": -1,
        },
    )
