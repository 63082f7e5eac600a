"""Likeness rights: what they stop, what they say and to whom, and how the registry follows the calendar."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import Group, User
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from PIL import Image
from pytest_django.fixtures import Settings

from actors import letters, registry, rights_documents, rights_letters, snapshot, storage, studio_time
from actors.models import Actor, Letter, LikenessRights, RightsPolicy
from actors.permissions import ensure_roles
from actors.rights import Basis, State
from actors.rights_documents import RefusedDocument
from tests.factories import make_actor, make_version
from tests.s3_server import S3Server
from tests.simulated_jobs import tiny_lora
from tests.training.previewing import make_drawable, ordered
from tests.training.ready import messages, recommended
from training import launch, previews
from training.models import TrainingVersion

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\nstartxref\n9\n%%EOF\n"


def give_rights(actor: Actor, **facts: Any) -> LikenessRights:
    known = {"basis": Basis.CONSENT, "reference": "folder 7", "expires_on": None} | facts
    return LikenessRights.record(actor, known, None)


def days(number: int) -> date:
    return studio_time.today() + timedelta(days=number)


@pytest.fixture
def sign_in(db: None) -> Callable[[str], Client]:
    ensure_roles()

    def client(role: str) -> Client:
        person = User.objects.create_user(role, f"{role.lower()}@studio.example", "x")
        person.groups.add(Group.objects.get(name=role))
        visitor = Client()
        visitor.force_login(person)
        return visitor

    return client


@pytest.mark.parametrize(
    ("valid_from", "expires_on", "state"),
    [
        (None, None, State.VALID),
        (None, 31, State.VALID),
        (None, 30, State.EXPIRING),
        (None, 0, State.EXPIRING),
        (None, -1, State.EXPIRED),
        (1, None, State.FUTURE),
        (0, 90, State.VALID),
    ],
)
def test_a_right_is_valid_through_its_last_day(
    valid_from: int | None, expires_on: int | None, state: State
) -> None:
    dates = {
        "valid_from": None if valid_from is None else days(valid_from),
        "expires_on": None if expires_on is None else days(expires_on),
    }
    assert give_rights(make_actor(), **dates).state == state


def test_the_last_day_ends_at_the_studios_midnight(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STUDIO_TIME_ZONE = "America/Los_Angeles"
    rights = give_rights(make_actor(), expires_on=date(2030, 6, 1))
    for hour, state in ((6, State.EXPIRING), (8, State.EXPIRED)):
        now = datetime(2030, 6, 2, hour, tzinfo=UTC)
        monkeypatch.setattr(timezone, "now", lambda now=now: now)
        assert rights.state == state


@pytest.mark.parametrize("dates", [{"expires_on": -1}, {"valid_from": 1}])
def test_rights_outside_their_time_stop_a_launch_with_the_way_out(dates: dict[str, int]) -> None:
    actor = make_actor()
    give_rights(actor, **{name: days(number) for name, number in dates.items()})
    with pytest.raises(launch.CannotStart, match="a Curator") as refusal:
        launch.launch(actor, recommended(), override_reason="I want to")
    assert [check.mend for check in refusal.value.checks] == ["rights"]
    assert not TrainingVersion.objects.exists()


def test_missing_rights_stop_a_launch_only_where_they_are_required() -> None:
    launch.launch(make_actor(), recommended())
    RightsPolicy.switch(required=True, by=None)
    with pytest.raises(launch.CannotStart, match="No rights to this likeness are on record"):
        launch.launch(make_actor(), recommended())
    actor = make_actor()
    give_rights(actor, basis=Basis.SYNTHETIC, reference="")
    launch.launch(actor, recommended())
    RightsPolicy.switch(required=False, by=None)
    launch.launch(make_actor(), recommended())


def test_rights_that_end_soon_only_warn() -> None:
    actor = make_actor()
    give_rights(actor, expires_on=days(3))
    assert [check.level for check in launch.checks(actor) if check.mend == "rights"] == ["warning"]
    launch.launch(actor, recommended())


def test_a_retry_is_stopped_as_well() -> None:
    version = make_version(status="failed")
    give_rights(version.actor, expires_on=days(-1))
    with pytest.raises(launch.CannotStart):
        launch.retry(version)


@pytest.mark.parametrize("basis", [Basis.CONSENT, Basis.LICENCE])
def test_consent_and_licence_need_a_proof_and_synthetic_needs_none(basis: Basis) -> None:
    with pytest.raises(ValidationError, match="Say where the paper is"):
        give_rights(make_actor(), basis=basis, reference=" ")
    give_rights(make_actor(), basis=Basis.SYNTHETIC, reference="")


def test_rights_do_not_end_before_they_begin() -> None:
    with pytest.raises(ValidationError, match="before the first one"):
        give_rights(make_actor(), valid_from=days(2), expires_on=days(1))


# The registry


def published() -> dict[int, Any]:
    text = b"".join(snapshot.current().plain())
    return {record["id"]: record.get("likeness_rights") for record in json.loads(text)}


def test_the_registry_says_how_rights_stand_only_where_they_are_on_record() -> None:
    bare, held = make_actor(), make_actor()
    give_rights(held, expires_on=days(5))
    assert published() == {
        bare.pk: None,
        held.pk: {"basis": "consent", "state": "valid", "expires_on": days(5).isoformat()},
    }
    assert "likeness_rights" not in registry.export_record(bare)


def test_the_registry_turns_at_midnight_without_anybody_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    actor = make_actor()
    rights = give_rights(actor, valid_from=days(1), expires_on=days(2))
    seen = []
    for day in range(5):
        later = timezone.now() + timedelta(days=day)
        with monkeypatch.context() as patch:
            patch.setattr(timezone, "now", lambda later=later: later)
            tag = snapshot.current_state().tag
            seen.append((published()[actor.pk]["state"], tag))
            assert snapshot.current_state().tag == tag, "read again on the same day, nothing has changed"
    states, tags = zip(*seen, strict=True)
    assert states == ("future", "valid", "valid", "expired", "expired")
    assert [tags[day] == tags[day + 1] for day in range(4)] == [False, True, False, True]
    rights.refresh_from_db()
    assert rights.turns_on is None


def test_reading_the_registry_stays_one_query(client: Client) -> None:
    give_rights(make_actor(), expires_on=days(5))
    snapshot.current_state()
    with CaptureQueriesContext(connection) as captured:
        snapshot.current_state()
    assert len(captured) == 1


def test_a_registry_does_not_bring_rights_in_over_our_own() -> None:
    actor = make_actor()
    give_rights(actor, expires_on=days(-1))
    record = registry.export_record(Actor.objects.get(pk=actor.pk))
    claimed = record | {"likeness_rights": {"basis": "consent", "state": "valid"}, "mood": "calm"}
    plan = registry.import_records([claimed])
    assert [keys for _, _, keys in plan.changed] == [["mood"]]
    after = Actor.objects.get(pk=actor.pk)
    assert registry.export_record(after)["likeness_rights"]["state"] == "expired"
    after.rights.delete()
    assert "likeness_rights" not in registry.export_record(Actor.objects.get(pk=actor.pk))


def test_export_and_import_with_rights_is_the_identity() -> None:
    give_rights(make_actor(), expires_on=days(5))
    records = list(registry.export_records())
    plan = registry.import_records(registry.parse("".join(registry.write_json(records))))
    assert (plan.created, plan.changed, plan.unchanged) == ([], [], 1)


def test_rights_from_elsewhere_are_kept_where_we_have_none() -> None:
    actor = make_actor()
    claim = {"basis": "licence", "state": "expired", "expires_on": "2020-01-01"}
    registry.import_records([{"id": actor.pk, "name": actor.name, "likeness_rights": claim}])
    assert registry.export_record(Actor.objects.get(pk=actor.pk))["likeness_rights"] == claim


# The paper


def picture(kind: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 64), "grey").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "ending"), [(PDF, ".pdf"), (picture("JPEG"), ".jpg"), (picture("PNG"), ".png")]
)
def test_a_document_is_known_by_its_content(content: bytes, ending: str) -> None:
    assert rights_documents.ending_of(BytesIO(content)) == ending


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (PDF[:-20], "cut off"),
        (b"%PDF-<html>" + PDF, "web page"),
        (b"<html><script>", "no PDF, JPEG or PNG"),
        (picture("WEBP"), "WEBP picture"),
        (picture("PNG")[:80], "no PDF, JPEG or PNG"),
        (b"%PDF-" + bytes(rights_documents.MAX_BYTES), "at most 20 MiB"),
    ],
)
def test_anything_else_is_refused_with_the_reason(content: bytes, says: str) -> None:
    with pytest.raises(RefusedDocument, match=says):
        rights_documents.ending_of(BytesIO(content))


def upload(client: Client, actor: Actor, content: bytes = PDF, **facts: str) -> Any:
    file = SimpleUploadedFile("release form.pdf", content)
    data = {"basis": "consent", "reference": "", "note": "", **facts, "document_file": file}
    return client.post(reverse("rights", args=[actor.pk]), data)


def test_a_document_is_private_and_its_link_is_for_curators(
    sign_in: Callable[[str], Client], media: Path
) -> None:
    actor, curator, viewer = make_actor(), sign_in("Curator"), sign_in("Viewer")
    assert upload(curator, actor).status_code == 302
    rights = LikenessRights.objects.get(actor=actor)
    key = reverse("file", args=[rights.document])
    assert viewer.get(key).status_code == 403
    assert curator.get(key).status_code == 403
    address = reverse("rights-document", args=[actor.pk])
    assert viewer.get(address).status_code == 403
    link = curator.get(address)["Location"]
    answer = Client().get(link)
    assert b"".join(answer.streaming_content) == PDF  # type: ignore[attr-defined]  # a file
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["Cache-Control"] == "no-store"


def test_the_link_to_a_document_ends_within_minutes(
    sign_in: Callable[[str], Client], media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor, curator = make_actor(), sign_in("Curator")
    upload(curator, actor)
    link = curator.get(reverse("rights-document", args=[actor.pk]))["Location"]
    soon = datetime.now(UTC).timestamp() + 301
    monkeypatch.setattr("actors.storage.time.time", lambda: soon)
    assert Client().get(link).status_code == 403


def test_on_s3_the_link_leads_to_the_store_and_is_signed(
    sign_in: Callable[[str], Client], s3_storage: S3Server
) -> None:
    actor, curator = make_actor(), sign_in("Curator")
    upload(curator, actor)
    link = curator.get(reverse("rights-document", args=[actor.pk]))["Location"]
    assert link.startswith(s3_storage.url)
    assert httpx.get(link).content == PDF
    assert httpx.get(link.split("?")[0]).is_client_error


def test_a_store_that_refuses_keeps_nothing_and_says_so(
    sign_in: Callable[[str], Client],
    s3_storage: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    options = settings.STORAGES["default"]["OPTIONS"] | {"bucket_name": "no-such-bucket"}
    backend = settings.STORAGES["default"] | {"OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"default": backend}
    answer = upload(sign_in("Curator"), make_actor())
    assert answer.status_code == 400
    assert "The object store does not answer" in answer.text
    assert not LikenessRights.objects.exists()


def test_a_replaced_document_stays_for_the_history(sign_in: Callable[[str], Client], media: Path) -> None:
    actor, curator = make_actor(), sign_in("Curator")
    upload(curator, actor)
    first = LikenessRights.objects.get(actor=actor).document
    upload(curator, actor, picture("PNG"))
    second = LikenessRights.objects.get(actor=actor).document
    assert (media / first).exists()
    assert (media / second).exists()
    kept = LikenessRights.history.filter(actor_id=actor.pk).values_list("document", flat=True)
    assert set(kept) == {first, second}


def test_a_refused_document_changes_nothing(sign_in: Callable[[str], Client], media: Path) -> None:
    actor = make_actor()
    answer = upload(sign_in("Curator"), actor, b"<html>")
    assert answer.status_code == 400
    assert "This is no PDF, JPEG or PNG" in answer.text
    assert not LikenessRights.objects.exists()


# Pages


def test_a_viewer_sees_the_state_but_neither_paper_nor_note(sign_in: Callable[[str], Client]) -> None:
    actor = make_actor()
    give_rights(actor, reference="contract 4711", note="call the agent", expires_on=days(-1))
    page = sign_in("Viewer").get(reverse("rights", args=[actor.pk])).text
    assert "ended on" in page
    for secret in ("contract 4711", "call the agent", "multipart"):
        assert secret not in page
    assert "contract 4711" in sign_in("Curator").get(reverse("rights", args=[actor.pk])).text


def test_the_history_says_who_changed_what(sign_in: Callable[[str], Client]) -> None:
    actor, curator = make_actor(), sign_in("Curator")
    facts = {"basis": "licence", "reference": "L-1", "note": "", "expires_on": days(9).isoformat()}
    address = reverse("rights", args=[actor.pk])
    curator.post(address, facts)
    curator.post(address, facts | {"expires_on": days(400).isoformat()})
    curator.post(reverse("rights-remove", args=[actor.pk]), {"reason": "wrong actor"})
    page = curator.get(address).text
    assert f"{days(9)} → {days(400)}" in page
    assert "wrong actor" in page
    assert "None are on record" in page


def test_the_list_shows_each_actor_under_its_state(sign_in: Callable[[str], Client]) -> None:
    viewer = sign_in("Viewer")
    ends = {"expired": -1, "expiring": 30, "all": 31}
    actors = {show: make_actor() for show in (*ends, "missing")}
    for show, number in ends.items():
        give_rights(actors[show], expires_on=days(number))
    for show in ("expired", "expiring", "missing"):
        page = viewer.get(reverse("all-rights"), {"show": show}).text
        assert {key for key, actor in actors.items() if f"/actors/{actor.pk}/rights" in page} == {show}
    page = viewer.get(reverse("all-rights"), {"show": "all"}).text
    assert f"/actors/{actors['missing'].pk}/rights" not in page
    assert f"/actors/{actors['all'].pk}/rights" in page


def test_only_admins_switch_the_requirement(sign_in: Callable[[str], Client]) -> None:
    address = reverse("rights-policy")
    assert sign_in("Curator").post(address, {"required": "yes"}).status_code == 403
    admin = sign_in("Admin")
    admin.post(address, {"required": "yes"})
    assert RightsPolicy.requires_rights()
    admin.post(address, {"required": "no"})
    assert not RightsPolicy.requires_rights()
    assert [row.history_user.username for row in RightsPolicy.history.all()] == ["Admin", "Admin"]


def test_library_and_actor_carry_the_flag(sign_in: Callable[[str], Client]) -> None:
    actor, viewer = make_actor(), sign_in("Viewer")
    give_rights(actor, expires_on=days(-1))
    for page in (reverse("library"), reverse("library") + "?view=table", reverse("actor", args=[actor.pk])):
        assert "Rights expired" in viewer.get(page).text


def test_the_list_takes_as_many_queries_for_forty_as_for_ten(sign_in: Callable[[str], Client]) -> None:
    viewer = sign_in("Viewer")

    def add(number: int) -> None:
        for _ in range(number):
            give_rights(make_actor(images=0), expires_on=days(-1))

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert viewer.get(reverse("all-rights"), {"show": "expired"}).status_code == 200
        return len(captured)

    add(10)
    queries()
    ten = queries()
    add(30)
    assert queries() == ten


# Letters


def letters_after(day: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Subjects of the letters written on a day from now, at any hour of it, twice."""
    Letter.objects.all().delete()
    later = timezone.now() + timedelta(days=day)
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: later)
        rights_letters.look()
        rights_letters.look()
    return list(Letter.objects.values_list("subject", flat=True))


