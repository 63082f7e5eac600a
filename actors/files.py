"""Signed access to files in the default storage; with S3 the links go to the store itself."""

from __future__ import annotations

import mimetypes
import shutil
import tempfile

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    UnreadablePostError,
)
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from actors import storage
from actors.permissions import can

#: Shown by browsers in place; everything else is a download, so that nothing runs as a page.
SHOWN_IN_PLACE = ("image/png", "image/jpeg", "image/webp", "image/avif")


@csrf_exempt
@login_not_required
@require_http_methods(["GET", "HEAD", "PUT"])
def file(request: HttpRequest, key: str) -> HttpResponseBase:
    """GET or PUT one object: for whoever holds a signed link; GET also for people who may view."""
    method = "put" if request.method == "PUT" else "get"
    allowed = storage.token_allows(request.GET.get("token", ""), method, key)
    if not allowed and not (method == "get" and can(request.user, "view")):
        return HttpResponse("This link is not valid or has expired.", status=403, content_type="text/plain")
    return put_file(request, key) if method == "put" else get_file(key)


def get_file(key: str) -> FileResponse:
    """Streams the object, harmless whatever it holds."""
    if settings.S3_BUCKET or not default_storage.exists(key):
        raise Http404(f"No file {key}")
    kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
    shown = kind in SHOWN_IN_PLACE
    response = FileResponse(
        default_storage.open(key),
        as_attachment=not shown,
        content_type=kind if shown else "application/octet-stream",
    )
    response["Cache-Control"] = "private, max-age=3600"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def put_file(request: HttpRequest, key: str) -> HttpResponse:
    """Stores the body under the key, replacing what was there (a job run twice writes the same).

    The body is read to its end first: an upload that breaks off leaves the old file, or none.
    """
    if (
        key.startswith("incoming/")
        and int(request.headers.get("Content-Length") or 0) > settings.MAX_ZIP_BYTES
    ):
        return HttpResponse("The file is too large.", status=413, content_type="text/plain")
    with tempfile.TemporaryFile() as body:
        try:
            shutil.copyfileobj(request, body)
        except UnreadablePostError:
            return HttpResponse("The upload broke off. Send it again.", status=400, content_type="text/plain")
        if body.tell() != int(request.headers.get("Content-Length") or 0):
            return HttpResponse(
                "The body is shorter than announced. Send it again.", status=400, content_type="text/plain"
            )
        default_storage.save(key, File(body))
    return HttpResponse(status=200)
