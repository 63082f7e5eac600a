"""The published registry: always what the database says, and as fast as a file in memory.

A read costs one small query. When something has changed since the last read, only the changed actors
are written again; each process then takes over only their fragments. Requests share the bytes of a
process, so memory does not grow with them.
"""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from django.db import connection, transaction

from actors import registry, studio_time
from actors.models import Actor, LikenessRights
from actors.snapshot_tables import RegistryChange, RegistryFragment, RegistryState

#: Actors written in one go, and actors per block of the body.
BATCH = 500
BLOCK = 64
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_END = b"\n]\n"
#: A change waits also where the calendar has turned since: rights that ended yesterday, say.
_STATE = (
    "SELECT revision, tag, epoch, EXISTS (SELECT 1 FROM actors_registrychange) "
    "OR EXISTS (SELECT 1 FROM actors_likenessrights WHERE turns_on <= %s) "
    "FROM actors_registrystate WHERE id = 1"
)


class State(NamedTuple):
    """Which registry the database holds."""

    revision: int
    tag: str
    epoch: str


@dataclass(frozen=True)
class Block:
    """The text of some neighbours in the list, plain and as a piece of a deflate stream."""

    plain: bytes

    @cached_property
    def packed(self) -> bytes:
        """Ends on a byte and refers to nothing before it, so that unchanged blocks are packed once."""
        squeezer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        return squeezer.compress(self.plain) + squeezer.flush(zlib.Z_FULL_FLUSH)


@dataclass(frozen=True)
class Snapshot:
    """One revision of the registry, ready to be sent."""

    state: State
    #: Actor id to its place in the order and its JSON.
    actors: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    order: Sequence[int] = ()
    blocks: Sequence[Block] = ()

    def plain(self) -> Iterator[bytes]:
        """The JSON text."""
        if not self.blocks:
            yield b"["
        yield from (block.plain for block in self.blocks)
        yield _END

    def packed(self) -> Iterator[bytes]:
        """The same as gzip."""
        yield _GZIP_HEADER
        if not self.blocks:
            yield Block(b"[").packed
        yield from (block.packed for block in self.blocks)
        yield self._gzip_end

    @cached_property
    def plain_length(self) -> int:
        """Bytes of the JSON text."""
        return sum(map(len, self.plain()))

    @cached_property
    def packed_length(self) -> int:
        """Bytes of the gzip."""
        return sum(map(len, self.packed()))

    @cached_property
    def _gzip_end(self) -> bytes:
        checksum = 0
        for part in self.plain():
            checksum = zlib.crc32(part, checksum)
        squeezer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        last = squeezer.compress(_END) + squeezer.flush(zlib.Z_FINISH)
        return last + struct.pack("<LL", checksum, self.plain_length & 0xFFFFFFFF)

    def with_fragments(self, state: State, fragments: Sequence[RegistryFragment]) -> Snapshot:
        """The next snapshot; it shares every block that has not changed."""
        actors = dict(self.actors)
        for fragment in fragments:
            if fragment.json:
                actors[fragment.actor_id] = (fragment.position, fragment.json.encode())
            else:
                actors.pop(fragment.actor_id, None)
        order: Sequence[int] = sorted(actors, key=lambda actor: (actors[actor][0], actor))
        changed = {fragment.actor_id for fragment in fragments}
        same_order = order == self.order
        blocks = [
            self.blocks[index]
            if same_order and changed.isdisjoint(order[start : start + BLOCK])
            else _block(start, [actors[actor][1] for actor in order[start : start + BLOCK]])
            for index, start in enumerate(range(0, len(order), BLOCK))
        ]
        return Snapshot(state, actors, order, blocks)


def _block(start: int, fragments: list[bytes]) -> Block:
    return Block((b",\n" if start else b"[\n") + b",\n".join(fragments))


_lock = threading.Lock()
_latest: Snapshot | None = None


def current_state() -> State:
    """What the registry is now, every committed change included."""
    if (state := _read_state()) is None:
        with _lock:  # of many readers after a write, one writes the fragments
            if (state := _read_state()) is None:
                refresh()
                # A change that commits right now may wait for the next reader.
                state = _read_state(anyway=True)
    assert state is not None
    return state


def current(state: State | None = None) -> Snapshot:
    """The snapshot to send; of this state or a later one."""
    global _latest  # noqa: PLW0603  # one per process is the point
    state = state or current_state()
    if connection.in_atomic_block:
        # What this transaction did may yet be undone: nothing of it is kept.
        return _load(state, None)
    latest = _latest
    if latest is None or latest.state.tag != state.tag:
        with _lock:
            latest = _load(state, _latest)
            _latest = latest
    return latest


def refresh() -> None:
    """Writes the fragments of all actors that have changed."""
    with transaction.atomic():
        state = RegistryState.lock()
        LikenessRights.objects.turn_due(studio_time.today())
        changed = iter(RegistryChange.take_all())
        rewritten = 0
        while ids := list(islice(changed, BATCH)):
            rewritten += _rewrite(ids, state.revision + 1)
        if rewritten:
            state.advance()


def _rewrite(ids: list[int], revision: int) -> int:
    """Stores the fragments of these actors that differ from what is stored; returns how many."""
    shown = {actor.pk: actor for actor in registry.with_all_shown(Actor.objects.active().filter(pk__in=ids))}
    stored = RegistryFragment.objects.in_bulk(ids)
    fresh = []
    for pk in ids:
        actor, before = shown.get(pk), stored.get(pk)
        text = fragment(actor) if actor else ""
        position = actor.position if actor else 0
        if (before.json, before.position) != (text, position) if before else bool(text):
            fresh.append(RegistryFragment(actor_id=pk, position=position, json=text, revision=revision))
    RegistryFragment.objects.bulk_create(
        fresh,
        update_conflicts=True,
        unique_fields=["actor_id"],
        update_fields=["position", "json", "revision"],
    )
    return len(fresh)


def fragment(actor: Actor) -> str:
    """The actor's JSON. ASCII only, so that whatever a registry brought in goes out again."""
    return json.dumps(registry.export_record(actor), separators=(",", ":"))


def _read_state(*, anyway: bool = False) -> State | None:
    """The state unless changes wait (``None`` then); one query."""
    with connection.cursor() as cursor:  # every read of the registry asks this: plain SQL takes a fifth
        cursor.execute(_STATE, [studio_time.today()])
        row = cursor.fetchone()
    if row is None or (row[3] and not anyway):
        return None
    return State(row[0], str(row[1]), str(row[2]))


def _load(state: State, known: Snapshot | None) -> Snapshot:
    """The snapshot of ``state`` or of one that follows, from what this process knows already."""
    while True:
        if known is None or known.state.epoch != state.epoch or known.state.revision > state.revision:
            known = Snapshot(State(0, state.tag, state.epoch))
        news = list(RegistryFragment.objects.filter(revision__gt=known.state.revision))
        after = _read_state(anyway=True)
        if after is None or after.tag == state.tag:
            return known.with_fragments(state, news)
        state = after  # another process went on in between: read again, so that tag and text agree
