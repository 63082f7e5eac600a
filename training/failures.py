"""Why trainings fail, in a handful of kinds: errors name files, steps and hosts, so no two are alike.

A kind is found by what an error says, in the database and at the time of asking. So a better rule holds for
old failures too, and dashboard and lists can't disagree.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.models import Case, CharField, IntegerField, Q, Value, When

from training.states import Status


class Kind(NamedTuple):
    """A kind of failure: its words, and fragments of which an error holds one, in any case."""

    label: str
    says: tuple[str, ...]


#: The first that fits counts, so what is special comes before what is general.
KINDS: dict[str, Kind] = {
    "memory": Kind("Out of memory", ("out of memory", "lack of memory", "MemoryError")),
    "too-long": Kind(
        "Took longer than allowed", ("longer than allowed", "timed out in the", "executionTimeout")
    ),
    "lost": Kind("Lost by the endpoint", ("Lost:", "Given up:", "never finished in the old")),
    "stopped": Kind("Stopped by the endpoint", ("endpoint cancelled", "worker was stopped", "worker died")),
    "diverged": Kind("Loss diverged", ("went astray", "loss is nan", "loss is inf")),
    "images": Kind("An image can't be read", ("Image ", "has no images", "training_data")),
    "store": Kind("Object store", ("object store", "upload of", "signed URL", "S3")),
    "not-sent": Kind("Never reached the endpoint", ("once the endpoint answers", "Tried ")),
    "refused": Kind("Refused by the endpoint", ("refused", "API key", "no endpoint")),
    "parameters": Kind("Parameters refused", ("Parameter ", "training_config")),
    "trainer": Kind("The trainer stopped", ("exit code", "Traceback", "The trainer")),
    "no-lora": Kind("No LoRA in the answer", ("names no LoRA",)),
    "unsaid": Kind("No reason given", ("not why", "No reason was kept")),
}
OTHER = "other"
LABELS = {name: kind.label for name, kind in KINDS.items()} | {OTHER: "Something else"}


#: Their order, for where a number has to do.
NAMES = list(LABELS)


def failure_kind(*, numbered: bool = False) -> Case:
    """The kind of each failed version, as a column; empty for those that have not failed.

    ``numbered``: its place in ``NAMES``, or NULL.
    """

    def is_(name: str) -> Any:
        return Value(NAMES.index(name) if name else None) if numbered else Value(name)

    def says(kind: Kind) -> Q:
        found = Q()
        for fragment in kind.says:
            found |= Q(error__icontains=fragment)
        return found

    return Case(
        When(~Q(status=Status.FAILED), then=is_("")),
        When(error="", then=is_("unsaid")),
        *(When(says(kind), then=is_(name)) for name, kind in KINDS.items()),
        default=is_(OTHER),
        output_field=IntegerField() if numbered else CharField(),
    )
