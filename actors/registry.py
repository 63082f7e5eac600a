"""``actors.json`` in and out. Commands, API and admin call this; nothing here knows HTTP or argparse.

An actor keeps the record it came with (``Actor.source``). Export starts from that record and
replaces only what is different here, so unknown keys, key order and key types survive.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from django.db import transaction
from django.db.models import Max, Prefetch, QuerySet
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from actors import storage, tasks
from actors.models import Actor, TrainingDataset, TrainingImage, prefetch_good_version
from actors.rights import rights_of
from actors.sequences import continue_after_highest_id

#: Keys of a record that are columns here.
FACTS = ("name", "age", "sex", "ethnicity", "description")
#: Keys of a record that are rows of their own here.
RELATIONS = ("training_data", "validated_lora_model")
#: Says how an actor's rights stand, where they are on record here; a registry can't bring them in.
RIGHTS = "likeness_rights"
SCHEMA_FILE = Path(__file__).with_name("registry.schema.json")


class RegistryError(Exception):
    """The registry can't be read; the message names index, id and field, and nothing was written."""


@dataclass
class Plan:
    """What an import would do."""

    created: list[dict[str, Any]] = field(default_factory=list)
    changed: list[tuple[Actor, dict[str, Any], list[str]]] = field(default_factory=list)
    unchanged: int = 0

    def lines(self) -> Iterator[str]:
        """The difference for people, one line per actor."""
        for record in self.created:
            yield f"+ {record['id']} {record['name']}"
        for actor, _, keys in self.changed:
            yield f"~ {actor.pk} {actor.name}: {', '.join(keys)}"

    def summary(self) -> str:
        """``2 new, 1 changed, 28 unchanged``."""
        return f"{len(self.created)} new, {len(self.changed)} changed, {self.unchanged} unchanged"


# Out


def export_records(actors: Iterable[Actor] | None = None) -> Iterator[dict[str, Any]]:
    """One record per actor that is not retired, in order; constant memory."""
    if actors is None:
        actors = with_all_shown(Actor.objects.active()).iterator(chunk_size=500)
    return (export_record(actor) for actor in actors)


def with_all_shown(actors: QuerySet[Actor]) -> QuerySet[Actor]:
    """The actors with all that ``export_record`` reads, and of their images no more than that."""
    images = TrainingImage.objects.only("dataset_id", "url", "state", "included")
    shown = Prefetch("dataset__images", queryset=images.order_by("position", "id"))
    return actors.select_related("dataset", "rights").prefetch_related(shown, prefetch_good_version())


def export_record(actor: Actor) -> dict[str, Any]:
    """The actor as ``actors.json`` shows it. In lists wants ``with_all_shown``."""
    came = actor.source_record()
    record = came | {"id": actor.pk}
    for key in FACTS:
        value = getattr(actor, key)
        if read_fact(key, came.get(key)) != value:
            keep_text = isinstance(came.get(key), str) and value is not None
            record[key] = str(value) if keep_text else value
    dataset = getattr(actor, "dataset", None)
    if dataset and (dataset.changed_at or "training_data" not in came):
        record["training_data"] = dataset.claims() | training_data(dataset)
    good = next((version for version in actor.versions.all() if version.is_good), None)
    if good:
        record["validated_lora_model"] = good.validated_lora_model(came.get("validated_lora_model"))
    elif came.get("validated_lora_model") is not None:
        record["validated_lora_model"] = None
    if rights := rights_of(actor):
        record[RIGHTS] = rights.for_registry()
    return record


def training_data(dataset: TrainingDataset) -> dict[str, Any]:
    """What a training would read now."""
    included, trainable = dataset.included_images(), dataset.trainable_images()
    return {
        "s3_urls": [image.url for image in trainable],
        "local_path": dataset.local_path,
        "count": len(trainable),
        "synced": bool(trainable) and len(trainable) == len(included),
    }


