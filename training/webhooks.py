"""RunPod's callback at the end of a job."""

from __future__ import annotations

import logging

from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import HttpRequest, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from training.endpoints import connect
from training.models import Preview, TrainingVersion
from training.runpod import (
    JobReport,
    JobState,
    RunPodError,
    UnreadableReportError,
    parse_webhook,
    same_job,
)

log = logging.getLogger(__name__)

MAX_BODY = 25 * 1024 * 1024


@csrf_exempt
@login_not_required
@require_POST
def training_webhook(request: HttpRequest, token: str) -> JsonResponse:
    """RunPod signs nothing, so the address is the secret and the body only a hint.

    The truth is read from ``/status``; the body counts where that no longer answers.
    """
    try:
        pk, request_id = TrainingVersion.read_webhook_token(token)
    except (signing.BadSignature, ValueError, TypeError):
        return JsonResponse({"error": "This webhook address is not valid."}, status=403)
    version = TrainingVersion.objects.filter(pk=pk, request_id=request_id).first()
    if version is None:
        return JsonResponse({"error": "This training no longer exists."}, status=404)
    try:
        report = parse_webhook(request.read(MAX_BODY))
    except (UnreadableReportError, UnreadablePostError) as error:
        return JsonResponse({"error": str(error)}, status=400)
    if belongs_to_another(version, report):
        return JsonResponse({"error": "This address belongs to another job."}, status=409)
    report = truth(version, report)
    return JsonResponse({"success": True, "changed": version.apply_report(report)})


def belongs_to_another(version: TrainingVersion, report: JobReport) -> bool:
    """Whether the body is about a job of some other training.

    A training that a person sent again may have two jobs. The first one's LoRA counts all the same.
    """
    if version.job_id and same_job(version.job_id, report.id):
        return False
    if TrainingVersion.objects.filter(job_id=report.id).exclude(pk=version.pk).exists():
        return True
    return bool(version.job_id) and not (report.state == JobState.COMPLETED and report.lora_url)


def truth(version: TrainingVersion | Preview, report: JobReport) -> JobReport:
    """What the endpoint says now; the body itself where it no longer answers.

    The endpoint waits for our answer, and other people for this thread: it is asked once, briefly.
    """
    try:
        with connect(version.endpoint_id, hasty=True) as runpod:
            known = version.job_id if version.job_id and same_job(version.job_id, report.id) else report.id
            return runpod.status(known)
    except RunPodError as error:
        log.info("webhook for %s: /status does not answer (%s), the body counts", version.pk, error)
        return report
