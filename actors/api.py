"""The registry for other systems."""

from __future__ import annotations

from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_safe

from actors import registry


@require_safe
def registry_json(request: HttpRequest) -> StreamingHttpResponse:
    """``/actors.json``: every actor that is not retired, in constant memory."""
    return StreamingHttpResponse(
        registry.write_json(registry.export_records()), content_type="application/json"
    )
