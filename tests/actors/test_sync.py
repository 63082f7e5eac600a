"""Database against object store, and local folders that are pushed there."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings as SettingsWrapper

from actors import storage, sync, tasks
from actors.models import TrainingImage
from tests.actors.pictures import as_bytes, portrait, turned_photograph
from tests.actors.stored import make_local, make_stored
from tests.factories import make_actor

State = TrainingImage.State
pytestmark = pytest.mark.usefixtures("tasks_at_once")


@pytest.fixture(params=["files", "s3"])
def store(request: pytest.FixtureRequest, db: None) -> None:
    request.getfixturevalue("media" if request.param == "files" else "s3_storage")


def test_a_dataset_that_is_all_there_says_when_that_was_checked(store: None) -> None:
    actor = make_stored()
    report = sync.sync_dataset(actor.dataset)
    assert report.summary() == "3 in the object store"
    actor.dataset.refresh_from_db()
    assert actor.dataset.synced_at
    assert all(image.etag and image.checked_at for image in actor.dataset.images.all())


def test_a_deletion_in_the_bucket_shows_up_and_so_does_its_return(store: None) -> None:
    actor = make_stored()
    image = actor.dataset.images.get(file_name="1.png")
    with storage.opened(image.url, 10**6) as file:
        content = file.read()
    storage.delete(image.url)
    report = sync.sync_dataset(actor.dataset)
    assert (report.present, report.missing) == (2, ["1.png"])
    image.refresh_from_db()
    assert image.state == State.MISSING
    address = storage.parse(image.url)
    assert address
    default_storage.save(address.key, ContentFile(content))
    assert sync.sync_dataset(actor.dataset).found_again == ["1.png"]
    image.refresh_from_db()
    assert image.state == State.SYNCED


def test_changed_bytes_show_up_and_are_inspected_again(store: None) -> None:
    actor = make_stored()
    sync.sync_dataset(actor.dataset)
    image = actor.dataset.images.get(file_name="0.png")
    TrainingImage.objects.update(inspected_at="2026-01-01T00:00:00Z")
    address = storage.parse(image.url)
    assert address
    default_storage.save(address.key, ContentFile(as_bytes(portrait(9, 140))))
    assert sync.sync_dataset(actor.dataset).changed == ["0.png"]
    image.refresh_from_db()
    assert image.inspected_at is None
    assert sync.sync_dataset(actor.dataset).changed == [], "told once"


def test_pictures_without_a_row_are_new_and_other_files_foreign(store: None) -> None:
    actor = make_stored(1)
    folder = f"actors/{actor.pk}/images"
    storage.save(f"{folder}/extra.png", ContentFile(b"x"))
    storage.save(f"{folder}/readme.doc", ContentFile(b"x"))
    report = sync.sync_dataset(actor.dataset)
    assert f"{folder}/extra.png" in report.new
    assert f"{folder}/readme.doc" in report.foreign


def test_what_a_registry_claims_becomes_a_checked_fact(store: None) -> None:
    actor = make_actor(images=0)
    url = storage.save("scans/there.png", ContentFile(as_bytes(portrait(1, 128))))
    gone = storage.own("scans/gone.png").s3
    rows = [
        TrainingImage(dataset=actor.dataset, url=each, file_name=each, state=State.LOCAL_ONLY)
        for each in (url, gone)
    ]
    TrainingImage.objects.bulk_create(rows)
    sync.sync_dataset(actor.dataset)
    assert dict(actor.dataset.images.values_list("url", "state")) == {url: State.SYNCED, gone: State.MISSING}


def test_a_prefix_is_listed_once_however_many_images_it_holds(
    store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor, real = make_stored(5), storage.list_prefix
    asked: list[str] = []

    def list_prefix(bucket: str, prefix: str) -> dict[str, storage.Stored]:
        asked.append(prefix)
        return real(bucket, prefix)

    monkeypatch.setattr(storage, "list_prefix", list_prefix)
    sync.sync_dataset(actor.dataset)
    assert len(asked) == 1


def test_a_bucket_that_does_not_answer_changes_no_state(s3_storage: object, db: None) -> None:
    actor = make_actor(images=0)
    image = TrainingImage.objects.create(dataset=actor.dataset, url="s3://elsewhere/a.png", file_name="a.png")
    report = sync.sync_dataset(actor.dataset)
    assert report.unasked
    assert "elsewhere" in report.unasked[0]
    assert not report.unasked[0].endswith("."), "it goes on in a sentence of ours"
    image.refresh_from_db()
    assert (image.state, image.checked_at) == (State.SYNCED, None)


def test_what_was_out_of_reach_is_inspected_again_once_the_store_answers(media: Path, db: None) -> None:
    actor = make_stored(1)
    out = [{"code": "unreachable", "level": "warning", "message": "The file can't be reached from here."}]
    actor.dataset.images.update(findings=out, inspected_at="2026-01-01T00:00:00Z")
    sync.sync_dataset(actor.dataset)
    tasks.inspect_later(actor.dataset)
    image = actor.dataset.images.get()
    assert image.inspected_at
    assert "unreachable" not in {each["code"] for each in image.findings}


def test_the_command_reports_and_fails_when_something_is_missing(
    media: Path, db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    actor = make_stored(2)
    call_command("sync_dataset", str(actor.pk))
    assert capsys.readouterr().out == f"{actor.pk} {actor.name}: 2 in the object store.\n"
    storage.delete(actor.dataset.images.all()[0].url)
    with pytest.raises(CommandError, match="1 dataset with something missing"):
        call_command("sync_dataset", "--all")
    assert "1 missing (0.png)" in capsys.readouterr().out


def test_the_command_names_an_unknown_actor(db: None) -> None:
    with pytest.raises(CommandError, match="no actor nobody"):
        call_command("sync_dataset", "nobody")


@pytest.fixture
def folder(settings: SettingsWrapper, tmp_path: Path) -> Path:
    settings.DATASET_ROOT = tmp_path / "root"
    folder = tmp_path / "root" / "anna"
    folder.mkdir(parents=True)
    return folder


def test_local_only_images_are_pushed_and_become_synced(store: None, folder: Path) -> None:
    actor = make_local("anna", names=["1.png"], caption="kept")
    (folder / "1.png").write_bytes(as_bytes(portrait(1, 128)))
    (folder / "2.jpg").write_bytes(turned_photograph())
    (folder / "2.txt").write_text("portrait, in the rain\n")
    assert sync.push_local(actor.dataset) == []
    assert sync.push_local(actor.dataset) == [], "twice changes nothing"
    rows = actor.dataset.images.values_list("file_name", "state", "caption")
    assert list(rows) == [("1.png", "synced", "kept"), ("2.jpg", "synced", "portrait, in the rain")]
    assert sync.sync_dataset(actor.dataset).present == 2


@pytest.mark.parametrize("path", ["../outside", "/etc", "anna/../../outside"])
def test_a_path_that_leads_out_of_the_root_is_refused(
    db: None, folder: Path, tmp_path: Path, path: str
) -> None:
    (tmp_path / "outside").mkdir()
    with pytest.raises(sync.NoLocalFiles, match="leads out"):
        sync.local_folder(make_local(path).dataset)


def test_links_in_the_folder_are_refused(media: Path, db: None, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(as_bytes(portrait(1, 128)))
    (folder / "1.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "root" / "door").symlink_to(tmp_path)
    assert sync.push_local(make_local("anna").dataset) == ["1.png: a link, not a file"]
    with pytest.raises(sync.NoLocalFiles, match="leads out"):
        sync.local_folder(make_local("door").dataset)


def test_without_a_root_local_folders_are_off(db: None) -> None:
    with pytest.raises(sync.NoLocalFiles, match="DATASET_ROOT"):
        sync.local_folder(make_local("anna").dataset)
