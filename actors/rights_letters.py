"""Letters about rights that end: to whoever may curate, one for all that have crossed a threshold since."""

from __future__ import annotations

import uuid
from datetime import date, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django_q.models import Schedule

from actors import letters, studio_time
from actors.letters import Letter
from actors.permissions import PERMISSIONS
from actors.rights import LikenessRights

#: What is told, once each, until the date changes: days before the end, and its name in ``told``.
THRESHOLDS = ((-1, "ended"), (7, "7 days"), (30, "30 days"))
HEADINGS = {
    "ended": "Ended: neither trainings nor previews can start",
    "7 days": "End within 7 days",
    "30 days": "End within 30 days",
}


def recipients() -> list[str]:
    """Everybody who may curate and has an address."""
    backend = "django.contrib.auth.backends.ModelBackend"
    curators = User.objects.with_perm(PERMISSIONS["curate"], backend=backend)
    return list(curators.exclude(email="").order_by("pk").values_list("email", flat=True).distinct())


@transaction.atomic
def tell() -> int:
    """Writes the letter; how many rights it is about. Of two calls at once the second finds nothing."""
    to, today = recipients(), studio_time.today()
    if not to:
        return 0
    found: dict[str, list[LikenessRights]] = {}
    told = Q()
    for number, name in THRESHOLDS:
        told |= Q(told=name)
        due = LikenessRights.objects.filter(
            expires_on__lte=today + timedelta(days=number), actor__retired_at=None
        ).exclude(told)
        rows = due.select_for_update(of=("self",)).select_related("actor").order_by("expires_on", "actor_id")
        if found_now := list(rows):
            found[name] = found_now
            LikenessRights.objects.filter(pk__in=[row.pk for row in found_now]).update(told=name)
    count = sum(map(len, found.values()))
    if count:
        Letter.write(f"rights {uuid.uuid4()}", to, _subject(found), _text(found, today))
    return count


def _subject(found: dict[str, list[LikenessRights]]) -> str:
    ended, count = len(found.get("ended", [])), sum(map(len, found.values()))
    parts = [f"{ended} ended"] if ended else []
    parts += [f"{count - ended} end soon"] if count > ended else []
    return f"Likeness rights: {', '.join(parts)}"


def _text(found: dict[str, list[LikenessRights]], today: date) -> str:
    lines = [f"As of {studio_time.written(today)}."]
    for name, rows in found.items():
        lines += ["", HEADINGS[name]]
        for rights in rows:
            assert rights.expires_on is not None  # they are found by it
            page = settings.SITE_URL + reverse("rights", args=[rights.actor_id])
            last = studio_time.written(rights.expires_on)
            lines.append(f"- {rights.actor.number} {rights.actor.title}, last valid day {last}: {page}")
    return "\n".join([*lines, "", settings.SITE_URL + reverse("all-rights"), ""])


def look() -> None:
    """Each hour: tells what the calendar has brought, and sends letters whose task was lost."""
    LikenessRights.objects.turn_due(studio_time.today())
    tell()
    letters.send_forgotten()


def ensure_schedule() -> None:
    """Runs ``look`` each hour; runs after every migrate."""
    Schedule.objects.update_or_create(
        name="rights and letters",
        defaults={"func": "actors.rights_letters.look", "schedule_type": Schedule.HOURLY, "repeats": -1},
    )
