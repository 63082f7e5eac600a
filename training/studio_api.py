"""What the site knows about training in general: presets, recommendations, estimates, the endpoint."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from training.api import get_actor
from training.endpoints import connect
from training.launch import estimate, studio_base
from training.parameters import Parameters, validate
from training.preset_models import PresetRevision
from training.presets import recommend
from training.serializers import (
    AdjustedSerializer,
    AdjustSerializer,
    EstimateRequestSerializer,
    EstimateSerializer,
    HealthSerializer,
    PresetsSerializer,
)


class PresetsView(APIView):
    """The presets and the eleven parameters."""

    @extend_schema(
        operation_id="presets_and_parameters",
        summary="Presets and parameters of this site's base model",
        responses=PresetsSerializer,
    )
    def get(self, request: Request) -> Response:
        """What the form is made of."""
        base = studio_base()
        return Response(
            {
                "base_model": base.key,
                "presets": [
                    {"key": each.preset.name, "revision": each.number, **each.rules().to_dict()}
                    for each in PresetRevision.objects.offered()
                ],
                "parameters": [
                    {
                        "name": name,
                        **{key: getattr(spec, key) for key in ("label", "kind", "allowed", "why")},
                        **{key: getattr(spec, key) for key in ("minimum", "maximum", "default")},
                        "choices": list(spec.choices),
                    }
                    for name, spec in base.specs().items()
                ],
            }
        )


class AutoAdjustView(APIView):
    """Recommended parameters."""

    required_actions = {"POST": "view"}

    @extend_schema(
        summary="Recommend parameters",
        request=AdjustSerializer,
        responses=AdjustedSerializer,
        examples=[OpenApiExample("For 24 images", value={"image_count": 24}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """For an actor's dataset or a number of images. Changes nothing."""
        parameters, warnings, _ = adjust(AdjustSerializer, request)
        return Response({"parameters": parameters.to_dict(), "warnings": warnings})


class EstimateView(APIView):
    """How long."""

    required_actions = {"POST": "view"}

    @extend_schema(
        summary="Estimate how long a training takes",
        request=EstimateRequestSerializer,
        responses=EstimateSerializer,
        examples=[
            OpenApiExample(
                "400 steps on actor 7",
                value={"actor": 7, "parameters": {"max_train_steps": 400}},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """A rule of thumb at first, learned from finished trainings later. Changes nothing."""
        parameters, _, image_count = adjust(EstimateRequestSerializer, request)
        found = estimate(parameters, image_count)
        return Response(asdict(found) | {"explanation": found.explanation})


def adjust(serializer_class: type[AdjustSerializer], request: Request) -> tuple[Parameters, list[str], int]:
    """Parameters as asked, the recommended ones in the gaps; what to mind; and for how many images."""
    asked = serializer_class(data=request.data)
    asked.is_valid(raise_exception=True)
    wanted: dict[str, Any] = asked.validated_data
    count, token = wanted.get("image_count"), "token"
    if "actor" in wanted:
        actor = get_actor(wanted["actor"])
        token = actor.trigger_token
        if count is None:
            count = len(actor.dataset.trainable_images()) if hasattr(actor, "dataset") else 0
    base, own = studio_base(), wanted.get("parameters", {})
    parameters, warnings = recommend(count or 0, base, wanted["preset"], token)
    if own:
        parameters = validate(parameters.to_dict() | own, base)
    return parameters, warnings, count or 0


class EndpointHealthView(APIView):
    """The endpoint that trains."""

    @extend_schema(
        summary="Health of the endpoint",
        responses={200: HealthSerializer, 502: OpenApiResponse(description="It does not answer.")},
    )
    def get(self, request: Request) -> Response:
        """Jobs and workers by RunPod's own words."""
        with connect(hasty=True) as runpod:
            health = runpod.health()
        return Response(
            {
                "endpoint": settings.RUNPOD_ENDPOINT_ID,
                "can_work": health.can_work,
                "jobs": dict(health.jobs),
                "workers": dict(health.workers),
            }
        )
