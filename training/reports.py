"""What a report of the endpoint changes in a version. Every report ends here, whoever brought it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from training import checkpoints, recovery
from training.job_report import JobReport, JobState, same_job
from training.models import SampleImage, Status, TrainingVersion
from training.progress import STAGES, Progress, Sample
from training.stops import JobToStop

if TYPE_CHECKING:
    from collections.abc import Iterable


def apply(version: TrainingVersion, report: JobReport) -> bool:
    """Idempotent and order-free: a terminal state stays, and the same report twice changes nothing.

    Raises ``TrainingVersion.DoesNotExist`` when it was deleted meanwhile; its job is being stopped then.
    """
    # The store is asked before the row is locked: it may be slow.
    found = recovery.find(version) if report.state.is_final and not report.lora_url else None
    try:
        with transaction.atomic():
            # The row is the lock: a webhook and the sweep come one after the other.
            locked = TrainingVersion.objects.select_for_update().get(pk=version.pk)
            return _apply(locked, report, found)
    except TrainingVersion.DoesNotExist:
        if not report.state.is_final:
            JobToStop.order(version, report.id)
        raise


def _apply(version: TrainingVersion, report: JobReport, found: recovery.Found | None) -> bool:
    if version.job_id and not same_job(version.job_id, report.id):
        return _second_job(version, report)
    learned = _learn_job(version, report)
    return (_settle(version, report, found) if version.is_active or version.presumed else False) or learned


def _settle(version: TrainingVersion, report: JobReport, found: recovery.Found | None) -> bool:
    if report.state == JobState.COMPLETED and report.lora_url:
        return _completed(version, report)
    if found:
        return _completed_without_word(version, report, found)
    if report.state == JobState.IN_PROGRESS and version.is_active:
        return _in_progress(version, report)
    return report.state.is_final and version.fail(failure_reason(report), **_bill(report))


def failure_reason(report: JobReport) -> str:
    """Why a job ended without a LoRA, as people read it."""
    if report.state == JobState.COMPLETED:
        return "The job completed, but its answer names no LoRA."
    if report.state == JobState.CANCELLED:
        return "The endpoint cancelled the job."
    if report.state == JobState.TIMED_OUT:
        return "The endpoint stopped the job: it took longer than allowed. Train fewer steps, or try again."
    return report.error or "The endpoint says that the training failed, but not why."


def _learn_job(version: TrainingVersion, report: JobReport) -> bool:
    """A report may be the first to tell the job's id: the answer to ``/run`` was lost.

    When the version has ended meanwhile, nobody waits for that job: it is stopped, not forgotten.
    """
    if version.job_id or TrainingVersion.objects.filter(job_id=report.id).exists():
        return False
    if version.is_active:
        return version.mark_submitted(report.id)
    TrainingVersion.objects.filter(pk=version.pk, job_id=None).update(job_id=report.id)
    version.job_id = report.id
    if not report.state.is_final:
        JobToStop.order(version)
    return True


def _second_job(version: TrainingVersion, report: JobReport) -> bool:
    """A person sent it again although the endpoint had taken it: two jobs, one of them for nothing.

    Both write the same files. The first LoRA counts, and what still runs is stopped.
    """
    if report.state == JobState.COMPLETED and report.lora_url:
        completed = (version.is_active or version.presumed) and _completed(version, report)
        if completed:
            JobToStop.order(version)
        return completed
    if not report.state.is_final:
        JobToStop.order(version, report.id)
    return False


def _in_progress(version: TrainingVersion, report: JobReport) -> bool:
    moved = version.status != Status.TRAINING and version.mark_training(**_bill(report))
    return (record_progress(version, report.progress) if report.progress else False) or moved


def _completed(version: TrainingVersion, report: JobReport) -> bool:
    if report.progress:
        record_progress(version, report.progress)
    url = report.lora_url or ""
    return version.complete(
        url,
        lora_name=report.lora_name or url.split("?")[0].rsplit("/", 1)[-1][:300],
        lora_bytes=report.lora_bytes,
        **_bill(report),
    )


def _completed_without_word(version: TrainingVersion, report: JobReport, found: recovery.Found) -> bool:
    """The job's end went wrong, but only after its LoRA was stored: paid, whole, and good to judge."""
    message = f"Completed: the LoRA was stored, although the endpoint says: {failure_reason(report)}"
    bill = _bill(report)
    return version.complete(found.url, message, lora_name=found.name, lora_bytes=found.size, **bill)


def _bill(report: JobReport) -> dict[str, Any]:
    """RunPod's own times, as far as it tells them."""
    known = {"delay_ms": report.delay_ms, "execution_ms": report.execution_ms, "worker_id": report.worker_id}
    return {name: value for name, value in known.items() if value}


def record_progress(version: TrainingVersion, progress: Progress) -> bool:
    """Takes a picture in unless a later one is here already: pictures may come out of order.

    A worker that starts the job anew begins at the first step again: its later start tells it apart.
    """
    added = save_samples(version, progress.samples) if progress.samples else 0
    added += checkpoints.save(version, progress.checkpoints) if progress.checkpoints else 0
    attempt = _compare_starts(version, progress)
    anew = attempt > 0
    here = (_rank(version.stage), version.step, len(version.log))
    new = (_rank(progress.stage or version.stage), progress.step or 0, len(progress.log))
    if attempt < 0 or (new <= here and not anew):
        return added > 0
    changes: dict[str, Any] = {
        "stage": progress.stage or version.stage,
        "step": (progress.step or 0) if anew else max(progress.step or 0, version.step),
        "seconds_per_step": progress.seconds_per_step or version.seconds_per_step,
        "stages": list(progress.stages) or version.stages,
        "loss_history": progress.loss_history or ([] if anew else version.loss_history),
        "log": list(progress.log) or version.log,
    }
    TrainingVersion.objects.filter(pk=version.pk).update(updated_at=timezone.now(), **changes)
    for name, value in changes.items():
        setattr(version, name, value)
    if anew:
        version.note("A worker has started the job anew", level="warning")
    return True


def _compare_starts(version: TrainingVersion, progress: Progress) -> int:
    """1 when the picture is of a later worker than the one here, -1 of an earlier one, else 0.

    Both times are ISO 8601 in UTC, so they compare as text.
    """
    if not (progress.stages and version.stages):
        return 0
    here, new = version.stages[0]["started_at"], progress.stages[0]["started_at"]
    return int(new > here) - int(new < here)


def save_samples(version: TrainingVersion, samples: Iterable[Sample]) -> int:
    """Adds the samples that are not here yet; returns how many were new."""
    known = set(version.samples.values_list("step", "prompt_index"))
    prompts = version.sample_prompts()
    new = [
        SampleImage(
            version=version,
            step=sample["step"],
            prompt_index=sample["prompt"],
            prompt=prompts[sample["prompt"]].prompt if sample["prompt"] < len(prompts) else "",
            seed=sample["seed"],
            url=sample["url"],
        )
        for sample in samples
        if (sample["step"], sample["prompt"]) not in known
    ]
    SampleImage.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _rank(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else -1
