"""Signed access to files in the default storage; with S3 the links go to the store itself."""

from __future__ import annotations

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


@csrf_exempt
@login_not_required
@require_http_methods(["GET", "HEAD", "PUT"])
def file(request: HttpRequest, key: str) -> HttpResponseBase:
    """GET or PUT one object: for whoever holds a signed link; GET also for people who may view."""
    method = "put" if request.method == "PUT" else "get"
    allowed = storage.token_allows(request.GET.get("token", ""), method, key, announced(request))
    open_to_viewers = method == "get" and not key.startswith(storage.PRIVATE)
    if not allowed and not (open_to_viewers and can(request.user, "view")):
        return HttpResponse("This link is not valid or has expired.", status=403, content_type="text/plain")
    return put_file(request, key) if method == "put" else get_file(key)


def announced(request: HttpRequest) -> int:
    """How many bytes the request says it carries."""
    length = request.headers.get("Content-Length") or "0"
    return int(length) if length.isdecimal() else 0


def get_file(key: str) -> FileResponse:
    """Streams the object, harmless whatever it holds."""
    if settings.S3_BUCKET or not default_storage.exists(key):
        raise Http404(f"No file {key}")
    kind = storage.served_type(key)
    shown = kind in storage.SHOWN_IN_PLACE
    response = FileResponse(default_storage.open(key), as_attachment=not shown, content_type=kind)
    response["Cache-Control"] = "no-store" if key.startswith(storage.PRIVATE) else "private, max-age=3600"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def put_file(request: HttpRequest, key: str) -> HttpResponse:
    """Stores the body under the key, replacing what was there (a job run twice writes the same).

    The body is read to its end first: an upload that breaks off leaves the old file, or none.
    """
    length = announced(request)
    if not request.headers.get("Content-Length"):  # Django would read nothing, and store that
        return HttpResponse("Say how long the body is.", status=411, content_type="text/plain")
    if key.startswith("incoming/") and length > settings.MAX_ZIP_BYTES:
        return HttpResponse("The file is too large.", status=413, content_type="text/plain")
    with tempfile.TemporaryFile() as body:
        try:
            shutil.copyfileobj(request, body)
        except UnreadablePostError:
            return HttpResponse("The upload broke off. Send it again.", status=400, content_type="text/plain")
        if body.tell() != length:
            return HttpResponse(
                "The body is shorter than announced. Send it again.", status=400, content_type="text/plain"
            )
        default_storage.save(key, File(body))
    return HttpResponse(status=200)
