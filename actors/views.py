"""Pages of the registry."""

from django.http import HttpRequest, HttpResponse


def registry_json(request: HttpRequest) -> HttpResponse:
    """``/actors.json``."""
    return HttpResponse("[]", content_type="application/json")
