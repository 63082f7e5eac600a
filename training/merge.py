"""A client's list of training versions meets ours: the rules of ``POST /api/actors/{id}/training-versions``.

Clients of the old system send back the whole list they once read, changed somewhere. Most of what such a
list says is an echo, maybe of something long past, so ``merge`` takes only what can be meant:

- a version whose id is unknown is added; one that is missing from the list stays;
- name and description are people's: the list's words count;
- a training of this site never changes its state by a list, and an imported one only from running to ended;
- ``isGood`` moves the mark to a version that was never good before. A list can only echo what it was once
  told, so such a claim is meant; any other may be old, and for that there is ``mark-good``.

``replace`` is for clients who prove by ``If-Match`` that they know the present list: it becomes theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from actors.models import Actor, now_iso
from training import wire
from training.models import ACTIVE, TERMINAL, NotCompleted, Status, TrainingVersion
from training.wire import STATUSES, read_moment, to_wire

if TYPE_CHECKING:
    from django.contrib.auth.models import User

#: What people own in a version trained here.
PEOPLES = ("name", "description", "isGood")


class MergeConflict(Exception):
    """The list contradicts what is here; the message names index, id and field, and nothing was written."""


class ListChanged(Exception):
    """The list that the client knows is no longer the present one."""


def current_list(actor_id: int) -> list[dict[str, Any]]:
    """The versions as the old clients read them, newest first."""
    return [to_wire(version) for version in TrainingVersion.objects.filter(actor_id=actor_id)]


def list_tag(versions: Iterable[dict[str, Any]]) -> str:
    """The ETag of a list."""
    return f'"{hashlib.sha256(json.dumps(list(versions)).encode()).hexdigest()[:32]}"'


def read(body: Any) -> list[dict[str, Any]]:
    """The list in a request's body. Raises ``WireError``. Old clients may leave the moment out."""
    versions = body.get("versions") if isinstance(body, dict) else body
    for version in versions if isinstance(versions, list) else []:
        if isinstance(version, dict):
            for key, value in (("timestamp", now_iso()), ("parameters", {})):
                if version.get(key) is None:
                    version[key] = value
    return wire.check(versions)


def merge(actor: Actor, versions: list[dict[str, Any]], by: User | None = None) -> None:
    """Takes in what can be meant. Raises ``MergeConflict``."""
    with _locked(actor):
        here = {version.public_id: version for version in actor.versions.all()}
        for index, said in reversed(list(enumerate(versions))):
            if (version := here.get(said["id"])) is None:
                _add(actor, index, said)
            else:
                _take_words(version, said)
                if version.source and version.is_active:
                    _take_end(version, said)
        _mark_newly_claimed(actor, versions, by)


def replace(actor: Actor, versions: list[dict[str, Any]], known_tags: Iterable[str], by: User | None) -> None:
    """Makes the list the present one. Raises ``ListChanged``, ``MergeConflict``."""
    with _locked(actor):
        here = {version.public_id: version for version in actor.versions.all()}
        known = set(known_tags)
        if "*" not in known and list_tag(to_wire(version) for version in here.values()) not in known:
            raise ListChanged("The versions have changed since you read them. Read them again.")
        good = _only_claim(versions)
        for version in here.values():
            if version.is_good and version.public_id != good:
                version.unmark_good(by)
        for public_id in here.keys() - {said["id"] for said in versions}:
            _remove(here[public_id])
        for index, said in reversed(list(enumerate(versions))):
            if (known_version := here.get(said["id"])) is None:
                _add(actor, index, said)
            else:
                _rewrite(actor, known_version, index, said)
        if good:
            _mark(actor, versions, good, by)


@contextmanager
def _locked(actor: Actor) -> Iterator[None]:
    """One list per actor at a time, all of it or nothing."""
    try:
        with transaction.atomic():
            Actor.objects.select_for_update().get(pk=actor.pk)
            yield
    except IntegrityError as error:
        raise MergeConflict("An id in this list belongs to a training of another actor.") from error


