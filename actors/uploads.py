"""Getting files in. The browser's way is three steps: start, PUT to a signed link, finish.

The link leads to the object store (S3) or to this site's own ``/files/``; either way the browser sends
each file by itself, so it can show progress, retry, and go on after a reload: a finish that is sent
twice changes nothing. Without JavaScript a plain form does it in one request.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from actors import arrivals, ingest, storage, tasks
from actors.archives import RefusedArchive, unpack
from actors.images import RefusedImage
from actors.models import Actor, ImageUpload, TrainingDataset, ensure_dataset
from actors.people import person
from actors.permissions import requires
from actors.remote_images import RefusedUrl

#: A link is for one attempt; a retry asks for a new one.
LINK_SECONDS = 3600
MAX_FILES_AT_ONCE = 500
MAX_URLS = 100
State = ImageUpload.State


def dataset_of(actor_id: int) -> TrainingDataset:
    """The actor's dataset, made when missing, or 404."""
    return ensure_dataset(get_object_or_404(Actor, pk=actor_id))


@require_POST
@requires("curate")
def start(request: HttpRequest, actor_id: int) -> JsonResponse:
    """``{"files": [{"name", "size", "sha256"?}]}``: for each a place to PUT it, or why it is not wanted."""
    dataset = dataset_of(actor_id)
    try:
        files = json.loads(request.body)["files"]
        wanted = [(str(each["name"]), int(each["size"]), str(each.get("sha256", ""))) for each in files]
    except (ValueError, KeyError, TypeError, AttributeError):
        return JsonResponse({"error": 'Send {"files": [{"name": "a.png", "size": 123}]}.'}, status=400)
    if len(wanted) > MAX_FILES_AT_ONCE:
        return JsonResponse({"error": f"At most {MAX_FILES_AT_ONCE} files in one request."}, status=400)
    by = person(request)
    return JsonResponse({"files": [_start(dataset, *each, by=by) for each in wanted]})


def _start(dataset: TrainingDataset, name: str, size: int, sha256: str, *, by: Any) -> dict[str, str]:
    file_name = ingest.safe_name(name)
    limit = settings.MAX_ZIP_BYTES if file_name.lower().endswith(".zip") else settings.MAX_IMAGE_BYTES
    if not 0 < size <= limit:
        reason = (
            f"It has {size / 1e6:.0f} MB; at most {limit / 1e6:.0f} MB are taken." if size else "It is empty."
        )
        return {"state": State.REFUSED, "message": reason}
    if sha256 and (known := dataset.images.filter(sha256=sha256).first()):
        return {"state": State.SKIPPED, "message": str(ingest.Duplicate(known))}
    upload = ImageUpload.objects.create(dataset=dataset, by=by, file_name=file_name, size_bytes=size)
    link = storage.upload_link(upload.key, LINK_SECONDS, size)
    return {"state": State.WAITING, "id": str(upload.pk), "url": link.removeprefix(settings.SITE_URL)}


@require_POST
@requires("curate")
def finish(request: HttpRequest, actor_id: int, upload_id: str) -> JsonResponse:
    """The bytes are there: look into them. Says how it ended, or that a task still works on it."""
    upload = get_object_or_404(ImageUpload, pk=upload_id, dataset__actor=actor_id)
    try:
        arrivals.finish(upload)
    except OSError:
        return JsonResponse({"error": "The object store does not answer; try again."}, status=503)
    return JsonResponse(_told(upload))


@require_safe
@requires("curate")
def status(request: HttpRequest, actor_id: int, upload_id: str) -> JsonResponse:
    """How an upload stands."""
    return JsonResponse(_told(get_object_or_404(ImageUpload, pk=upload_id, dataset__actor=actor_id)))


def _told(upload: ImageUpload) -> dict[str, Any]:
    return {"id": str(upload.pk), "state": upload.state, "message": upload.message, "image": upload.image_id}


@require_POST
@requires("curate")
def form(request: HttpRequest, actor_id: int) -> HttpResponse:
    """Files of a plain form: pictures, and ZIPs of pictures."""
    dataset, by = dataset_of(actor_id), person(request)
    added = 0
    for file in request.FILES.getlist("files"):
        name = ingest.safe_name(file.name or "")
        try:
            if name.lower().endswith(".zip"):
                messages.info(request, f"{name}: {unpack(dataset, file, by=by).summary()}")
            else:
                ingest.take_in(dataset, file, name, by=by)
                added += 1
        except (RefusedImage, RefusedArchive, ingest.Duplicate) as refusal:
            messages.error(request, f"{name}: {refusal}")
    if added:
        messages.info(request, f"{added} image{'s' if added > 1 else ''} added.")
    tasks.inspect_later(dataset)
    return redirect("dataset", actor_id)


@require_POST
@requires("curate")
def clear(request: HttpRequest, actor_id: int) -> HttpResponse:
    """Takes the imports that were refused off the page."""
    dataset_of(actor_id).uploads.exclude(source_url="").filter(state=State.REFUSED).delete()
    return redirect("dataset", actor_id)


@require_POST
@requires("curate")
def urls(request: HttpRequest, actor_id: int) -> HttpResponse:
    """One URL a line; ``s3://`` and plain names are prefixes of the site's own bucket."""
    dataset, by = dataset_of(actor_id), person(request)
    lines = [line.strip() for line in request.POST.get("urls", "").splitlines() if line.strip()]
    for line in lines[:MAX_URLS]:
        try:
            if line.startswith(("http://", "https://")):
                arrivals.start_url(dataset, line, by=by)
                messages.info(request, f"{line} is being fetched.")
            else:
                count = arrivals.start_prefix(dataset, line, by=by)
                messages.info(request, f"{count} new images in {line}.")
        except (RefusedUrl, RefusedImage, OSError) as refusal:
            messages.error(request, f"{line[:200]}: {refusal}")
    if len(lines) > MAX_URLS:
        messages.error(request, f"Only the first {MAX_URLS} lines were read.")
    return redirect("dataset", actor_id)
