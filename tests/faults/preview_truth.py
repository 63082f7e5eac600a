"""What must hold of previews when everything has come to rest. Each completed version has ordered one."""

from __future__ import annotations

from collections.abc import Mapping

from training import preview_reports
from training.models import Preview, Status, TrainingVersion
from training.preview_models import PreviewStatus


def breaches_of_previews(jobs: Mapping[str, list[str]]) -> list[str]:
    """Every promise that does not hold, in words; ``jobs`` are their states by request id."""
    found = []
    completed = set(TrainingVersion.objects.filter(status=Status.COMPLETED).values_list("pk", flat=True))
    ordered = list(Preview.objects.filter(automatic=True).values_list("version_id", flat=True))
    if sorted(ordered) != sorted(completed):
        found.append(f"{len(completed)} versions completed and ordered {len(ordered)} previews")
    for preview in Preview.objects.select_related("version"):
        found += [f"preview {preview.pk}: {wrong}" for wrong in wrongs(preview, jobs)]
    return found


def wrongs(preview: Preview, jobs: Mapping[str, list[str]]) -> list[str]:
    """What is not true about one preview."""
    found = []
    states = jobs.get(preview.request_id, [])
    missing = preview.images.filter(url="").count()
    stored = len(preview_reports.find_pictures(preview))
    if preview.is_active:
        found.append(f"is still {preview.status}")
    if preview.status == PreviewStatus.DONE and (missing or stored != preview.images.count()):
        found.append(f"is done, but {missing} pictures are missing and {stored} are stored")
    if "COMPLETED" in states and preview.status not in (PreviewStatus.DONE, PreviewStatus.CANCELLED):
        found.append(f"its job completed, but it is {preview.status}: {preview.error}")
    if preview.status == PreviewStatus.FAILED and not preview.error:
        found.append("failed without a reason")
    return found
