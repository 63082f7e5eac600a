"""Following another registry: ours, theirs, or ask."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import OrmQ

from actors import following, registry
from actors.models import Actor, RegistryProposal, RegistrySource

pytestmark = pytest.mark.django_db

OURS = [{"id": 1, "name": "0001_a", "age": 30}]
THEIRS = [{"id": 1, "name": "0001_a", "age": 31}, {"id": 2, "name": "0002_b"}]


@pytest.fixture
def source(tmp_path: Path) -> RegistrySource:
    registry.import_records(OURS)
    (tmp_path / "actors.json").write_text(json.dumps(THEIRS))
    return RegistrySource.objects.create(name="other studio", address=str(tmp_path / "actors.json"))


def sync(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("sync_registry", *arguments, stdout=out, **options)
    return out.getvalue()


def test_ours_wins_adds_new_actors_and_changes_nothing(source: RegistrySource) -> None:
    said = sync("other studio", rule="ours")
    assert "applied, ours wins: 1 new, 0 changed, 1 unchanged." in said
    assert Actor.objects.get(pk=1).age == 30
    assert Actor.objects.filter(pk=2).exists()


def test_theirs_wins_takes_their_changes_and_says_so_in_the_history(source: RegistrySource) -> None:
    said = sync("other studio", rule="theirs")
    assert "~ 1 0001_a: age: 30 → 31\n" in said
    assert Actor.objects.get(pk=1).age == 31
    line = Actor.history.filter(id=1).first()
    assert line.history_change_reason == "Registry other studio: theirs wins"


def test_ask_writes_nothing_and_waits_with_the_difference(source: RegistrySource) -> None:
    assert "waits for a decision" in sync("other studio")
    assert Actor.objects.count() == 1
    proposal = RegistryProposal.objects.get()
    assert (proposal.state, proposal.summary) == ("pending", "1 new, 1 changed, 0 unchanged")


def test_asking_twice_about_the_same_is_one_question_and_a_newer_one_replaces_it(
    source: RegistrySource,
) -> None:
    sync()
    sync()
    assert RegistryProposal.objects.count() == 1
    Path(source.address).write_text(json.dumps([*THEIRS, {"id": 3, "name": "0003_c"}]))
    sync()
    assert list(RegistryProposal.objects.values_list("state", flat=True)) == ["pending", "outdated"]


def test_a_dry_run_shows_the_difference_and_writes_nothing(source: RegistrySource) -> None:
    said = sync("other studio", rule="theirs", dry_run=True)
    assert "+ 2 0002_b\n" in said
    assert "dry run, nothing written: 1 new, 1 changed, 0 unchanged." in said
    assert Actor.objects.count() == 1


def test_a_file_that_is_not_set_up_can_be_followed_once(source: RegistrySource) -> None:
    RegistrySource.objects.all().delete()
    assert "applied, theirs wins" in sync(source.address, rule="theirs")


@pytest.mark.parametrize("content", ["{", '[{"id": 1}]', ""])
def test_a_source_that_is_broken_says_why_in_one_line_and_changes_nothing(
    source: RegistrySource, content: str
) -> None:
    Path(source.address).write_text(content)
    with pytest.raises(CommandError, match=r"^other studio: [^\n]+$"):
        sync(rule="theirs")
    source.refresh_from_db()
    assert source.failed
    assert Actor.objects.get().age == 30


def test_sources_are_read_by_tasks_when_their_time_has_come_and_only_once(source: RegistrySource) -> None:
    following.run_due()
    following.run_due()
    assert OrmQ.objects.count() == 1
    source.refresh_from_db()
    assert source.next_run_at is not None
    assert timedelta(minutes=59) < source.next_run_at - timezone.now() <= timedelta(hours=1)
    following.run(source.pk)
    source.refresh_from_db()
    assert source.last_result.startswith("waits for a decision")


def test_a_task_that_can_not_read_its_source_writes_down_why(source: RegistrySource) -> None:
    RegistrySource.objects.update(address="http://127.0.0.1:9/actors.json")
    following.run(source.pk)
    source.refresh_from_db()
    assert source.failed
    assert "refused" in source.last_result.lower()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://example.com/a.json", "actors.json", ""])
def test_only_http_addresses_and_absolute_paths_are_taken(address: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RegistrySource(name="bad", address=address).full_clean()
    assert "address" in caught.value.message_dict


def test_without_a_source_the_command_says_what_to_do() -> None:
    with pytest.raises(CommandError, match=r"[Aa]dd one in the admin, or name a file or URL"):
        sync()