def write_json(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The JSON text of a registry in pieces, a record at a time."""
    opening = "["
    for record in records:
        yield opening + "\n" + readable(record)
        opening = ","
    yield "[]\n" if opening == "[" else "\n]\n"


def readable(record: dict[str, Any]) -> str:
    """Indented, in its own letters; escaped only where a registry brought half a character in."""
    text = json.dumps(record, ensure_ascii=False, indent=2)
    return text if text.isascii() or _storable(text) else json.dumps(record, indent=2)


# In


def parse(text: str | bytes) -> list[dict[str, Any]]:
    """A registry's records, checked one by one. Raises ``RegistryError``."""
    try:
        records = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise RegistryError("This JSON is nested too deeply to be a registry.") from None
    except UnicodeDecodeError as error:
        raise RegistryError(f"This is not UTF-8 text: {error.reason} at byte {error.start}.") from None
    except ValueError as error:
        raise RegistryError(f"This is not JSON: {error}.") from None
    if not isinstance(records, list):
        raise RegistryError(f"A registry is a list of actors, not {_kind(records)}.")
    for index, record in enumerate(records):
        check(record, index)
    for key in ("id", "name"):
        seen: dict[Any, int] = {}
        for index, record in enumerate(records):
            first = seen.setdefault(record[key], index)
            if first != index:
                raise RegistryError(
                    f"Record {index} (id {record['id']}): {key} {record[key]!r} is taken by record {first}."
                )
    return records


def check(record: Any, index: int) -> None:
    """Raises ``RegistryError`` naming the first field that is wrong."""
    errors = sorted(_validator().iter_errors(record), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        known = f" (id {record['id']})" if isinstance(record, dict) and "id" in record else ""
        raise RegistryError(f"Record {index}{known}: {describe(errors[0])}")
    for key in FACTS:
        if isinstance(record.get(key), str) and not _storable(record[key]):
            raise RegistryError(
                f"Record {index} (id {record['id']}): {key}: holds characters that are not text."
            )


def describe(error: ValidationError) -> str:
    """A schema error as ``field: what is wrong``."""
    where = ".".join(str(part) for part in error.absolute_path)
    message = error.message if len(error.message) < 200 else f"{error.message[:90]} … {error.message[-90:]}"
    return f"{where}: {message}" if where else message


def plan_import(records: list[dict[str, Any]]) -> Plan:
    """Compares with what is here. Raises ``RegistryError`` for names that another actor holds."""
    here = {actor.pk: actor for actor in with_all_shown(Actor.objects.all())}
    arriving = {record["id"] for record in records}
    taken = {actor.name: actor.pk for actor in here.values() if actor.pk not in arriving}
    plan = Plan()
    for index, record in enumerate(records):
        if record["name"] in taken:
            holder = taken[record["name"]]
            raise RegistryError(
                f"Record {index} (id {record['id']}): name: actor {holder} is called {record['name']!r}."
            )
        actor = here.get(record["id"])
        if actor is None:
            plan.created.append(record)
        elif keys := differing_keys(export_record(actor), own_part(actor, record)):
            plan.changed.append((actor, record, keys))
        else:
            plan.unchanged += 1
    return plan


def own_part(actor: Actor, record: dict[str, Any]) -> dict[str, Any]:
    """An incoming record without what only this site can say about the actor."""
    return {key: value for key, value in record.items() if key != RIGHTS or rights_of(actor) is None}


def differing_keys(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Keys of an incoming record that would change something.

    A key it lacks changes nothing, and ``null`` takes no dataset and no good version away.
    """
    return [
        key
        for key, value in theirs.items()
        if (key not in ours or not same_json(ours[key], value)) and not (value is None and key in RELATIONS)
    ]


def same_json(one: Any, other: Any) -> bool:
    """Equality of JSON values, where ``1`` is not ``true`` and ``"1"`` is not ``1``."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@transaction.atomic
def apply_import(plan: Plan) -> None:
    """Writes a plan, all or nothing."""
    last = Actor.objects.aggregate(last=Max("position"))["last"]
    position = 0 if last is None else last + 1
    for offset, record in enumerate(plan.created):
        actor = Actor(pk=record["id"], position=position + offset, source=json.dumps(record))
        write_facts(actor, record)
        actor.save(force_insert=True)
        write_relations(actor, record, list(record))
    # Two actors may swap names: free all of them before any is taken.
    for actor, _, keys in plan.changed:
        if "name" in keys:
            Actor.objects.filter(pk=actor.pk).update(name=f"\n{actor.pk}")
    for actor, record, keys in plan.changed:
        actor.source = json.dumps(own_part(actor, export_record(actor) | record))
        write_facts(actor, record)
        actor.save()
        write_relations(actor, record, keys)
    continue_after_highest_id(Actor)
    transaction.on_commit(tasks.inspect_soon)


@transaction.atomic
def import_records(records: list[dict[str, Any]]) -> Plan:
    """Plans and applies in one transaction, so that nothing changes in between."""
    plan = plan_import(records)
    apply_import(plan)
    return plan


def write_facts(actor: Actor, record: dict[str, Any]) -> None:
    """Sets the columns from the record's facts, where it has them."""
    for key in FACTS:
        if key in record:
            setattr(actor, key, read_fact(key, record[key]))


def read_fact(key: str, value: Any) -> Any:
    """A registry value as the column holds it: ``"20"`` is the age 20, ``null`` an empty text."""
    if key == "age":
        if isinstance(value, str) and value.strip().isdecimal() and len(value.strip()) < 5:
            return int(value)
        return value if isinstance(value, int) else None
    return value or ""


def write_relations(actor: Actor, record: dict[str, Any], keys: list[str]) -> None:
    """Dataset and good version, where the record changes them."""
    if "training_data" in keys and record["training_data"] is not None:
        write_dataset(actor, record["training_data"])
    if "validated_lora_model" in keys and record["validated_lora_model"] is not None:
        actor.versions.model.objects.import_validated(actor, record["validated_lora_model"])


def write_dataset(actor: Actor, claims: dict[str, Any]) -> None:
    """The listed URLs become the dataset's images; captions of images already here stay."""
    dataset, is_new = TrainingDataset.objects.update_or_create(
        actor=actor, defaults={"local_path": claims.get("local_path") or "", "changed_at": None}
    )
    state = TrainingImage.State.SYNCED if claims.get("synced") else TrainingImage.State.LOCAL_ONLY
    here = {} if is_new else {image.url: image for image in dataset.images.all()}
    arriving = [(source, storage.parse(source)) for source in claims.get("s3_urls") or []]
    kept: set[str] = set()
    created: list[TrainingImage] = []
    changed: list[TrainingImage] = []
    for position, (source, address) in enumerate(arriving):
        url = address.s3 if address else source
        if url in kept:  # the same object in two spellings
            continue
        kept.add(url)
        image = here.get(url) or TrainingImage(
            dataset=dataset, url=url, file_name=url.rsplit("/", 1)[-1][:300]
        )
        image.position, image.source_url, image.state, image.included = position, source, state, True
        (changed if image.pk else created).append(image)
    TrainingImage.objects.bulk_create(created)
    if is_new and created:
        return  # a registry of thousands comes in one transaction: what follows has nothing to do
    dataset.images.exclude(url__in=kept).delete()
    TrainingImage.objects.bulk_update(changed, ["position", "source_url", "state", "included"])
    dataset.write_verdict()


@cache
def _validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA_FILE.read_text())
    return Draft202012Validator(
        {"$ref": "#/$defs/actor", "$defs": schema["$defs"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _storable(text: str) -> bool:
    """PostgreSQL takes no NUL, and lone surrogates are no text."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _kind(value: Any) -> str:
    names = {dict: "an object", str: "a text", int: "a number", float: "a number", bool: "a truth value"}
    return names.get(type(value), "null")
