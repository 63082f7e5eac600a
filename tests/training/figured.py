"""Trainings and previews that the figures count, and whoever looks at them."""

from __future__ import annotations

import csv
import io
import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from actors.permissions import ensure_roles
from tests.factories import make_actor, make_version
from training.models import Preset, Preview, Status, TrainingVersion
from training.spans import Span

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MARCH = Span(date(2026, 3, 1), date(2026, 3, 31))
PRICE = 0.001


def trained(
    status: str = Status.COMPLETED,
    *,
    launched: datetime = NOON,
    queue: float = 60,
    seconds: float = 300,
    review: float | None = None,
    **fields: Any,
) -> TrainingVersion:
    """A training of an actor of its own, ended unless it is active."""
    start = launched + timedelta(seconds=queue)
    end = start + timedelta(seconds=seconds)
    ended = status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
    values: dict[str, Any] = {
        "created_at": launched,
        "started_at": start,
        "finished_at": end if ended else None,
        "execution_ms": int(1000 * seconds) if ended else None,
    }
    if review is not None:
        marked = end + timedelta(seconds=review)
        values |= {"is_good": True, "good_at": marked, "first_good_at": marked}
    return make_version(make_actor(images=1), status=status, **values | fields)


def previewed(version: TrainingVersion, *dollars: str) -> None:
    """Previews of a version that have cost so much each."""
    for amount in dollars:
        preview = Preview.objects.create(version=version, title="A look")
        preview.complete(cost_usd=Decimal(amount))


def person(name: str, role: str = "Viewer") -> User:
    ensure_roles()
    user = User.objects.create_user(name)
    user.groups.add(Group.objects.get(name=role))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def some_of_everything() -> None:
    """Trainings that differ in everything that groups and links tell apart."""
    people = [None, User.objects.create_user("ines"), User.objects.create_user("tomas")]
    revisions = [None, *(preset.current() for preset in Preset.objects.all())]
    endings = [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.TRAINING]
    errors = ["CUDA out of memory", "Lost: gone", "odd", ""]
    turns = zip(range(24), itertools.cycle(people), itertools.cycle(revisions), itertools.cycle(endings))
    for number, who, revision, status in turns:
        version = trained(
            status,
            launched=NOON + timedelta(days=number % 9),
            created_by=who,
            preset_revision=revision,
            preset_edited=bool(revision and number % 5 == 0),
            image_count=number * 4,
            error=errors[number % 3] if status == Status.FAILED else "",
            review=30 if status == Status.COMPLETED and number % 8 == 0 else None,
        )
        if status == Status.COMPLETED:
            previewed(version, f"0.{number:02d}07")


def rows_of(client: Client, table: str) -> list[list[str]]:
    answer = client.get(f"/analytics/{table}.csv", MARCH.query)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(text)))
