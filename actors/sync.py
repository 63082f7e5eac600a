"""Is what the database says of the object store true? One listing per prefix answers it.

``state`` and ``checked_at`` of an image are what a comparison found, not what somebody claims.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from actors import ingest, storage
from actors.images import RefusedImage
from actors.inspection import judge
from actors.models import TrainingDataset, TrainingImage
from actors.storage import Address, Stored

if TYPE_CHECKING:
    from django.contrib.auth.models import User

State = TrainingImage.State


@dataclass
class SyncReport:
    """What a comparison found, by file name; ``foreign`` and ``new`` by key."""

    present: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    found_again: list[str] = field(default_factory=list)
    #: Pictures in the dataset's folder that have no row.
    new: list[str] = field(default_factory=list)
    #: Anything else that lies there.
    foreign: list[str] = field(default_factory=list)
    #: Prefixes that the store did not let us list, with its reason.
    unasked: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """``23 in the object store, 1 missing (7.png), …``"""
        parts = [f"{self.present} in the object store"]
        for word, names in (
            ("missing", self.missing),
            ("changed", self.changed),
            ("found again", self.found_again),
            ("without a row", self.new),
            ("foreign", self.foreign),
        ):
            if names:
                parts.append(f"{len(names)} {word} ({', '.join(names[:3])}{' …' if len(names) > 3 else ''})")
        return ", ".join([*parts, *self.unasked])


def sync_dataset(dataset: TrainingDataset) -> SyncReport:
    """Compares every image with a fresh listing and writes what is so, with the time."""
    report, now = SyncReport(), timezone.now()
    images = list(dataset.images.exclude(url=""))
    own = Address(storage.bucket_name(), f"actors/{dataset.actor_id}/images/")
    by_prefix: dict[Address, list[tuple[TrainingImage, Address]]] = defaultdict(list)
    by_prefix[own] = []
    for image in images:
        if address := storage.parse(image.url):
            by_prefix[_prefix(address)].append((image, address))
    listings: dict[Address, dict[str, Stored]] = {}
    for prefix in by_prefix:
        try:
            listings[prefix] = storage.list_prefix(prefix.bucket, prefix.key)
        except OSError as error:
            report.unasked.append(str(error).rstrip("."))
    checked = []
    for prefix, listing in listings.items():
        for image, address in by_prefix[prefix]:
            _compare(image, listing.get(address.key), report)
            image.checked_at = now
            checked.append(image)
    _find_rowless(listings.get(own, {}), images, report)
    with transaction.atomic():
        dataset.lock()
        TrainingImage.objects.bulk_update(
            checked, ["state", "etag", "checked_at", "inspected_at", "size_bytes"], batch_size=200
        )
        if report.missing or report.changed or report.found_again:
            dataset.touch()
        if not report.unasked:
            TrainingDataset.objects.filter(pk=dataset.pk).update(synced_at=now)
        judge(dataset)
    return report


def _prefix(address: Address) -> Address:
    folder, slash, _ = address.key.rpartition("/")
    return Address(address.bucket, folder + slash)


def _compare(image: TrainingImage, found: Stored | None, report: SyncReport) -> None:
    if found is None:
        image.state = State.MISSING
        report.missing.append(image.file_name)
        return
    report.present += 1
    if image.state != State.SYNCED:
        report.found_again.append(image.file_name)
        image.state, image.inspected_at = State.SYNCED, None
    other_bytes = image.etag and found.etag and image.etag != found.etag
    other_size = not image.original_url and image.size_bytes not in (None, found.size)
    if any(each["code"] == "unreachable" for each in image.findings):
        image.inspected_at = None  # nobody could look at it then; now somebody can
    if other_bytes or other_size:
        report.changed.append(image.file_name)
        image.inspected_at = None  # hash, numbers and thumbnail are of the old bytes
        image.size_bytes = image.size_bytes if image.original_url else found.size
    image.etag = found.etag


def _find_rowless(listing: dict[str, Stored], images: list[TrainingImage], report: SyncReport) -> None:
    known = {address.key for image in images if (address := storage.parse(image.url))}
    for key in sorted(set(listing) - known):
        (report.new if key.lower().endswith(ingest.IMAGE_NAMES) else report.foreign).append(key)


# Pushing what is only local


class NoLocalFiles(Exception):
    """The dataset's folder can't be read; the message says why."""


def local_folder(dataset: TrainingDataset) -> Path:
    """The dataset's folder below the configured root. Raises ``NoLocalFiles``."""
    if settings.DATASET_ROOT is None:
        raise NoLocalFiles("Local folders are off: name their root in DATASET_ROOT.")
    if not dataset.local_path:
        raise NoLocalFiles("The dataset names no local_path.")
    root = Path(settings.DATASET_ROOT).resolve()
    folder = (root / dataset.local_path).resolve()
    if not folder.is_relative_to(root):
        raise NoLocalFiles(f"{dataset.local_path} leads out of the configured root.")
    if not folder.is_dir():
        raise NoLocalFiles(f"{dataset.local_path} is no folder below the configured root.")
    return folder


def push_local(dataset: TrainingDataset, *, by: User | None = None) -> list[str]:
    """Uploads the folder's pictures that the store lacks; returns a line for each that was refused.

    A dataset without a folder needs none, unless images of it are known to be only local.
    """
    try:
        files = local_files(dataset)
    except NoLocalFiles as reason:
        return [str(reason)] if local_only(dataset) else []
    refusals = [(path.name, push_file(dataset, path, by=by)) for path in files]
    return [f"{name}: {refusal}" for name, refusal in refusals if refusal]


def local_only(dataset: TrainingDataset) -> bool:
    """Whether images of it still have to be pushed."""
    return dataset.images.filter(state=State.LOCAL_ONLY).exists()


def local_files(dataset: TrainingDataset, after: str = "") -> list[Path]:
    """Names of pictures in the dataset's folder, in order. Raises ``NoLocalFiles``."""
    return [
        path
        for path in sorted(local_folder(dataset).iterdir())
        if path.suffix.lower() in ingest.IMAGE_NAMES and path.name > after
    ]


def push_file(dataset: TrainingDataset, path: Path, *, by: User | None = None) -> str:
    """Takes one file in, or the bytes of the row of its name; returns why not, empty when it is there."""
    if path.is_symlink() or not path.is_file():
        return "a link, not a file"
    waiting = dataset.images.filter(file_name=path.name).exclude(state=State.SYNCED).first()
    try:
        _push(dataset, path, waiting, by)
    except ingest.Duplicate:
        return ""
    except RefusedImage as refusal:
        return str(refusal)
    return ""


def _push(dataset: TrainingDataset, path: Path, image: TrainingImage | None, by: User | None) -> None:
    caption_file = path.with_suffix(".txt")
    caption = ""
    if caption_file.is_file() and not caption_file.is_symlink():
        caption = " ".join(caption_file.read_text(errors="replace")[:2000].split())
    with path.open("rb") as file:
        if image is None:
            ingest.take_in(dataset, file, path.name, caption=caption, by=by)
        else:
            ingest.put_in_store(image, file)
