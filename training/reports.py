"""What a report of the endpoint changes in a version. Every report ends here, whoever brought it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from training.job_report import JobReport, JobState
from training.models import SampleImage, Status, TrainingVersion
from training.progress import STAGES, Progress, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable


def apply(version: TrainingVersion, report: JobReport) -> bool:
    """Idempotent and order-free: a terminal state stays, and the same report twice changes nothing."""
    with transaction.atomic():
        # The row is the lock: a webhook and the sweep come one after the other.
        version = TrainingVersion.objects.select_for_update().get(pk=version.pk)
        changed = _learn_job(version, report)
        if not version.is_active:
            return changed
        if report.state == JobState.IN_PROGRESS:
            return _in_progress(version, report) or changed
        if report.state == JobState.COMPLETED:
            return _completed(version, report) or changed
        if report.state != JobState.IN_QUEUE:
            return version.fail(failure_reason(report), **_bill(report)) or changed
        return changed


def failure_reason(report: JobReport) -> str:
    """Why a job ended without a LoRA, as people read it."""
    if report.state == JobState.CANCELLED:
        return "The endpoint cancelled the job."
    if report.state == JobState.TIMED_OUT:
        return "The endpoint stopped the job: it took longer than allowed. Train fewer steps, or try again."
    return report.error or "The endpoint says that the training failed, but not why."


def _learn_job(version: TrainingVersion, report: JobReport) -> bool:
    """A report may be the first to tell the job's id: the answer to ``/run`` was lost.

    When the version has ended meanwhile, nobody waits for that job: it is stopped, not forgotten.
    """
    if version.job_id:
        return False
    if version.status == Status.SUBMITTING:
        return version.mark_submitted(report.id)
    TrainingVersion.objects.filter(pk=version.pk, job_id=None).update(job_id=report.id)
    version.job_id = report.id
    if not version.is_active and not report.state.is_final:
        transaction.on_commit(lambda: async_task("training.tasks.cancel_job", version.pk))
    return True


def _in_progress(version: TrainingVersion, report: JobReport) -> bool:
    moved = version.mark_training(**_bill(report))
    return (record_progress(version, report.progress) if report.progress else False) or moved


def _completed(version: TrainingVersion, report: JobReport) -> bool:
    if report.progress:
        record_progress(version, report.progress)
    if not report.lora_url:
        return version.fail("The job completed, but its answer names no LoRA.", **_bill(report))
    return version.complete(
        report.lora_url,
        lora_name=report.lora_name or report.lora_url.split("?")[0].rsplit("/", 1)[-1][:300],
        lora_bytes=report.lora_bytes,
        **_bill(report),
    )


def _bill(report: JobReport) -> dict[str, Any]:
    """RunPod's own times, as far as it tells them."""
    known = {"delay_ms": report.delay_ms, "execution_ms": report.execution_ms, "worker_id": report.worker_id}
    return {name: value for name, value in known.items() if value}


def record_progress(version: TrainingVersion, progress: Progress) -> bool:
    """Takes a picture in unless a later one is here already: pictures may come out of order."""
    added = save_samples(version, progress.samples)
    here = (_rank(version.stage), version.step, len(version.log))
    new = (_rank(progress.stage or version.stage), progress.step or 0, len(progress.log))
    if new <= here:
        return added > 0
    TrainingVersion.objects.filter(pk=version.pk).update(
        stage=progress.stage or version.stage,
        step=max(progress.step or 0, version.step),
        seconds_per_step=progress.seconds_per_step or version.seconds_per_step,
        stages=list(progress.stages) or version.stages,
        loss_history=progress.loss_history or version.loss_history,
        log=list(progress.log) or version.log,
        updated_at=timezone.now(),
    )
    version.refresh_from_db()
    return True


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
