"""Uploads once their bytes are there: taken in, skipped or refused, and always with an end."""

from __future__ import annotations

import tempfile
import zipfile
from typing import IO, TYPE_CHECKING, cast

from django.conf import settings
from django.db.models import QuerySet
from django_q.tasks import async_task

from actors import archives, ingest, remote_images, storage, tasks
from actors.archives import RefusedArchive
from actors.images import RefusedImage
from actors.models import ImageUpload, TrainingDataset
from actors.remote_images import RefusedUrl

if TYPE_CHECKING:
    from django.contrib.auth.models import User

State = ImageUpload.State


def finish(upload: ImageUpload) -> None:
    """The browser says the bytes are there. Pictures are settled at once, archives by a task.

    Called twice, the second call changes nothing.
    """
    size = storage.size(storage.own(upload.key).s3)
    if size is None:
        return  # not there yet: the browser sends it again
    if not ImageUpload.objects.filter(pk=upload.pk, state=State.WAITING).update(state=State.WORKING):
        upload.refresh_from_db()
        return
    upload.state = State.WORKING
    if size > settings.MAX_IMAGE_BYTES or upload.file_name.lower().endswith(".zip"):
        async_task("actors.tasks.finish_upload", str(upload.pk), task_name=f"unpack {upload.pk}")
    else:
        try:
            settle(upload)
        except Exception:
            # Ours, not the file's: the bytes are still there, and the browser asks again.
            ImageUpload.objects.filter(pk=upload.pk, state=State.WORKING).update(state=State.WAITING)
            raise


def start_url(dataset: TrainingDataset, url: str, *, by: User | None) -> ImageUpload:
    """Queues an import by URL. Raises ``RefusedUrl`` for what is never asked."""
    remote_images.check(url)
    name = ingest.safe_name(url.partition("?")[0].rsplit("/", 1)[-1] or "picture")
    upload = ImageUpload.objects.create(
        dataset=dataset, by=by, file_name=name, source_url=url[:2000], state=State.WORKING
    )
    async_task("actors.tasks.finish_upload", str(upload.pk), task_name=f"fetch {upload.pk}")
    return upload


def settle(upload: ImageUpload) -> None:
    """Looks into the bytes and gives the upload its end. The incoming copy is removed."""
    incoming = storage.own(upload.key).s3
    try:
        if upload.source_url.startswith("s3://"):
            with storage.opened(upload.source_url, settings.MAX_IMAGE_BYTES) as file:
                _take(upload, file)
        elif upload.source_url:
            with tempfile.SpooledTemporaryFile(max_size=8 * 1024 * 1024) as copy:
                remote_images.fetch(upload.source_url, cast("IO[bytes]", copy))
                _take(upload, cast("IO[bytes]", copy))
        else:
            with storage.opened(incoming, settings.MAX_ZIP_BYTES) as file:
                _take(upload, file)
    except ingest.Duplicate as duplicate:
        upload.end(State.SKIPPED, str(duplicate), duplicate.image)
    except (RefusedImage, RefusedArchive, RefusedUrl) as refusal:
        upload.end(State.REFUSED, str(refusal))
    except FileNotFoundError:
        upload.end(State.REFUSED, "The file never arrived; upload it again.")
    except OSError:
        if not upload.source_url:
            raise  # the bytes are there: the browser, or the task's next attempt, asks again
        upload.end(State.REFUSED, "The object store does not answer. Import it again later.")
    storage.delete(incoming)
    tasks.inspect_later(upload.dataset)


def _take(upload: ImageUpload, file: IO[bytes]) -> None:
    by = upload.by
    file.seek(0)
    if file.read(4) == b"PK\x03\x04" and zipfile.is_zipfile(file):
        upload.end(State.DONE, archives.unpack(upload.dataset, file, by=by).summary())
        return
    lies_at = upload.source_url if upload.source_url.startswith("s3://") else ""
    image = ingest.take_in(
        upload.dataset, file, upload.file_name, caption=upload.caption, lies_at=lies_at, by=by
    )
    upload.end(State.DONE, "", image)


def start_prefix(dataset: TrainingDataset, prefix: str, *, by: User | None) -> int:
    """Queues the pictures of a folder of the site's bucket; returns how many.

    Raises ``RefusedImage`` for prefixes that hold the site's own files.
    """
    prefix = prefix.strip().removeprefix(f"s3://{storage.bucket_name()}/").lstrip("/")
    if (
        not prefix
        or ".." in prefix.split("/")
        or prefix.startswith(("incoming", "thumbs", "loras", "samples"))
    ):
        raise RefusedImage("Name a folder of this bucket that holds images, such as scans/anna/.")
    known = {url for row in dataset.images.values_list("url", "original_url") for url in row}
    room = settings.MAX_DATASET_IMAGES - dataset.images.count()
    urls = [
        storage.own(key).s3
        for key in sorted(storage.list_prefix(storage.bucket_name(), prefix))
        if key.lower().endswith(ingest.IMAGE_NAMES)
    ]
    new = [url for url in urls if url not in known][: max(0, room)]
    dataset.uploads.filter(source_url__in=new).delete()  # how an earlier try ended
    ImageUpload.objects.bulk_create(
        ImageUpload(
            dataset=dataset, by=by, file_name=ingest.safe_name(url), source_url=url, state=State.WORKING
        )
        for url in new
    )
    if new:
        async_task("actors.tasks.take_listed", dataset.pk, task_name=f"list {dataset.actor_id}")
    return len(new)


def listed(dataset: TrainingDataset) -> QuerySet[ImageUpload]:
    """Pictures of the bucket that are still to be looked into."""
    return dataset.uploads.filter(state=State.WORKING, source_url__startswith="s3://")
