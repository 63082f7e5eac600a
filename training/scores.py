"""Scoring a version: which pictures count, what is compared, and when it is done.

A task measures after completion and after previews; ``score_missing`` finds what slipped through. The same
pictures and training images give the same score, so a second task finds nothing to do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from actors.models import Actor, TrainingDataset, TrainingImage
from training import scorers
from training.likeness import CannotMeasure, Measured, Points, Yardstick
from training.models import SampleImage, Status, TrainingVersion
from training.preview_models import PreviewImage
from training.score_models import VersionScore, unscored
from training.score_queue import measure_later

#: Goes into every score's hash: a change of what is measured measures all anew.
METHOD = "1"
#: More pictures say nothing more.
MOST_PICTURES = 64
#: One look for missing scores queues so many, and none while the queue is this long.
BATCH, BUSY = 50, 50
RETRY = timedelta(minutes=10)


@dataclass
class Pictures:
    """What of a version is looked at: addresses, and in words what they are."""

    with_trigger: list[str] = field(default_factory=list)
    #: Prompts without the trigger: with the LoRA, and the same prompt and seed by the base alone.
    pairs: list[tuple[str, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, version: TrainingVersion) -> Pictures:
        """Samples of the last step, and previews at full strength."""
        found = cls()
        found.add_samples(version)
        found.add_previews(version)
        found.with_trigger, found.pairs = found.with_trigger[:MOST_PICTURES], found.pairs[:MOST_PICTURES]
        return found

    def add_samples(self, version: TrainingVersion) -> None:
        """The base alone stands at step 0."""
        samples = list(version.samples.all())
        last = max((sample.step for sample in samples), default=0)
        if not last:
            return
        base = {sample.prompt_index: sample.url for sample in samples if sample.step == 0}
        count = len(self.with_trigger)
        for sample in (each for each in samples if each.step == last):
            if calls(sample, version.class_tokens):
                self.with_trigger.append(sample.url)
            elif sample.prompt_index in base:
                self.pairs.append((sample.url, base[sample.prompt_index]))
        self._say(len(self.with_trigger) - count, "sample", f" of step {last:,}")

    def add_previews(self, version: TrainingVersion) -> None:
        """Those of the finished LoRA; the base alone has strength 0."""
        images = list(
            PreviewImage.objects.filter(preview__version=version, strength__in=(0, 1), checkpoint_step=None)
            .exclude(url="")
            .order_by("-preview_id", "position")
        )
        base = {(each.prompt, each.seed): each.url for each in images if each.strength == 0}
        count = len(self.with_trigger)
        for image in (each for each in images if each.strength == 1):
            if image.with_trigger:
                self.with_trigger.append(image.url)
            elif alone := base.get((image.prompt, image.seed)):
                self.pairs.append((image.url, alone))
        self._say(len(self.with_trigger) - count, "preview")

    def _say(self, count: int, what: str, more: str = "") -> None:
        if count:
            self.words.append(f"{count} {what}{'s' if count > 1 else ''}{more}")


def calls(sample: SampleImage, trigger: str) -> bool:
    """Whether the prompt names the actor."""
    return bool(trigger) and trigger.casefold() in sample.prompt.casefold()


def score_of(version: TrainingVersion) -> VersionScore:
    """The version's score as its pictures and the dataset are now; measures what has changed.

    Takes a second for drawn actors and up to half a minute for photographs. Whether there is a number says
    ``is_measured``, otherwise ``reason`` says why not. Raises ``ValueError`` for a version that has not
    completed.
    """
    if version.status != Status.COMPLETED:
        raise ValueError(f"{version} is {version.status}: only a completed version has a score.")
    pictures = Pictures.of(version)
    dataset = TrainingDataset.objects.filter(actor=version.actor_id).first()
    chosen = dataset.trainable_images() if dataset else []
    yardstick = digest([image.sha256 or image.url for image in chosen])
    score = VersionScore(version=version, yardstick=yardstick, at=timezone.now())
    try:
        score.dataset_revision = dataset.revision() if dataset else None
        scorer = scorers.scorer_for(dataset, version.base_model)
        score.scorer = scorer.name
        score.inputs = digest([METHOD, scorer.name, yardstick, pictures.with_trigger, pictures.pairs])
        known = VersionScore.objects.filter(version=version).first()
        if known and known.inputs == score.inputs and not known.retry_at:
            # Captions make a new revision, but the images are the same.
            known.at, known.dataset_revision = score.at, score.dataset_revision
            known.save(update_fields=["at", "dataset_revision"])
            return known
        fill(score, pictures, scorer, chosen)
    except CannotMeasure as refusal:
        score.reason = str(refusal)
    except OSError:
        score.reason = "The pictures can't be reached at the moment; it is tried again by itself."
        score.retry_at = score.at + RETRY
    if score.value is None and not score.bleed_reason:
        score.bleed_reason = "Without a likeness there is no bleed."
    return keep(score)


def fill(
    score: VersionScore, pictures: Pictures, scorer: scorers.Scorer, chosen: Sequence[TrainingImage]
) -> None:
    """Writes the numbers into ``score``. Raises ``CannotMeasure``, or ``OSError`` from the object store."""
    if not chosen:
        raise CannotMeasure("There are no included training images to compare with.")
    if not pictures.with_trigger:
        raise CannotMeasure("There are no samples or previews of prompts with the trigger. Draw a preview.")
    known = found(scorer.of_training(chosen))
    score.compared_with = len(known)
    if not len(known):
        raise CannotMeasure("No face was found in the training images. Inspect the dataset again.")
    yardstick = Yardstick.of(known, scorer.far)
    drawn = found(scorers.look(scorer, pictures.with_trigger))
    score.pictures = len(drawn)
    score.measured_on = f"{' and '.join(pictures.words)}, against {len(known)} training images"
    if missed := len(pictures.with_trigger) - len(drawn):
        score.measured_on += f"; {missed} of the pictures showed no face or could not be read"
    if not len(drawn):
        raise CannotMeasure("None of the pictures shows a face or can be read.")
    likeness = yardstick.likeness(drawn)
    score.value, score.low, score.high = percent(likeness)
    try:
        bleed = bleed_of(yardstick, pictures, scorer)
        score.bleed, score.bleed_low, score.bleed_high = percent(bleed)
        score.bleed_pictures = bleed.count
    except CannotMeasure as refusal:
        score.bleed_reason = str(refusal)


def bleed_of(yardstick: Yardstick, pictures: Pictures, scorer: scorers.Scorer) -> Measured:
    """Of the prompts without the trigger."""
    if not pictures.pairs:
        raise CannotMeasure(
            "No prompt without the trigger was drawn both with the LoRA and by the base alone."
        )
    drawn = scorers.look(scorer, [with_lora for with_lora, _ in pictures.pairs])
    alone = scorers.look(scorer, [base for _, base in pictures.pairs])
    both = [
        (one, other) for one, other in zip(drawn, alone, strict=True) if one is not None and other is not None
    ]
    if not both:
        raise CannotMeasure("The pictures without the trigger show no face that can be compared.")
    return yardstick.bleed(np.stack([one for one, _ in both]), np.stack([other for _, other in both]))


def found(embedded: scorers.Embedded) -> Points:
    """Only what could be measured."""
    known = [each for each in embedded if each is not None]
    return np.stack(known) if known else np.empty((0, 1), np.float32)


def percent(measured: Measured) -> tuple[float | None, float | None, float | None]:
    """Value, low and high. Pages show 0 to 100; what lies outside is kept, so that intervals stay true."""
    value, low, high = (
        None if each is None else round(100 * each, 1)
        for each in (measured.value, measured.low, measured.high)
    )
    return value, low, high


def digest(value: Any) -> str:
    """The same for the same."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def keep(score: VersionScore) -> VersionScore:
    """In place of the former one. The actor's row is the lock, as for every change of a version."""
    with transaction.atomic():
        Actor.objects.select_for_update().only("pk").get(pk=score.version.actor_id)
        former = VersionScore.objects.filter(version=score.version_id).values_list("pk", flat=True).first()
        score.pk = former
        score.save(force_insert=former is None, force_update=former is not None)
    return score


