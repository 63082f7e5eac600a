"""``/healthz`` for monitors, ``/health`` for people, and the tunnel's three calls."""

from __future__ import annotations

from dataclasses import asdict

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status as codes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from actors.permissions import can, requires
from training import health, tunnel


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """503 where this site can't serve. What exactly is wrong is told to the signed-in only."""
    found = health.checks()
    status = health.overall(found)
    known = status != "down" and request.user.is_authenticated
    body = {
        check.name: {"state": check.state, "seconds": check.seconds} | ({"says": check.says} if known else {})
        for check in found
    }
    return JsonResponse({"status": status, "checks": body}, status=503 if status == "down" else 200)


@require_safe
@requires("view")
def page(request: HttpRequest) -> HttpResponse:
    """The same, for people, and whether webhooks can arrive."""
    found = health.checks()
    context = {
        "section": "health",
        "checks": found,
        "overall": health.overall(found),
        "reach": tunnel.reach(),
        "tunnel": tunnel.status(),
        "public_url": tunnel.public_url(),
        "may_administer": can(request.user, "admin"),
    }
    return render(request, "training/health.html", context)


@require_POST
@requires("admin")
def switch_tunnel(request: HttpRequest) -> HttpResponse:
    """Starts or stops the tunnel from the page."""
    try:
        found = tunnel.start() if request.POST.get("switch") == "start" else tunnel.stop()
    except tunnel.TunnelError as error:
        messages.error(request, str(error))
    else:
        said = f"The tunnel is open: {found.url}" if found.running else "The tunnel is closed."
        messages.success(request, said)
    return redirect("health")


class TunnelStatusView(APIView):
    """Whether a tunnel runs, and its address."""

    @extend_schema(operation_id="ngrok_status", summary="Tunnel status", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Also says what stands in the way of a start."""
        return Response(asdict(tunnel.status()))


class TunnelStartView(APIView):
    """Opens the tunnel."""

    @extend_schema(
        operation_id="ngrok_start",
        summary="Open the tunnel",
        request=None,
        responses={200: OpenApiTypes.OBJECT, 409: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        """Twice is once. 409 says what is missing."""
        try:
            return Response(asdict(tunnel.start()))
        except tunnel.TunnelError as error:
            return Response({"detail": str(error)}, codes.HTTP_409_CONFLICT)


class TunnelStopView(APIView):
    """Closes the tunnel."""

    @extend_schema(
        operation_id="ngrok_stop",
        summary="Close the tunnel",
        request=None,
        responses={200: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        """Also when none runs."""
        return Response(asdict(tunnel.stop()))
