"""The registry: actors, and the images each one's LoRA is trained on."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from django.db import models, transaction
from django.db.models import F, Max, Prefetch, Q
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from actors import storage
from actors.dataset_models import DatasetChange, DatasetRevision, ImageUpload, InspectionRun
from actors.history import Tracked, TrackedQuerySet
from actors.letters import Letter
from actors.rights import LikenessRights, RightsPolicy
from actors.snapshot_tables import RegistryChange, RegistryFragment, RegistryState
from actors.sources import RegistryProposal, RegistrySource
from actors.tokens import AccessToken

__all__ = [
    "AccessToken",
    "Actor",
    "DatasetChange",
    "DatasetRevision",
    "ImageUpload",
    "InspectionRun",
    "Letter",
    "LikenessRights",
    "RegistryChange",
    "RegistryFragment",
    "RegistryProposal",
    "RegistrySource",
    "RegistryState",
    "RightsPolicy",
    "TrainingDataset",
    "TrainingImage",
]

#: A dataset below the floor can't train; around the sweet spot it trains best; above it dilutes.
IMAGES_FLOOR = 10
IMAGES_BEST = (20, 30)
IMAGES_MANY = 60


class ActorQuerySet(TrackedQuerySet["Actor"]):
    """Questions that pages, API and commands ask about actors."""

    def active(self) -> ActorQuerySet:
        """Everyone who is not retired."""
        return self.filter(retired_at=None)

    def register(self, **facts: Any) -> Actor:
        """A new actor, last in the order, with an empty dataset."""
        with transaction.atomic():
            last = self.aggregate(last=Max("position"))["last"]
            actor = self.create(position=0 if last is None else last + 1, **facts)
            TrainingDataset.objects.create(actor=actor)
        return actor

    def search(self, words: str) -> ActorQuerySet:
        """Actors whose number, name or description hold every word."""
        found = self
        for word in words.split():
            match = Q(name__icontains=word) | Q(description__icontains=word) | Q(ethnicity__iexact=word)
            if word.isdecimal() and len(word) < 19:
                match |= Q(pk=int(word))
            found = found.filter(match)
        return found


class Actor(models.Model):
    """A synthetic person. The primary key is the registry id; 0 is valid."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(
        max_length=300, unique=True, help_text="The registry's name, also the default trigger token."
    )
    age = models.PositiveSmallIntegerField(null=True, blank=True)
    sex = models.CharField(max_length=40, blank=True, db_index=True)
    ethnicity = models.CharField(max_length=80, blank=True, db_index=True)
    description = models.TextField(blank=True)
    poster = models.ForeignKey(
        "TrainingImage",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The picture in the library; the first included image when empty.",
    )
    position = models.PositiveBigIntegerField(default=0, db_index=True, help_text="Order in actors.json.")
    source = models.TextField(
        default="{}",
        blank=True,
        editable=False,
        help_text="The registry record as it came in, as JSON text: unknown keys, order and types survive.",
    )
    versions_made = models.PositiveIntegerField(
        default=0, editable=False, help_text="V-numbers given so far; never reused."
    )
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ActorQuerySet.as_manager()
    history = Tracked("name", "age", "sex", "ethnicity", "description", "poster", "source", "retired_at")

    class Meta:
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.name

    @property
    def number(self) -> str:
        """The registry id as people write it: four digits."""
        return f"{self.pk:04d}"

    @property
    def title(self) -> str:
        """What a person reads: ``European, 55, male``; the name when no fact is known."""
        facts = [self.ethnicity.replace("_", " ").title(), str(self.age or ""), self.sex.replace("_", " ")]
        return ", ".join(fact for fact in facts if fact) or self.name

    @property
    def trigger_token(self) -> str:
        """The word a LoRA answers to unless a training says otherwise."""
        return self.name

    def source_record(self) -> dict[str, Any]:
        """The registry record as it came in."""
        record: dict[str, Any] = json.loads(self.source)
        return record

    def next_version_number(self) -> int:
        """Takes the next V-number; call inside a transaction. Numbers are never given twice."""
        Actor.objects.filter(pk=self.pk).update(versions_made=F("versions_made") + 1)
        self.refresh_from_db(fields=["versions_made"])
        return self.versions_made

    def restore(self) -> None:
        """Brings a retired actor back."""
        Actor.objects.filter(pk=self.pk).update(retired_at=None)

    def retire(self) -> None:
        """Takes the actor out of the library; nothing is deleted."""
        Actor.objects.filter(pk=self.pk, retired_at=None).update(retired_at=Now())


class Verdict(models.TextChoices):
    """What an inspection says of a dataset."""

    FIT = "fit", "Fit"
    WARNINGS = "warnings", "Fit with warnings"
    NOT_FIT = "not_fit", "Not fit"
    NOT_INSPECTED = "not_inspected", "Not inspected yet"


class TrainingDatasetQuerySet(TrackedQuerySet["TrainingDataset"]):
    """Changes of many datasets at once are history too."""


