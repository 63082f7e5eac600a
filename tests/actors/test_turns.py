"""Inspections by the thousand take turns with everything else that waits in the task queue."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone
from django.utils.module_loading import import_string
from pytest_django import DjangoCaptureOnCommitCallbacks

from actors import registry, storage, tasks
from actors.models import InspectionRun, TrainingDataset, TrainingImage, Verdict
from tests.actors.pictures import as_bytes, portrait
from tests.factories import make_actor

pytestmark = pytest.mark.django_db
TRAINING = "a training"


class Queue:
    """The task queue as django-q keeps it: one after the other, in the order they came."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[str, tuple[Any, ...]]] = deque()
        self.longest = 0

    def put(self, name: str, *arguments: Any, **_: Any) -> None:
        self.waiting.append((name, arguments))
        self.longest = max(self.longest, len(self.waiting))

    def run_one(self) -> str:
        name, arguments = self.waiting.popleft()
        if name != TRAINING:
            import_string(name)(*arguments)
        return name

    def run_all(self) -> list[str]:
        done = []
        while self.waiting:
            done.append(self.run_one())
        return done


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, media: Path) -> Queue:
    made = Queue()
    monkeypatch.setattr("actors.tasks.async_task", made.put)
    return made


@pytest.fixture
def urls(queue: Queue) -> list[str]:
    """Files in the store; several datasets may name them."""
    return [
        storage.save(f"scans/{number}.png", ContentFile(as_bytes(portrait(number, 32))))
        for number in range(6)
    ]


def make_waiting(urls: list[str]) -> TrainingDataset:
    dataset = make_actor(images=0).dataset
    TrainingImage.objects.bulk_create(
        TrainingImage(dataset=dataset, url=url, file_name=url.rsplit("/", 1)[1], position=number)
        for number, url in enumerate(urls)
    )
    return dataset


def test_thirty_uploads_make_one_task(queue: Queue, urls: list[str]) -> None:
    dataset = make_waiting(urls)
    for _ in range(30):
        assert tasks.inspect_later(dataset) == 6
    assert len(queue.waiting) == 1


def test_a_training_waits_for_one_slice_not_for_a_thousand_images(
    queue: Queue, urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "SLICE_IMAGES", 2)
    dataset = make_waiting(urls)
    tasks.inspect_later(dataset)
    queue.put(TRAINING)
    queue.run_one()
    assert dataset.images.exclude(inspected_at=None).count() == 2
    assert queue.run_one() == TRAINING
    queue.run_all()
    assert not dataset.images.filter(inspected_at=None).exists()
    assert not InspectionRun.objects.exists()


def test_a_slice_ends_by_the_clock_when_images_are_slow(
    queue: Queue, urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "SLICE_SECONDS", 0.0)
    dataset = make_waiting(urls)
    tasks.inspect_later(dataset)
    queue.run_one()
    assert dataset.images.exclude(inspected_at=None).count() == 1


def test_an_imported_registry_is_inspected_by_itself_one_dataset_at_a_time(
    queue: Queue, urls: list[str], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    records = [
        {
            "id": 9000 + number,
            "name": f"{9000 + number}_nordic_41_female",
            "training_data": {"s3_urls": urls, "local_path": "", "count": len(urls), "synced": True},
        }
        for number in range(8)
    ]
    with django_capture_on_commit_callbacks(execute=True):
        registry.import_records(records)
    queue.run_all()
    assert queue.longest <= 2, "the queue stays free for others"
    images = TrainingImage.objects.filter(dataset__actor__gte=9000)
    assert images.count() == 48
    assert not images.filter(inspected_at=None).exists()
    assert not TrainingDataset.objects.filter(verdict=Verdict.NOT_INSPECTED).exists()


def test_images_that_come_in_while_others_are_inspected_are_seen_too(queue: Queue, urls: list[str]) -> None:
    dataset = make_waiting(urls[:3])
    tasks.inspect_later(dataset)
    TrainingImage.objects.create(dataset=dataset, url=urls[3], file_name="3.png", position=3)
    tasks.inspect_later(dataset)
    queue.run_all()
    assert dataset.images.exclude(inspected_at=None).count() == 4


def test_an_inspection_that_died_with_its_machine_goes_on(queue: Queue, urls: list[str]) -> None:
    dataset = make_waiting(urls)
    tasks.inspect_later(dataset)
    queue.waiting.clear()  # the machine is gone, the claim is still there
    tasks.tidy()
    assert not queue.waiting, "it may still be alive"
    InspectionRun.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    tasks.tidy()
    queue.run_all()
    assert not dataset.images.filter(inspected_at=None).exists()


def test_images_of_another_bucket_are_out_of_reach_and_not_missing(queue: Queue) -> None:
    dataset = make_waiting(["s3://a-bucket-of-others/1.png", "https://images.example/2.png"])
    tasks.inspect_later(dataset)
    queue.run_all()
    images = list(dataset.images.all())
    assert [image.state for image in images] == ["synced", "synced"]
    assert [image.findings[0]["code"] for image in images] == ["unreachable", "unreachable"]


def test_a_deletion_that_an_inspection_comes_upon_leaves_the_registry(queue: Queue, urls: list[str]) -> None:
    dataset = make_waiting(urls)
    storage.delete(urls[0])
    tasks.inspect_later(dataset)
    queue.run_all()
    fresh = TrainingDataset.objects.get(pk=dataset.pk)
    assert fresh.images.get(url=urls[0]).state == TrainingImage.State.MISSING
    assert urls[0] not in registry.training_data(fresh)["s3_urls"]


def test_folders_of_many_datasets_are_pushed_one_after_the_other(
    queue: Queue, settings: Any, tmp_path: Path
) -> None:
    settings.DATASET_ROOT = tmp_path / "root"
    datasets: list[TrainingDataset] = []
    for name in ("anna", "berta"):
        folder = tmp_path / "root" / name
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(as_bytes(portrait(len(datasets), 32)))
        (folder / "2.png").write_bytes(b"<!doctype html>")
        dataset = make_actor(images=0).dataset
        TrainingDataset.objects.filter(pk=dataset.pk).update(local_path=name)
        datasets.append(dataset)
    tasks.sync_later(datasets)
    queue.run_all()
    assert queue.longest <= 2
    for dataset in datasets:
        assert dataset.images.get().state == TrainingImage.State.SYNCED
        assert "web page" in dataset.uploads.get(file_name="2.png").message