def test_rights_that_end_are_told_once_per_threshold(
    sign_in: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("Viewer", "Curator", "Admin"):
        sign_in(role)
    actor, retired = make_actor(), make_actor()
    give_rights(actor, expires_on=days(31))
    give_rights(retired, expires_on=days(31))
    retired.retire()
    assert [letters_after(day, monkeypatch) for day in (0, 1, 2, 24, 25, 31, 32, 33)] == [
        [],
        ["Likeness rights: 1 end soon"],
        [],
        ["Likeness rights: 1 end soon"],
        [],
        [],
        ["Likeness rights: 1 ended"],
        [],
    ]
    give_rights(actor, expires_on=days(20))  # renewed, so it is told again
    assert letters_after(0, monkeypatch) == ["Likeness rights: 1 end soon"]
    letter = Letter.objects.get()
    assert letter.to == ["curator@studio.example", "admin@studio.example"]
    assert f"/actors/{actor.pk}/rights" in letter.text


def test_what_has_long_ended_is_one_line_and_not_three(sign_in: Callable[[str], Client]) -> None:
    sign_in("Curator")
    actor = make_actor()
    give_rights(actor, expires_on=days(-5))
    assert rights_letters.tell() == 1
    assert Letter.objects.get().text.count(actor.number) == 1


def test_nothing_counts_as_told_while_nobody_could_read_it() -> None:
    give_rights(make_actor(), expires_on=days(-5))
    assert rights_letters.tell() == 0
    assert not LikenessRights.objects.exclude(told="").exists()


def test_a_letter_is_sent_once_and_again_only_when_the_mail_server_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Letter.write("one", ["a@studio.example", ""], "Two\nlines", "Text")
    assert not Letter.write("one", ["a@studio.example"], "Again", "Text")

    def refuse(*_: object) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(letters, "send_mail", refuse)
        with pytest.raises(OSError):  # noqa: PT011  # the task queue tries again
            letters.send("one")
    letters.send("one")
    letters.send("one")
    assert [(letter.subject, letter.to) for letter in mail.outbox] == [("Two lines", ["a@studio.example"])]


# Previews


def test_expired_rights_stop_previews_and_the_one_of_a_completion(media: Path) -> None:
    version = make_drawable()
    give_rights(version.actor, expires_on=days(-1))
    with pytest.raises(previews.CannotPreview, match=r"ended on .* a Curator enters"):
        ordered(version)
    running = make_version(status="training")
    give_rights(running.actor, expires_on=days(-1))
    storage.save(running.lora_key, ContentFile(tiny_lora(running.model_name)))
    assert running.complete(storage.own(running.lora_key).s3)
    assert "No preview was drawn: The rights to this likeness ended" in messages(running)
    give_rights(version.actor, expires_on=days(0))
    ordered(TrainingVersion.objects.get(pk=version.pk))


def test_missing_rights_stop_previews_where_they_are_required(media: Path) -> None:
    version = make_drawable()
    RightsPolicy.switch(required=True, by=None)
    with pytest.raises(previews.CannotPreview, match="No rights to this likeness are on record"):
        ordered(version)