class TrainingDataset(models.Model):
    """The images of one actor, and what the registry claimed about them."""

    class Kind(models.TextChoices):
        """What the images are: drawn ones are not judged as photographs."""

        PHOTOGRAPHS = "photographs"
        DRAWN = "drawn"

    actor = models.OneToOneField(Actor, on_delete=models.CASCADE, related_name="dataset")
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.PHOTOGRAPHS)
    local_path = models.CharField(max_length=1000, blank=True)
    changed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="First change made here."
    )
    findings = models.JSONField(
        default=list, blank=True, editable=False, help_text="What an inspection found in the set as a whole."
    )
    inspected_at = models.DateTimeField(null=True, blank=True, editable=False)
    verdict = models.CharField(
        max_length=20,
        choices=Verdict.choices,
        default=Verdict.NOT_INSPECTED,
        editable=False,
        help_text="Whether a training makes sense; written with every change of images or findings.",
    )
    synced_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the object store was last compared."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TrainingDatasetQuerySet.as_manager()
    history = Tracked("actor", "kind", "local_path")

    def __str__(self) -> str:
        return f"Dataset of {self.actor}"

    def lock(self) -> None:
        """Inside a transaction: edits of one dataset come one after the other. Take it before any image."""
        TrainingDataset.objects.select_for_update().get(pk=self.pk)

    def touch(self) -> None:
        """Call after every change of images: from now on the registry exports what is here."""
        TrainingDataset.objects.filter(pk=self.pk).update(
            changed_at=Coalesce("changed_at", Now()), updated_at=Now()
        )
        self.write_verdict()

    def write_verdict(self) -> None:
        """Call after every change of images or findings; lists of actors read it from the column."""
        self.refresh_from_db(fields=["findings"])
        self.verdict = self._weigh(list(self.images.filter(included=True)))
        # An equal verdict writes nothing: every write makes the registry publish the actor again.
        TrainingDataset.objects.filter(pk=self.pk).exclude(verdict=self.verdict).update(verdict=self.verdict)

    def included_images(self) -> list[TrainingImage]:
        """In order, from the prefetched set when there is one."""
        return [image for image in self.images.all() if image.included]

    def trainable_images(self) -> list[TrainingImage]:
        """Included and in the object store: exactly what a training reads."""
        return [image for image in self.included_images() if image.is_synced]

    def fingerprint(self) -> str:
        """Hash of the trainable images and captions; equal datasets have equal fingerprints."""
        rows = sorted((image.sha256 or image.url, image.caption) for image in self.trainable_images())
        return "sha256:" + hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    @transaction.atomic
    def revision(self) -> DatasetRevision:
        """The numbered revision of what is trainable now, made when this state is new."""
        TrainingDataset.objects.select_for_update().get(pk=self.pk)  # two at once must not take one number
        fingerprint = self.fingerprint()
        if known := self.revisions.filter(fingerprint=fingerprint).first():
            return known
        last = self.revisions.aggregate(last=Max("number"))["last"] or 0
        rows = [image.as_trained() for image in self.trainable_images()]
        return DatasetRevision.objects.create(
            dataset=self, number=last + 1, fingerprint=fingerprint, images=rows
        )

    def _weigh(self, included: list[TrainingImage]) -> Verdict:
        """From what the last inspection found, less what a Curator has accepted."""
        if not included:
            return Verdict.NOT_FIT
        open_findings = [*self.findings, *(each for image in included for each in image.open_findings())]
        levels = {finding["level"] for finding in open_findings}
        if "error" in levels:
            return Verdict.NOT_FIT
        if any(image.inspected_at is None for image in included):
            return Verdict.NOT_INSPECTED
        return Verdict.WARNINGS if levels else Verdict.FIT

    def open_findings(self) -> list[dict[str, Any]]:
        """Findings that count: of the set and of included images, less what a Curator has accepted."""
        found = [dict(finding) for finding in self.findings]
        for image in self.included_images():
            found += [{**finding, "image": image} for finding in image.open_findings()]
        return found

    def claims(self) -> dict[str, Any]:
        """``training_data`` as the registry had it, or ``{}``."""
        claims = self.actor.source_record().get("training_data")
        return claims if isinstance(claims, dict) else {}

    def claim_warnings(self) -> list[str]:
        """Where the registry's claims and the images here disagree."""
        claims, count = self.claims(), len(self.included_images())
        claimed = claims.get("count")
        if self.changed_at or claimed in (None, count):
            return []
        return [f"The registry claims {claimed} images; {count} are listed here."]


class TrainingImageQuerySet(TrackedQuerySet["TrainingImage"]):
    """Changes of many images at once are history too."""


