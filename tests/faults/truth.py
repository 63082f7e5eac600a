"""What must hold when everything has come to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.faults.preview_truth import breaches_of_previews
from training import recovery
from training.models import Preview, Status, TrainingVersion
from training.stops import JobToStop

FINAL_JOB = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}


def breaches(control: Mapping[str, Any], acknowledged: Mapping[str, int]) -> list[str]:
    """Every promise that does not hold, in words. Empty is the proof."""
    found: list[str] = []
    jobs: dict[str, list[str]] = {}
    for job in control["jobs"].values():
        jobs.setdefault(job["config"]["request_id"], []).append(job["state"])
    versions = list(TrainingVersion.objects.prefetch_related("events").order_by("pk"))
    if sorted(acknowledged.values()) != [version.pk for version in versions]:
        found.append(f"{len(acknowledged)} launches were acknowledged, {len(versions)} versions are there")
    if control["accepted"] != len(jobs):
        found.append(f"the endpoint accepted {control['accepted']} jobs for {len(jobs)} requests: paid twice")
    known = {version.request_id for version in versions} | set(
        Preview.objects.values_list("request_id", flat=True)
    )
    if unknown := jobs.keys() - known:
        found.append(f"jobs that neither training nor preview knows: {sorted(unknown)}")
    if JobToStop.objects.exists():
        found.append("jobs are still to be stopped")
    for version in versions:
        found += [f"{version.pk} {version.name}: {wrong}" for wrong in wrongs(version, jobs)]
    return found + breaches_of_previews(jobs)


def wrongs(version: TrainingVersion, jobs: Mapping[str, list[str]]) -> list[str]:
    """What is not true about one training."""
    found = []
    states = jobs.get(version.request_id, [])
    stored = recovery.find(version) is not None
    if version.is_active:
        found.append(f"is still {version.status}")
    if "COMPLETED" in states and version.status not in (Status.COMPLETED, Status.CANCELLED):
        found.append(f"its job completed, but it is {version.status}: {version.error}")
    if version.status == Status.COMPLETED and not stored:
        found.append("is completed without a LoRA")
    if stored and version.status not in (Status.COMPLETED, Status.CANCELLED):
        found.append(f"its LoRA is lost: it is {version.status}")
    if version.status == Status.FAILED and not version.error:
        found.append("failed without a reason")
    if version.status == Status.CANCELLED and not set(states) <= FINAL_JOB:
        found.append(f"is cancelled, but its job is {states}")
    return found + repeated(version)


def repeated(version: TrainingVersion) -> list[str]:
    """States are entered once; only ``pending`` and ``submitting`` come again, and then in turn."""
    kinds = Counter(event.kind for event in version.events.all())
    once = ("queued", "training", "completed", "failed", "cancelled")
    found = [f"{kinds[kind]} events {kind}" for kind in once if kinds[kind] > 1]
    if not kinds["pending"] - 1 <= kinds["submitting"] <= kinds["pending"]:
        found.append(f"{kinds['pending']} times pending, {kinds['submitting']} times submitting")
    ends = kinds["completed"] + kinds["failed"] + kinds["cancelled"]
    if not version.is_active and ends != 1 and not (kinds["failed"] and kinds["completed"]):
        found.append(f"{ends} ends")
    return found
