"""Likeness rights: on what ground an actor's likeness may be used, and until when.

One row per actor, optional unless the studio requires it. Both dates are days in the studio's time zone,
and a right is valid through its last day. What a launch asks is computed from the dates; ``turns_on`` is
the next day on which the answer changes by itself, so that the published registry notices (``turn_due``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from actors import storage, studio_time
from actors.history import Tracked, TrackedQuerySet, changing

if TYPE_CHECKING:
    from actors.models import Actor

#: Rights that end within so many days are listed as expiring.
AHEAD = timedelta(days=30)


class Basis(models.TextChoices):
    """Why the likeness may be used."""

    SYNTHETIC = "synthetic", "Synthetic: no such person exists"
    CONSENT = "consent", "Consent of the person"
    LICENCE = "licence", "Licence"


class State(models.TextChoices):
    """Where rights stand on a day."""

    VALID = "valid", "Valid"
    EXPIRING = "expiring", "Expiring"
    EXPIRED = "expired", "Expired"
    FUTURE = "future", "Not yet valid"
    MISSING = "missing", "None on record"


@dataclass(frozen=True)
class Flaw:
    """Why rights stop a training, or soon will: a fact, and the way out."""

    state: State
    fact: str
    reason: str

    @property
    def stops(self) -> bool:
        """Whether neither a training nor a preview may start."""
        return self.state != State.EXPIRING

    @property
    def words(self) -> str:
        """For a poster: ``Rights expired``."""
        return {
            State.EXPIRED: "Rights expired",
            State.FUTURE: "Rights not yet valid",
            State.MISSING: "No rights on record",
        }.get(self.state, "Rights expiring")


class LikenessRightsQuerySet(TrackedQuerySet["LikenessRights"]):
    """Questions about many rights at once."""

    def turn_due(self, today: date) -> int:
        """Rights whose state has changed with the calendar. The update tells the published registry."""
        turned = 0
        for rights in self.filter(turns_on__lte=today):
            turned += self.filter(pk=rights.pk, turns_on__lte=today).update(turns_on=rights.next_turn(today))
        return turned


class LikenessRights(models.Model):
    """The rights to one actor's likeness."""

    actor = models.OneToOneField("actors.Actor", on_delete=models.CASCADE, related_name="rights")
    basis = models.CharField(max_length=20, choices=Basis.choices)
    reference = models.CharField(
        max_length=500, blank=True, help_text="Where the paper is: a contract's number, a folder."
    )
    document = models.CharField(
        max_length=300, blank=True, editable=False, help_text="The uploaded file's key in the object store."
    )
    document_name = models.CharField(max_length=300, blank=True, editable=False)
    document_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    valid_from = models.DateField(null=True, blank=True, help_text="Empty: from the beginning.")
    expires_on = models.DateField(null=True, blank=True, help_text="The last valid day. Empty: for ever.")
    note = models.TextField(blank=True)
    turns_on = models.DateField(null=True, editable=False, db_index=True)
    told = models.CharField(
        max_length=20, blank=True, editable=False, help_text="The last threshold that was told by letter."
    )
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = LikenessRightsQuerySet.as_manager()
    history = Tracked(
        "actor",
        "basis",
        "reference",
        "document",
        "document_name",
        "document_sha256",
        "valid_from",
        "expires_on",
        "note",
    )

    class Meta:
        verbose_name_plural = "likeness rights"
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_from=None) | Q(expires_on=None) | Q(expires_on__gte=F("valid_from")),
                name="rights_end_after_they_begin",
                violation_error_message="The last valid day lies before the first one.",
            )
        ]

    def __str__(self) -> str:
        return f"Rights to {self.actor}"

    def clean(self) -> None:
        """Consent and licence are worth what proves them."""
        if self.basis in (Basis.CONSENT, Basis.LICENCE) and not (self.reference.strip() or self.document):
            raise ValidationError({"reference": "Say where the paper is, or upload it."})

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keeps ``turns_on`` true to the dates."""
        self.turns_on = self.next_turn(studio_time.today())
        if fields := kwargs.get("update_fields"):
            kwargs["update_fields"] = {*fields, "turns_on", "updated_at"}
        super().save(*args, **kwargs)

    def next_turn(self, today: date) -> date | None:
        """The next day on which the registry has to say something else."""
        if self.valid_from and self.valid_from > today:
            return self.valid_from
        return self.expires_on + timedelta(days=1) if self.expires_on and self.expires_on >= today else None

    def state_on(self, day: date) -> State:
        """How it stands on a day."""
        if self.expires_on and self.expires_on < day:
            return State.EXPIRED
        if self.valid_from and self.valid_from > day:
            return State.FUTURE
        return State.EXPIRING if self.expires_on and self.expires_on <= day + AHEAD else State.VALID

    @property
    def state(self) -> State:
        """How it stands today."""
        return self.state_on(studio_time.today())

    def for_registry(self) -> dict[str, Any]:
        """The key ``likeness_rights`` of ``actors.json``."""
        state = State.VALID if self.state == State.EXPIRING else self.state
        expires = self.expires_on.isoformat() if self.expires_on else None
        return {"basis": self.basis, "state": state.value, "expires_on": expires}

    @classmethod
    @transaction.atomic
    def record(cls, actor: Actor, facts: dict[str, Any], by: Any) -> LikenessRights:
        """Writes the facts, all or nothing: new, or over what is there. Raises ``ValidationError``."""
        # The actor's row is the lock: of two people who record the first rights at once, one comes second.
        type(actor).objects.select_for_update().only("pk").get(pk=actor.pk)
        rights = cls.objects.filter(actor=actor).first() or cls(actor=actor)
        if "expires_on" in facts and facts["expires_on"] != rights.expires_on:
            rights.told = ""
        for name, value in facts.items():
            setattr(rights, name, value)
        rights.updated_by = by
        rights.full_clean()
        with changing(by):
            rights.save()
        return rights

    def document_link(self) -> str:
        """A link for some minutes, for a redirect; only for people who may curate."""
        link = storage.download_link(storage.own(self.document).s3, 300) if self.document else ""
        return link.removeprefix(settings.SITE_URL)


class RightsPolicy(models.Model):
    """The studio's one setting about rights, in a row that is made when it is first changed."""

    required = models.BooleanField(
        default=False, help_text="Actors without rights on record can neither be trained nor previewed."
    )
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    history = Tracked("required")

    class Meta:
        verbose_name_plural = "rights policy"
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_rights_policy")]

    def __str__(self) -> str:
        return "Rights are required" if self.required else "Rights are optional"

    @classmethod
    def requires_rights(cls) -> bool:
        """Whether every actor needs rights on record."""
        return cls.objects.filter(required=True).exists()

    @classmethod
    def switch(cls, *, required: bool, by: Any) -> None:
        """Makes rights required, or optional again."""
        values = {"required": required, "updated_by": by, "updated_at": timezone.now()}
        cls.objects.update_or_create(pk=1, defaults=values)