def measure(pk: int) -> None:
    """The task."""
    version = TrainingVersion.objects.select_related("actor").filter(pk=pk, status=Status.COMPLETED).first()
    if version is not None:
        measure_others_later(score_of(version))


def measure_others_later(score: VersionScore) -> None:
    """Versions of one actor are compared, so all are measured against the same images."""
    older = VersionScore.objects.filter(version__actor=score.version.actor_id)
    for pk in older.exclude(yardstick=score.yardstick).values_list("version", flat=True)[:BATCH]:
        measure_later(pk)


def measure_actor_later(actor_id: int) -> int:
    """All completed versions of an actor, for a person who asks; returns how many."""
    chosen = TrainingVersion.objects.filter(actor=actor_id, status=Status.COMPLETED).values_list(
        "pk", flat=True
    )
    for pk in chosen:
        measure_later(pk)
    return len(chosen)


def score_missing() -> None:
    """Each minute: versions whose task was lost, or that have new pictures."""
    if OrmQ.objects.count() > BUSY:
        return  # what is queued already must not be queued again
    for pk in unscored(TrainingVersion.objects.all()).order_by("-pk").values_list("pk", flat=True)[:BATCH]:
        measure_later(pk)


def ensure_schedule() -> None:
    """Runs ``score_missing`` each minute."""
    Schedule.objects.update_or_create(
        name="scores",
        defaults={
            "func": "training.scores.score_missing",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
            "repeats": -1,
        },
    )
