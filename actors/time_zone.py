"""Times in the visitor's own zone, which the browser tells by a cookie."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone


class TimeZoneMiddleware:
    """Activates the zone for one request; UTC for who has told none, or one that does not exist."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.known = available_timezones()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        name = request.COOKIES.get("tz", "")
        with timezone.override(ZoneInfo(name) if name in self.known else None):
            return self.get_response(request)
