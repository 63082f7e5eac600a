"""The optional rule of a batch: a version whose score reaches the threshold is marked good by itself.

Off unless a curator gives the batch a threshold. A good version that somebody has chosen stays, and what
can't be measured is left to people. The sweep comes by as long as an item waits for its judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from training import previews
from training.batch_models import BatchItem, ItemState
from training.models import NotCompleted, TrainingVersion
from training.preview_models import PreviewStatus
from training.score_models import VersionScore

#: Pictures and score take minutes; whoever has none by then is left to people.
PATIENCE = timedelta(hours=2)
#: Looked at in one round of the sweep.
AT_ONCE = 50
_DRAWING = (PreviewStatus.PENDING, PreviewStatus.CLAIMED, PreviewStatus.SUBMITTED)


@dataclass(frozen=True)
class Judgement:
    """What the rule says of a version, and why."""

    passes: bool
    words: str


def waiting() -> QuerySet[BatchItem]:
    """Completed items that the rule has not judged."""
    return BatchItem.objects.filter(
        state=ItemState.COMPLETED, judged_at=None, batch__good_threshold__isnull=False, version__isnull=False
    )


def due() -> list[BatchItem]:
    """Those to look at now, those whose version has waited longest first."""
    rows = waiting().select_related("batch__begun_by", "version__actor")
    return list(rows.order_by("version__finished_at", "pk")[:AT_ONCE])


def judge(item: BatchItem, now: datetime) -> None:
    """Judges it once its pictures are drawn and measured."""
    if item.version and (judgement := judgement_of(item, item.version, now)):
        settle(item, item.version, judgement, now)


def judgement_of(item: BatchItem, version: TrainingVersion, now: datetime) -> Judgement | None:
    """``None`` while pictures or score are on their way. Orders the standard preview where there is none."""
    if not version.previews.exists() and not item.judged_without_preview:
        try:
            previews.order_standard_preview(version, by=item.batch.begun_by)
        except previews.CannotPreview as error:
            version.note(f"The rule of its batch judges it without a preview: {error}", level="warning")
            BatchItem.objects.filter(pk=item.pk).update(judged_without_preview=True)
        else:
            return None
    score = VersionScore.objects.filter(version=version).first()
    newer = score is not None and version.previews.filter(finished_at__gt=score.at).exists()
    if score is None or newer or version.previews.filter(status__in=_DRAWING).exists():
        late = version.finished_at is None or now - version.finished_at > PATIENCE
        return Judgement(passes=False, words="Left to people: there was no score in time.") if late else None
    return by_score(score, item.batch.good_threshold or 0.0)


def by_score(score: VersionScore, threshold: float) -> Judgement:
    """``score 91 % ≥ threshold 80 %, measured on 12 samples``."""
    if score.value is None:
        return Judgement(passes=False, words=f"Left to people: {score.reason}")
    passes = score.value >= threshold
    words = f"score {score.value:.1f} % {'≥' if passes else '<'} threshold {threshold:g} %"
    return Judgement(passes, f"{words}, measured on {score.measured_on}")


def settle(item: BatchItem, version: TrainingVersion, judgement: Judgement, now: datetime) -> None:
    """Writes the judgement down, once, and marks the version good where it passes."""
    with transaction.atomic():
        words = judgement.words[:1].upper() + judgement.words[1:]
        if not BatchItem.objects.filter(pk=item.pk, judged_at=None).update(judged_at=now, reason=words):
            return  # somebody else was faster
        if not judgement.passes:
            version.note(f"Not marked good by the rule of its batch: {judgement.words}")
            return
        if (
            TrainingVersion.objects.filter(actor=version.actor_id, is_good=True)
            .exclude(pk=version.pk)
            .exists()
        ):
            version.note(f"Not marked good by itself, because another version is good: {judgement.words}")
            return
        try:
            version.mark_good(None, f"Marked by the rule of the batch “{item.batch.name}”: {judgement.words}")
        except NotCompleted:
            return  # no longer, since it was looked at
