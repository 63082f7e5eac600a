"""Likeness rights on pages and in letters: who sees what, and who is told when they end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from actors import letters, rights_letters
from actors.models import Letter, LikenessRights, RightsPolicy
from tests.actors.rights_on_record import days, give_rights
from tests.factories import make_actor

pytestmark = pytest.mark.django_db


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
