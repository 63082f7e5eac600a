"""Who changed what, when, from what to what. Rows are kept by django-simple-history.

simple-history notices ``save()`` and ``delete()``, but not ``update()``, ``bulk_create()`` and
``bulk_update()``, which most verbs here are made of. :class:`TrackedQuerySet` closes that gap, so that
no change goes unnoticed, whichever way it is made. Only the named fields count: polls and progress
change others and write no history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import models, transaction
from simple_history.models import HistoricalRecords

Row = TypeVar("Row", bound=models.Model)
#: SQLite takes a limited number of values in one statement.
_BATCH = 500

_person: ContextVar[Any] = ContextVar("person", default=None)
_reason: ContextVar[str] = ContextVar("reason", default="")


@contextmanager
def changing(by: Any = None, reason: str = "") -> Iterator[None]:
    """Everything written inside was done by this person for this reason; outside it is the request's user."""
    known = by if by is not None and by.is_authenticated else _person.get()
    person, why = _person.set(known), _reason.set(reason or _reason.get())
    try:
        yield
    finally:
        _person.reset(person)
        _reason.reset(why)


def _acting(request: Any = None, **_: Any) -> Any:
    """The person named by ``changing``, else the request's."""
    user = _person.get() or getattr(request, "user", None)
    return user if user is not None and user.is_authenticated else None


class Tracked(HistoricalRecords):  # type: ignore[misc]  # simple_history has no types
    """History of the named fields. Saving without changing one of them leaves no trace."""

    def __init__(self, *fields: str, **options: Any) -> None:
        self.names = frozenset(fields)
        options.setdefault("history_change_reason_field", models.TextField(null=True))
        super().__init__(get_user=_acting, **options)

    def fields_included(self, model: Any) -> list[models.Field[Any, Any]]:
        """The named fields and the key."""
        return [field for field in model._meta.fields if field.primary_key or field.name in self.names]

    def create_history_model(self, model: Any, inherited: Any) -> Any:
        """The library wants to know what is left out."""
        kept = {field.name for field in self.fields_included(model)}
        self.excluded_fields = [field.name for field in model._meta.fields if field.name not in kept]
        return super().create_history_model(model, inherited)

    def get_change_reason_for_object(self, instance: Any, history_type: str, using: Any) -> str | None:
        """The reason named by ``changing``."""
        return super().get_change_reason_for_object(instance, history_type, using) or _reason.get() or None

    def create_historical_record(self, instance: Any, history_type: str, using: Any = None) -> None:
        """Skips a save that changed nothing that is tracked."""
        if history_type == "~":
            names = [field.attname for field in self.fields_included(instance)]
            latest = type(instance).history.filter(**{instance._meta.pk.attname: instance.pk})
            here = tuple(getattr(instance, name) for name in names)
            if latest.order_by("-history_date", "-history_id").values_list(*names).first() == here:
                return
        super().create_historical_record(instance, history_type, using)


class TrackedQuerySet(models.QuerySet[Row]):
    """Writes the history of changes made without ``save()``."""

    def update(self, **changes: Any) -> int:
        """As Django's; rows whose tracked fields change get a line of history, in the same transaction."""
        names = _tracked_names(self.model, changes)
        if not names:
            return super().update(**changes)
        # No savepoint of its own: a caller inside a transaction loses or keeps all of it anyway.
        with transaction.atomic(using=self.db, savepoint=False):
            before = _rows_before(self, names)
            changed = super().update(**changes)
            _record_changes(self.model, before, names)
        return changed

    update.alters_data = True  # type: ignore[attr-defined]  # Django reads it

    def bulk_update(self, objs: Iterable[Row], fields: Iterable[str], batch_size: int | None = None) -> int:
        """As Django's; it calls ``update`` in batches, which would read each row three times."""
        rows, fields = list(objs), list(fields)
        names = _tracked_names(self.model, fields)
        with transaction.atomic(using=self.db, savepoint=False):
            before: dict[Any, tuple[Any, ...]] = {}
            for batch in _batches([row.pk for row in rows] if names else []):
                before |= _rows_before(_plain(self.model).filter(pk__in=batch), names)
            # The tracked queryset would write each line twice.
            changed = _plain(self.model).bulk_update(rows, fields, batch_size)
            _record_changes(self.model, before, names)
        return changed

    def bulk_create(self, objs: Iterable[Row], *args: Any, **options: Any) -> list[Row]:
        """As Django's, with a first line of history for each new row."""
        if options.get("update_conflicts") or options.get("ignore_conflicts"):
            message = f"{self.model.__name__} keeps history: conflicts can't be told from new rows."
            raise NotImplementedError(message)
        with transaction.atomic(using=self.db, savepoint=False):
            rows = super().bulk_create(objs, *args, **options)
            _write(self.model, rows, update=False)
        return rows


def change_rows(*changes: tuple[models.Model, dict[str, Any]]) -> None:
    """An UPDATE for each row and one INSERT for the history of all. The caller has locked and read the rows,
    which are of one model, and every change is one that counts."""
    rows = [row for row, _ in changes]
    model = type(rows[0])
    for row, values in changes:
        _plain(model).filter(pk=row.pk).update(**values)
        for name, value in values.items():
            setattr(row, name, value)
    _write(model, rows, update=True)


def _tracked_names(model: Any, names: Iterable[str]) -> set[str]:
    """Those of the fields that have a history, by column name."""
    tracked = {field.attname for field in model.history.model.tracked_fields if not field.primary_key}
    return tracked & {model._meta.get_field(name).attname for name in names if name != "pk"}


def _rows_before(queryset: models.QuerySet[Any], names: Collection[str]) -> dict[Any, tuple[Any, ...]]:
    """Key to values, with the rows locked, so that exactly these are the ones that change."""
    locked = queryset.order_by().select_related(None).select_for_update(of=("self",))
    return {key: tuple(values) for key, *values in locked.values_list("pk", *sorted(names))}


def _record_changes(model: Any, before: dict[Any, tuple[Any, ...]], names: Collection[str]) -> None:
    tracked = [field.name for field in model.history.model.tracked_fields]
    for batch in _batches(list(before)):
        rows = _plain(model).filter(pk__in=batch).only(*tracked)
        differ = [
            row for row in rows if before[row.pk] != tuple(getattr(row, name) for name in sorted(names))
        ]
        _write(model, differ, update=True)


def _plain(model: Any) -> models.QuerySet[Any]:
    return models.QuerySet(model)


def _write(model: Any, rows: Sequence[Any], *, update: bool) -> None:
    if rows:
        model.history.bulk_history_create(
            rows, batch_size=_BATCH, update=update, default_change_reason=_reason.get() or None
        )


def _batches(keys: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(keys), _BATCH):
        yield keys[start : start + _BATCH]
