"""Tasks of the registry. Each may run twice, and large work is cut into slices that end in time.

The queue takes one task after the other, trainings among them. So an inspection is never many tasks at
once: a dataset has at most one, which looks at a few images and queues itself again behind what came
meanwhile. After an import of thousands, datasets nobody waits for take their turns one by one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import async_task

from actors import storage
from actors.measuring import measure_images, waiting
from actors.models import ImageUpload, InspectionRun, TrainingDataset, TrainingImage

Thing = TypeVar("Thing")

#: What a task looks at before others have their turn: so many images, or so many seconds.
SLICE_IMAGES, SLICE_SECONDS = 20, 10.0
#: A task that has not written its time for so long is dead.
DEAD_AFTER = timedelta(minutes=15)
#: Uploads that never finished, and the record of those that did, are dropped after this.
KEEP_UPLOADS = timedelta(days=2)
#: A task that has not ended by then has died with its machine.
STUCK_AFTER = timedelta(hours=1)


def inspect_later(dataset: TrainingDataset) -> int:
    """Sees to it that a task looks at what nobody has looked into; returns how many images that is."""
    count = waiting(dataset).count()
    if count and InspectionRun.begin(dataset):
        async_task("actors.tasks.inspect", dataset.pk, task_name=f"inspect {dataset.actor_id}")
    return count


def inspect_again(dataset: TrainingDataset) -> int:
    """Queues every image, known or not."""
    dataset.images.update(inspected_at=None)
    dataset.write_verdict()
    return inspect_later(dataset)


def inspect_soon() -> None:
    """Call after images came in by the thousand; nobody waits for them."""
    async_task("actors.tasks.inspect_next", task_name="inspect what came in")


def inspect(dataset_id: int) -> None:
    """A slice of one dataset; judged once all of it is measured."""
    dataset = TrainingDataset.objects.filter(pk=dataset_id).first()
    if dataset is None:
        return inspect_next()
    images = waiting(dataset).select_related("dataset__actor").order_by("position", "id")
    measure_images(_slice(list(images[:SLICE_IMAGES])))
    if waiting(dataset).exists():
        InspectionRun.objects.filter(pk=dataset_id).update(seen_at=timezone.now())
        async_task("actors.tasks.inspect", dataset_id, task_name=f"inspect {dataset.actor_id}")
        return None
    InspectionRun.objects.filter(pk=dataset_id).delete()
    inspect_later(dataset)  # what came in since the look above found this task still there
    return inspect_next()


def _slice(work: Iterable[Thing]) -> Iterator[Thing]:
    end = time.monotonic() + SLICE_SECONDS
    for each in work:
        yield each
        if time.monotonic() > end:
            return


def inspect_next() -> None:
    """Goes on with a dataset that nobody has looked into, when no other is being inspected."""
    InspectionRun.objects.filter(seen_at__lt=timezone.now() - DEAD_AFTER).delete()
    if InspectionRun.objects.exists():
        return  # whoever ends last comes here again
    images = TrainingImage.objects.filter(
        dataset=OuterRef("pk"), inspected_at=None, state=TrainingImage.State.SYNCED
    ).exclude(url="")
    forgotten = TrainingDataset.objects.filter(Exists(images), actor__retired_at=None)
    if dataset := forgotten.order_by("actor__position", "pk").first():
        inspect_later(dataset)


def finish_upload(pk: str) -> None:
    """A ZIP or a URL import on its way in."""
    from actors import arrivals

    upload = ImageUpload.objects.filter(pk=pk, state=ImageUpload.State.WORKING).first()
    if upload:
        arrivals.settle(upload)


def take_listed(dataset_id: int) -> None:
    """A slice of the pictures that somebody has listed from the bucket."""
    from actors import arrivals

    dataset = TrainingDataset.objects.filter(pk=dataset_id).first()
    if dataset is None:
        return
    for upload in _slice(list(arrivals.listed(dataset)[:SLICE_IMAGES])):
        arrivals.settle(upload)
    if arrivals.listed(dataset).exists():
        async_task("actors.tasks.take_listed", dataset_id, task_name=f"list {dataset.actor_id}")


def sync_later(datasets: Iterable[TrainingDataset]) -> None:
    """Queues the push of local folders and the comparison with the object store, one after the other."""
    if ids := [dataset.pk for dataset in datasets]:
        async_task("actors.tasks.sync", ids, task_name=f"sync {len(ids)} datasets")


def sync(ids: list[int], after: str = "") -> None:
    """A slice of the first dataset's local folder; at its end the comparison, and the next dataset."""
    from actors import sync

    dataset, last = TrainingDataset.objects.get(pk=ids[0]), ""
    with suppress(sync.NoLocalFiles):
        for path in _slice(sync.local_files(dataset, after)):
            last = path.name
            if refusal := sync.push_file(dataset, path):
                _note_refusal(dataset, last, refusal)
        if last and sync.local_files(dataset, last):
            async_task("actors.tasks.sync", ids, last, task_name=f"sync {len(ids)} datasets")
            return
    sync.sync_dataset(dataset)
    inspect_later(dataset)
    if rest := ids[1:]:
        async_task("actors.tasks.sync", rest, task_name=f"sync {len(rest)} datasets")


def _note_refusal(dataset: TrainingDataset, name: str, why: str) -> None:
    """Shows on the dataset's page, as for other imports."""
    source = f"{dataset.local_path}/{name}"[:2000]
    dataset.uploads.filter(source_url=source).delete()
    state = ImageUpload.State.REFUSED
    dataset.uploads.create(file_name=name[:300], source_url=source, state=state, message=why)


def tidy() -> None:
    """Every ten minutes: drops old uploads with their bytes, and goes on with inspections that died."""
    ImageUpload.objects.filter(
        state=ImageUpload.State.WORKING, created_at__lt=timezone.now() - STUCK_AFTER
    ).update(state=ImageUpload.State.REFUSED, message="Its task was cut off. Send it again.")
    old = ImageUpload.objects.filter(created_at__lt=timezone.now() - KEEP_UPLOADS)
    for upload in old.iterator():
        storage.delete(storage.own(upload.key).s3)
        upload.delete()
    inspect_next()


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