def _add(actor: Actor, index: int, said: dict[str, Any]) -> None:
    """A version that a client brings; an unfinished one is looked after as a job from now on."""
    status = STATUSES[said["status"]]
    if status in ACTIVE and (busy := actor.versions.filter(status__in=ACTIVE).first()):
        raise _conflict(index, said, f"status: {said['status']!r}, but {busy.name} is training already")
    wire.write_version(actor, None, said, status)


def _take_words(version: TrainingVersion, said: dict[str, Any]) -> None:
    """Name and description."""
    words = {
        "name": said["name"] or version.name,
        "description": (said.get("description") or "") if "description" in said else version.description,
    }
    changed = {key: value for key, value in words.items() if getattr(version, key) != value}
    if changed:
        TrainingVersion.objects.filter(pk=version.pk).update(**changed, updated_at=timezone.now())


def _take_end(version: TrainingVersion, said: dict[str, Any]) -> None:
    """A client that looks after its own training tells its end."""
    status = STATUSES[said["status"]]
    if status == Status.COMPLETED:
        url = said.get("loraUrl") or ""
        version.complete(url, lora_name=url.rsplit("/", 1)[-1][:300])
    elif status == Status.FAILED:
        version.fail(said.get("error") or "No reason was kept.")
    elif status == Status.CANCELLED:
        version.cancel()
    ended = read_moment(said.get("completedAt") or said.get("failedAt"))
    if status in TERMINAL and ended:
        TrainingVersion.objects.filter(pk=version.pk).update(finished_at=ended)


def _mark_newly_claimed(actor: Actor, versions: list[dict[str, Any]], by: User | None) -> None:
    """Of the versions that the list calls good for the first time, the newest becomes it."""
    claimed = [said["id"] for said in versions if said.get("isGood")]
    new = set(
        actor.versions.filter(public_id__in=claimed, first_good_at=None).values_list("public_id", flat=True)
    )
    if chosen := next((public_id for public_id in claimed if public_id in new), None):
        _mark(actor, versions, chosen, by)


def _mark(actor: Actor, versions: list[dict[str, Any]], public_id: str, by: User | None) -> None:
    try:
        actor.versions.get(public_id=public_id).mark_good(by)
    except NotCompleted as error:
        index = next(index for index, said in enumerate(versions) if said["id"] == public_id)
        raise _conflict(index, versions[index], f"isGood: {error}") from error


def _only_claim(versions: list[dict[str, Any]]) -> str | None:
    """The id of the one version that the list calls good."""
    claims = [(index, said) for index, said in enumerate(versions) if said.get("isGood")]
    if len(claims) > 1:
        raise _conflict(*claims[1], "isGood: only one version of an actor can be good")
    return claims[0][1]["id"] if claims else None


def _remove(version: TrainingVersion) -> None:
    if version.is_active:
        raise MergeConflict(f"{version.name} is training: cancel it before you leave it out.")
    version.delete()


def _rewrite(actor: Actor, version: TrainingVersion, index: int, said: dict[str, Any]) -> None:
    """An imported version becomes what the list says; one trained here keeps what this site knows."""
    present = to_wire(version)
    changed = [key for key in present.keys() | said.keys() if present.get(key) != said.get(key)]
    if version.source:
        status = STATUSES[said["status"]]
        if version.is_good and status != Status.COMPLETED:
            raise _conflict(index, said, "isGood: only a completed version can be good")
        if status in ACTIVE and (
            busy := actor.versions.filter(status__in=ACTIVE).exclude(pk=version.pk).first()
        ):
            raise _conflict(index, said, f"status: {said['status']!r}, but {busy.name} is training already")
        if changed:
            wire.write_version(actor, version, said, status)
    elif theirs := sorted(set(changed) - set(PEOPLES)):
        raise _conflict(
            index,
            said,
            f"{theirs[0]}: {version.name} was trained here; a list can change only {', '.join(PEOPLES)}",
        )
    else:
        _take_words(version, said | {"description": said.get("description") or ""})


def _conflict(index: int, said: dict[str, Any], problem: str) -> MergeConflict:
    return MergeConflict(f"Version {index} (id {said['id']!r}): {problem}.")
