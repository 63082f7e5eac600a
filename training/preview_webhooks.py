"""RunPod's callback at the end of a preview."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import HttpRequest, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from training import preview_reports
from training.models import Preview
from training.runpod import JobReport, JobState, UnreadableReportError, parse_webhook, same_job
from training.webhooks import MAX_BODY, truth


@csrf_exempt
@login_not_required
@require_POST
def preview_webhook(request: HttpRequest, token: str) -> JsonResponse:
    """As with trainings: the address is the secret, the body a hint, and ``/status`` the truth."""
    try:
        pk, request_id = Preview.read_webhook_token(token)
    except (signing.BadSignature, ValueError, TypeError):
        return JsonResponse({"error": "This webhook address is not valid."}, status=403)
    preview = Preview.objects.select_related("version").filter(pk=pk, request_id=request_id).first()
    if preview is None:
        return JsonResponse({"error": "This preview no longer exists."}, status=404)
    try:
        report = parse_webhook(request.read(MAX_BODY))
    except (UnreadableReportError, UnreadablePostError) as error:
        return JsonResponse({"error": str(error)}, status=400)
    if belongs_to_another(preview, report):
        return JsonResponse({"error": "This address belongs to another job."}, status=409)
    changed = preview_reports.apply(preview, truth(preview, report))
    return JsonResponse({"success": True, "changed": changed})


def belongs_to_another(preview: Preview, report: JobReport) -> bool:
    """Whether the body is about some other job. One that was sent again by a person may have two."""
    if preview.job_id and same_job(preview.job_id, report.id):
        return False
    if Preview.objects.filter(job_id=report.id).exclude(pk=preview.pk).exists():
        return True
    return bool(preview.job_id) and report.state != JobState.COMPLETED