def rights_of(actor: Actor) -> LikenessRights | None:
    """The actor's rights, if any are on record."""
    return getattr(actor, "rights", None)


def flaw_of(actor: Actor) -> Flaw | None:
    """What is wrong with an actor's rights today. Two queries at most."""
    rights = rights_of(actor)
    return _flaw(rights, required=rights is None and RightsPolicy.requires_rights())


def flaws_of(actor_ids: Sequence[int]) -> dict[int, Flaw]:
    """The same of many actors, those without a flaw left out. Three queries at most."""
    today = studio_time.today()
    rights = LikenessRights.objects.filter(actor__in=actor_ids)
    flawed = rights.filter(Q(expires_on__lte=today + AHEAD) | Q(valid_from__gt=today))
    found = {row.actor_id: _flaw(row, required=False) for row in flawed.defer("note")}
    if RightsPolicy.requires_rights():
        missing = set(actor_ids).difference(rights.values_list("actor_id", flat=True))
        found |= dict.fromkeys(missing, _flaw(None, required=True))
    return {actor_id: flaw for actor_id, flaw in found.items() if flaw}


def _flaw(rights: LikenessRights | None, *, required: bool) -> Flaw | None:
    if rights is None:
        reason = "The studio requires them: a Curator records them on the actor's page Rights."
        return Flaw(State.MISSING, "No rights to this likeness are on record.", reason) if required else None
    begins, ends = (studio_time.written(day) if day else "" for day in (rights.valid_from, rights.expires_on))
    match rights.state:
        case State.EXPIRED as state:
            reason = "Once they are renewed, a Curator enters the new date on the actor's page Rights."
            return Flaw(state, f"The rights to this likeness ended on {ends}.", reason)
        case State.FUTURE as state:
            reason = "Wait until then; a wrong date is mended by a Curator on the actor's page Rights."
            return Flaw(state, f"The rights to this likeness begin on {begins}.", reason)
        case State.EXPIRING as state:
            return Flaw(state, f"The rights to this likeness end on {ends}.", "Renew them in time.")
        case _:
            return None


def with_rights_state(actors: models.QuerySet[Any, Any]) -> Any:
    """Adds ``rights_state``, one of ``State``, to actors by a join."""
    today = studio_time.today()
    state = Case(
        When(rights=None, then=Value(State.MISSING)),
        When(rights__expires_on__lt=today, then=Value(State.EXPIRED)),
        When(rights__valid_from__gt=today, then=Value(State.FUTURE)),
        When(rights__expires_on__lte=today + AHEAD, then=Value(State.EXPIRING)),
        default=Value(State.VALID),
        output_field=models.CharField(),
    )
    return actors.annotate(rights_state=state)
