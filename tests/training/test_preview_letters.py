"""A letter when a preview's answer is lost: once, to whoever ordered it, and only while it needs a person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django.fixtures import Settings

from tests.training.previewing import make_drawable, ordered
from training import notices, preview_recovery, preview_sweeping
from training.models import Preview

pytestmark = pytest.mark.django_db


def lost(**fields: object) -> Preview:
    """One whose submission was never answered."""
    preview = ordered(make_drawable(), **fields)
    preview.claim()
    Preview.objects.filter(pk=preview.pk).update(submitted_at=timezone.now() - timedelta(hours=1))
    preview.refresh_from_db()
    return preview


def letters() -> list[str]:
    """What the task queue has to send."""
    return [str(task.func()) for task in OrmQ.objects.order_by("pk") if "letter" in task.name()]


def sweep() -> None:
    Preview.objects.update(next_poll_at=None)
    preview_sweeping.settle_unanswered(timezone.now())


def test_whoever_ordered_it_and_the_studio_get_one_letter(settings: Settings) -> None:
    settings.NOTIFY_EMAILS = ["studio@example.com"]
    preview = lost(by=User.objects.create_superuser("ines", "ines@example.com"))
    sweep()
    sweep()
    assert letters() == ["training.notices.send_of_preview"]
    notices.send_of_preview(preview.pk)
    letter = mail.outbox[0]
    assert letter.to == ["ines@example.com", "studio@example.com"]
    version = preview.version
    assert letter.subject == f"A preview of {version.actor.name} {version.name} needs a decision"
    assert letter.body.endswith(f"{settings.SITE_URL}{preview.get_absolute_url()}\n")


def test_nobody_is_asked_to_decide_what_is_decided(settings: Settings) -> None:
    settings.NOTIFY_EMAILS = ["studio@example.com"]
    preview = lost()
    sweep()
    preview_recovery.give_up(preview)
    notices.send_of_preview(preview.pk)
    assert mail.outbox == []


def test_one_that_is_sent_again_and_lost_again_is_told_again(settings: Settings) -> None:
    settings.NOTIFY_EMAILS = ["studio@example.com"]
    preview = lost()
    sweep()
    assert preview_recovery.send_again(preview)
    preview.claim()
    Preview.objects.update(submitted_at=timezone.now() - timedelta(hours=1))
    sweep()
    assert letters() == ["training.notices.send_of_preview"] * 2


def test_nobody_to_tell_is_no_task() -> None:
    lost()
    sweep()
    assert letters() == []