class TrainingImage(models.Model):
    """One picture of a dataset. ``url`` is its place in the object store, as ``s3://bucket/key``."""

    class State(models.TextChoices):
        """Whether the object store has the file."""

        SYNCED = "synced"
        LOCAL_ONLY = "local_only", "local only"
        MISSING = "missing"

    dataset = models.ForeignKey(TrainingDataset, on_delete=models.CASCADE, related_name="images")
    position = models.PositiveIntegerField(default=0)
    url = models.CharField(max_length=1200, blank=True)
    source_url = models.CharField(
        max_length=1200, blank=True, editable=False, help_text="The URL as it came in."
    )
    file_name = models.CharField(max_length=300)
    state = models.CharField(max_length=20, choices=State.choices, default=State.SYNCED)
    checked_at = models.DateTimeField(
        null=True, blank=True, help_text="When the object store was last asked."
    )
    caption = models.TextField(blank=True)
    included = models.BooleanField(default=True)
    notes = models.TextField(blank=True)
    sha256 = models.CharField(max_length=64, blank=True, editable=False, db_index=True)
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True, editable=False)
    width = models.PositiveIntegerField(null=True, blank=True, editable=False)
    height = models.PositiveIntegerField(null=True, blank=True, editable=False)
    original_url = models.CharField(
        max_length=1200,
        blank=True,
        editable=False,
        help_text="The uploaded bytes, when trainings read a converted file: HEIC, or EXIF data inside.",
    )
    etag = models.CharField(
        max_length=100, blank=True, editable=False, help_text="The object store's, to notice changes."
    )
    findings = models.JSONField(
        default=list, blank=True, editable=False, help_text="What an inspection found."
    )
    accepted = models.JSONField(
        default=dict, blank=True, editable=False, help_text="Finding code to who accepts it, and why."
    )
    measures = models.JSONField(
        default=dict, blank=True, editable=False, help_text="What an inspection measured."
    )
    inspected_at = models.DateTimeField(null=True, blank=True, editable=False)
    has_thumbnail = models.BooleanField(default=False, editable=False)
    crop = models.JSONField(
        null=True, blank=True, help_text="A hint: left, top, width, height as parts of the picture."
    )
    edit = models.PositiveIntegerField(
        default=0, editable=False, help_text="Counts edits; a save that read an older one is refused."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TrainingImageQuerySet.as_manager()
    history = Tracked(
        "dataset", "url", "file_name", "state", "caption", "included", "notes", "crop", "accepted"
    )

    class Meta:
        ordering = ("position", "id")
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "url"],
                condition=~Q(url=""),
                name="one_row_per_object",
                violation_error_message="This dataset already holds that image.",
            ),
        ]
        indexes = [models.Index(fields=["dataset", "included", "state"])]

    def __str__(self) -> str:
        return self.file_name

    @property
    def is_synced(self) -> bool:
        """Whether a training can read it."""
        return self.state == self.State.SYNCED and bool(self.url)

    def as_trained(self) -> dict[str, str]:
        """What a revision keeps of it."""
        return {
            "url": self.url,
            "file_name": self.file_name,
            "sha256": self.sha256,
            "caption": self.caption,
        }

    def open_findings(self) -> list[dict[str, Any]]:
        """Its findings, less what a Curator has accepted."""
        return [finding for finding in self.findings if finding["code"] not in self.accepted]

    @property
    def crop_percent(self) -> str:
        """The crop hint as people type it: ``10 5 80 90``."""
        return " ".join(f"{part * 100:g}" for part in self.crop or [])

    @property
    def thumbnail_key(self) -> str:
        """Where its small picture lies in the object store."""
        return f"thumbs/{self.pk}.webp"

    def thumbnail_link(self) -> str:
        """A signed link to the small picture; empty until a task has made it. Grids never load originals."""
        return storage.download_link(storage.own(self.thumbnail_key).s3) if self.has_thumbnail else ""

    def link(self) -> str:
        """A signed link for a page, or empty when the file lies where this site can't reach."""
        return storage.download_link(self.url) if self.is_synced else ""


def prefetch_images() -> Prefetch[Any]:
    """The images of each actor's dataset in two queries, for lists."""
    return Prefetch("dataset__images", queryset=TrainingImage.objects.order_by("position", "id"))


def prefetch_good_version() -> Prefetch[Any]:
    """Of each actor's versions only the good one, without what fills pages: all that the registry shows."""
    versions: Any = Actor._meta.get_field("versions").related_model  # training builds on this app
    heavy = ("source", "images", "stages", "loss_history", "log")
    return Prefetch("versions", queryset=versions.objects.filter(is_good=True).order_by().defer(*heavy))


@transaction.atomic
def ensure_dataset(actor: Actor) -> TrainingDataset:
    """The actor's dataset, made when missing."""
    dataset, _ = TrainingDataset.objects.get_or_create(actor=actor)
    return dataset


def now_iso() -> str:
    """The present moment as the registry writes it: ISO 8601 in UTC with milliseconds."""
    return iso(timezone.now())


def iso(moment: datetime) -> str:
    """``2026-01-31T09:30:00.000Z``."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
