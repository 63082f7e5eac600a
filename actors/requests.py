"""What a page's view gets: the middleware has made sure of both."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class PageRequest(HttpRequest):
    """A request of a person who is signed in; ``htmx`` says whether a fragment is asked for."""

    htmx: HtmxDetails
    user: User
