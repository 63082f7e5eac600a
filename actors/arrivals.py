"""Uploads once their bytes are there: taken in, skipped or refused, and always with an end."""

from __future__ import annotations

import tempfile
import zipfile
from typing import IO, TYPE_CHECKING, cast

from django.conf import settings
from django_q.tasks import async_task

from actors import archives, ingest, remote_images, storage, tasks
from actors.archives import RefusedArchive
from actors.images import RefusedImage
from actors.models import ImageUpload, TrainingDataset, TrainingImage
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
        if upload.source_url:
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
    storage.delete(incoming)
    tasks.inspect_later(upload.dataset)


def _take(upload: ImageUpload, file: IO[bytes]) -> None:
    by = upload.by
    file.seek(0)
    if file.read(4) == b"PK\x03\x04" and zipfile.is_zipfile(file):
        upload.end(State.DONE, archives.unpack(upload.dataset, file, by=by).summary())
        return
    image = ingest.take_in(upload.dataset, file, upload.file_name, caption=upload.caption, by=by)
    upload.end(State.DONE, "", image)


def take_prefix(dataset: TrainingDataset, prefix: str, *, by: User | None) -> list[TrainingImage]:
    """Lists pictures that lie in the site's bucket already; they stay where they are.

    Raises ``RefusedImage`` for prefixes that hold the site's own files.
    """
    prefix = prefix.strip().removeprefix(f"s3://{storage.bucket_name()}/").lstrip("/")
    if (
        not prefix
        or ".." in prefix.split("/")
        or prefix.startswith(("incoming", "thumbs", "loras", "samples"))
    ):
        raise RefusedImage("Name a folder of this bucket that holds images, such as scans/anna/.")
    known = set(dataset.images.values_list("url", flat=True))
    last = dataset.images.count()
    room = settings.MAX_DATASET_IMAGES - last
    keys = [
        key
        for key in sorted(storage.list_prefix(storage.bucket_name(), prefix))
        if key.lower().endswith(ingest.IMAGE_NAMES) and storage.own(key).s3 not in known
    ][:room]
    added = TrainingImage.objects.bulk_create(
        TrainingImage(
            dataset=dataset,
            position=last + index,
            url=storage.own(key).s3,
            file_name=ingest.safe_name(key),
        )
        for index, key in enumerate(keys)
    )
    if added:
        dataset.touch()
        dataset.changes.create(by=by, summary=f"{len(added)} images listed from {prefix}")
        tasks.inspect_later(dataset)
    return added
