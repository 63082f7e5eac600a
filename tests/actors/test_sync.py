"""Database against object store, local folders, the predecessor's manifests; what changed, and undo."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings as SettingsWrapper

from actors import edits, ingest, storage, sync, tasks
from actors.models import Actor, DatasetRevision, TrainingImage
from tests.actors.pictures import as_bytes, as_file, portrait, turned_photograph
from tests.factories import make_actor
from training import launch
from training.base_models import EMBEDDED, auto_adjust
from training.models import TrainingVersion

State = TrainingImage.State


pytestmark = pytest.mark.usefixtures("tasks_at_once")


@pytest.fixture(params=["files", "s3"])
def store(request: pytest.FixtureRequest, db: None) -> None:
    request.getfixturevalue("media" if request.param == "files" else "s3_storage")


def make_stored(count: int = 3) -> Actor:
    actor = make_actor(images=0)
    for number in range(count):
        ingest.take_in(actor.dataset, as_file(portrait(number, 128)), f"{number}.png")
    return actor


# Comparing


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


# Pushing


@pytest.fixture
def folder(settings: SettingsWrapper, tmp_path: Path) -> Path:
    settings.DATASET_ROOT = tmp_path / "root"
    folder = tmp_path / "root" / "anna"
    folder.mkdir(parents=True)
    return folder


def make_local(path: str, **fields: Any) -> Actor:
    actor = make_actor(images=0)
    actor.dataset.local_path = path
    actor.dataset.save()
    for name in fields.pop("names", []):
        TrainingImage.objects.create(dataset=actor.dataset, file_name=name, state=State.LOCAL_ONLY, **fields)
    return actor


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


# Manifests


def manifest(actor: Actor, **changes: Any) -> dict[str, Any]:
    name = actor.name
    base = f"https://studio-assets.s3.eu-west-1.amazonaws.com/training/{name}"
    return {
        "character_id": f"{actor.pk:04d}",
        "character_name": name,
        "training_data": [
            {
                "filename": f"{name}_1.jpg",
                "s3_url": f"{base}/1.jpg",
                "status": "synced",
                "md5_hash": "a" * 32,
                "size_bytes": 10,
                "local_path": f"data/{name}/1.jpg",
            },
            {
                "filename": f"{name}_2.jpg",
                "s3_url": None,
                "status": "local_only",
                "md5_hash": "b" * 32,
                "size_bytes": 20,
                "local_path": f"data/{name}/2.jpg",
            },
        ],
        "custom_lora_models": [
            {
                "filename": "actor_V6.safetensors",
                "version": "V6",
                "s3_url": f"{base}/V6.safetensors",
                "size_bytes": 5,
                "last_modified": "2026-01-16T13:28:53+00:00",
            },
            {
                "filename": "actor_V7.safetensors",
                "version": "V7",
                "s3_url": f"{base}/V7.safetensors",
                "size_bytes": 6,
                "good": True,
            },
        ],
    } | changes


def test_a_manifest_brings_states_hashes_and_models_and_twice_changes_nothing(
    db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actor = make_actor(images=0)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest(actor)))
    call_command("import_manifests", tmp_path)
    first, second = actor.dataset.images.all()
    assert (first.url, first.state, first.etag) == (
        f"s3://studio-assets/training/{actor.name}/1.jpg",
        State.SYNCED,
        "a" * 32,
    )
    assert (second.url, second.state, second.size_bytes) == ("", State.LOCAL_ONLY, 20)
    actor.dataset.refresh_from_db()
    assert actor.dataset.local_path == f"data/{actor.name}"
    good = actor.versions.get(is_good=True)
    assert (good.name, good.lora_bytes, actor.versions.count()) == ("V7", 6, 2)
    actor.refresh_from_db()
    assert actor.versions_made == 7
    capsys.readouterr()
    call_command("import_manifests", tmp_path)
    assert capsys.readouterr().out == "manifest.json: 0 images new, 0 changed, 2 unchanged.\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not of type 'object'"),
        ('{"character_name": "nobody"}', "no actor 'nobody'"),
        ('{"character_name": "x", "training_data": [{"filename": 3}]}', "training_data.0.filename"),
    ],
)
def test_a_wrong_manifest_is_one_line_and_nothing_is_written(
    db: None, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(manifest(make_actor(images=0))))
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(CommandError, match=f"b.json: .*{said}"):
        call_command("import_manifests", tmp_path)
    assert not TrainingImage.objects.exists()


# Edits


def test_an_edit_can_be_undone_one_after_the_other(db: None) -> None:
    dataset = make_actor(images=2).dataset
    first = dataset.images.all()[0]
    old = first.caption
    edits.change(dataset, {first.pk: {"caption": "one"}}, "caption")
    edits.change(dataset, {first.pk: {"included": False}}, "left out")
    edits.undo(dataset)
    first.refresh_from_db()
    assert (first.caption, first.included) == ("one", True)
    edits.undo(dataset)
    first.refresh_from_db()
    assert first.caption == old
    assert edits.undo(dataset) == (None, 0)


def test_an_undo_leaves_what_somebody_changed_since(db: None) -> None:
    dataset = make_actor(images=2).dataset
    first, second = dataset.images.all()
    edits.change(dataset, {first.pk: {"notes": "a"}, second.pk: {"notes": "a"}}, "notes")
    TrainingImage.objects.filter(pk=second.pk).update(notes="newer")
    assert edits.undo(dataset)[1] == 1
    assert [image.notes for image in dataset.images.all()] == ["", "newer"]


def test_a_save_that_read_an_older_edit_is_refused(db: None) -> None:
    dataset = make_actor(images=1).dataset
    image = dataset.images.get()
    edits.change(dataset, {image.pk: {"caption": "theirs"}}, "caption", expected={image.pk: 0})
    with pytest.raises(edits.Overtaken):
        edits.change(dataset, {image.pk: {"caption": "mine"}}, "caption", expected={image.pk: 0})
    assert dataset.images.get().caption == "theirs"


@pytest.mark.django_db(transaction=True)
def test_of_ten_people_saving_one_caption_at_once_exactly_one_succeeds() -> None:
    dataset = make_actor(images=1).dataset
    pk = dataset.images.get().pk
    outcomes: list[str] = []

    def save(number: int) -> None:
        try:
            edits.change(dataset, {pk: {"caption": f"by {number}"}}, "caption", expected={pk: 0})
            outcomes.append(f"by {number}")
        except edits.Overtaken:
            outcomes.append("overtaken")
        finally:
            connection.close()

    threads = [threading.Thread(target=save, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("overtaken") == 9
    assert dataset.images.get().caption in outcomes


def test_captions_in_bulk_by_replace_prefix_and_template(db: None) -> None:
    actor = make_actor(images=2, name="0700_nordic_41_female")
    dataset = actor.dataset
    edits.replace_in_captions(dataset, "smiling", "laughing", by=None)
    edits.prefix_captions(dataset, "photo, ", by=None)
    edits.prefix_captions(dataset, "photo, ", by=None)
    assert {image.caption for image in dataset.images.all()} == {f"photo, portrait of {actor.name}, laughing"}
    edits.template_captions(dataset, "{trigger}, {age} year old {sex}, {caption}", empty_only=False, by=None)
    expected = f"{actor.name}, 41 year old female, photo, portrait of {actor.name}, laughing"
    assert {image.caption for image in dataset.images.all()} == {expected}


def test_the_order_can_be_changed_and_undone(db: None) -> None:
    dataset = make_actor(images=4).dataset
    one, two, three, four = dataset.images.all()
    edits.move(dataset, three, before=one.pk, by=None)
    assert list(dataset.images.all()) == [three, one, two, four]
    edits.move(dataset, one, after=four.pk, by=None)
    assert list(dataset.images.all()) == [three, two, four, one]
    edits.undo(dataset)
    edits.undo(dataset)
    assert list(dataset.images.all()) == [one, two, three, four]
    with pytest.raises(edits.CannotEdit, match="which other image"):
        edits.move(dataset, one, before=one.pk, by=None)


def test_two_people_ordering_at_once_both_get_what_they_asked_for(db: None) -> None:
    dataset = make_actor(images=4).dataset
    one, two, three, four = dataset.images.all()
    edits.move(dataset, four, before=one.pk, by=None)
    edits.move(dataset, two, after=three.pk, by=None)  # from a page that still shows the old order
    assert list(dataset.images.all()) == [four, one, three, two]


def test_a_new_order_does_not_refuse_the_caption_that_somebody_is_writing(db: None) -> None:
    dataset = make_actor(images=3).dataset
    one, two, _three = dataset.images.all()
    edits.move(dataset, two, before=one.pk, by=None)
    edits.change(dataset, {one.pk: {"caption": "written meanwhile"}}, "caption", expected={one.pk: one.edit})
    one.refresh_from_db()
    assert one.caption == "written meanwhile"


def test_of_a_pair_the_kept_one_is_kept_even_when_somebody_has_just_left_it_out(db: None) -> None:
    dataset = make_actor(images=2).dataset
    one, two = dataset.images.all()
    edits.keep_one(dataset, two, one, by=None)
    edits.keep_one(dataset, one, two, by=None)
    assert [image.included for image in dataset.images.all()] == [True, False]


def test_two_people_accepting_findings_of_one_image_keep_both_reasons(db: None) -> None:
    dataset = make_actor(images=1).dataset
    mine, theirs = dataset.images.get(), dataset.images.get()
    edits.accept(dataset, mine, "soft", "meant so", by=None)
    edits.accept(dataset, theirs, "too_small", "the only one", by=None)
    assert set(dataset.images.get().accepted) == {"soft", "too_small"}


def test_an_undo_takes_back_what_the_person_saw_and_nothing_newer(db: None) -> None:
    dataset = make_actor(images=1).dataset
    image = dataset.images.get()
    mine = edits.change(dataset, {image.pk: {"notes": "mine"}}, "my notes")
    edits.change(dataset, {image.pk: {"caption": "theirs"}}, "their caption")
    assert mine
    with pytest.raises(edits.CannotEdit, match="newer change: their caption"):
        edits.undo(dataset, seen=mine.pk)
    assert dataset.images.get().caption == "theirs"


def test_the_choice_of_a_poster_can_be_undone(db: None) -> None:
    actor = make_actor(images=2)
    one, two = actor.dataset.images.all()
    for image in (one, two):
        edits.choose_poster(actor.dataset, image, by=None)
    edits.undo(actor.dataset)
    actor.refresh_from_db()
    assert actor.poster == one
    edits.undo(actor.dataset)
    actor.refresh_from_db()
    assert actor.poster is None


def test_what_a_dataset_is_can_be_changed_and_undone(db: None) -> None:
    dataset = make_actor(images=1).dataset
    edits.set_kind(dataset, "photographs", by=None)
    edits.undo(dataset)
    dataset.refresh_from_db()
    assert dataset.kind == "drawn"


@pytest.mark.parametrize("crop", ["10 5 80", "0 0 0 10", "50 0 60 10", "a b c d", "-1 0 10 10"])
def test_a_crop_hint_that_makes_no_sense_changes_nothing(
    media: Path, admin_client: Client, crop: str
) -> None:
    actor = make_actor(images=1)
    image = actor.dataset.images.get()
    admin_client.post(f"/actors/{actor.pk}/images/{image.pk}", {"crop": crop})
    image.refresh_from_db()
    assert image.crop is None


# Revisions and launches


def recommended() -> dict[str, object]:
    values = auto_adjust(15, EMBEDDED)[0].to_dict()
    return {name: value for name, value in values.items() if name != "class_tokens"}


def test_a_version_stores_the_revision_and_an_equal_dataset_keeps_its_number(db: None) -> None:
    actor = make_actor()
    dataset = actor.dataset
    assert dataset.revision().number == 1
    image = dataset.images.all()[0]
    edits.change(dataset, {image.pk: {"caption": "another"}}, "caption")
    version = launch.launch(actor, recommended())
    assert version.dataset_revision
    assert version.dataset_revision.number == 2
    edits.undo(dataset)
    assert dataset.revision().number == 1
    assert DatasetRevision.objects.count() == 2


def test_what_changed_since_a_version_is_a_page(media: Path, admin_client: Client) -> None:
    actor = make_actor()
    version = launch.launch(actor, recommended())
    first, second, *_ = actor.dataset.images.all()
    edits.change(
        actor.dataset, {first.pk: {"caption": "now in the rain"}, second.pk: {"included": False}}, "edit"
    )
    page = admin_client.get(f"/actors/{actor.pk}/dataset/since/{version.number}").content.decode()
    assert "1 gone" in page
    assert "1 with another caption" in page
    assert "now in the rain" in page
    assert "added" not in page


def make_unfit() -> Actor:
    actor = make_actor()
    first = actor.dataset.images.all()[0]
    first.findings = [{"code": "blurred", "level": "error", "message": "Sharpness 3."}]
    first.save()
    return actor


def test_an_error_of_the_inspection_stops_a_launch_and_creates_nothing(db: None) -> None:
    actor = make_unfit()
    with pytest.raises(launch.CannotStart, match=r"Blurred: 1 image\."):
        launch.launch(actor, recommended())
    assert not TrainingVersion.objects.exists()


def test_a_curator_may_override_with_a_reason_that_stays_on_the_version(db: None, admin_user: Any) -> None:
    version = launch.launch(make_unfit(), recommended(), by=admin_user, override_reason="a test of the look")
    assert version.override_reason == "a test of the look"


def test_a_trainer_may_not_override(db: None, django_user_model: Any) -> None:
    trainer = django_user_model.objects.create_user("ines")
    with pytest.raises(launch.CannotStart):
        launch.launch(make_unfit(), recommended(), by=trainer, override_reason="please")


def test_an_override_does_not_lift_what_makes_a_start_impossible(db: None, admin_user: Any) -> None:
    with pytest.raises(launch.CannotStart, match="not in the object store"):
        launch.launch(make_actor(synced=False), recommended(), by=admin_user, override_reason="please")


def test_the_reason_of_an_accepted_finding_goes_onto_the_version(db: None, admin_user: Any) -> None:
    actor = make_unfit()
    first = actor.dataset.images.all()[0]
    TrainingImage.objects.filter(pk=first.pk).update(
        accepted={"blurred": {"reason": "meant so", "by": "mara", "at": "2026-01-01T00:00:00+00:00"}}
    )
    version = launch.launch(actor, recommended(), by=admin_user)
    assert version.override_reason == "0.png, blurred: meant so (mara)"


def test_warnings_never_stop_a_launch(db: None) -> None:
    actor = make_actor()
    actor.dataset.images.update(findings=[{"code": "soft", "level": "warning", "message": "Soft."}])
    assert launch.launch(actor, recommended()).pk
