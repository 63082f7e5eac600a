"""The dashboard's figures for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from actors.rest import said_by
from training import analytics, costs, preset_page
from training.analytics import Group
from training.analytics_views import whose_costs
from training.figures import Figures
from training.models import Preset
from training.selection import Selection
from training.spans import LENGTHS, NoSpan, Span

FIRST = OpenApiParameter("from", str, description="First day, as 2026-01-31, in UTC.")
LAST = OpenApiParameter("to", str, description="Last day, included. Today when it is left out.")
MONTH = OpenApiParameter("month", str, description="A whole month instead, as 2026-01.")
DAYS = OpenApiParameter(
    "days", int, enum=LENGTHS, description="The last so many days instead; 30 by default."
)


class FiguresSerializer(serializers.Serializer[Figures]):
    """What is known of a group of trainings; null where nothing was measured or no price is configured."""

    trainings = serializers.IntegerField(help_text="Launched on these days, whenever they ended.")
    active = serializers.IntegerField()
    completed = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    good = serializers.IntegerField(help_text="Those that were the good version once.")
    success = serializers.FloatField(help_text="Completed ÷ (completed + failed).", allow_null=True)
    queue = serializers.FloatField(help_text="Median seconds until a worker took it.", allow_null=True)
    training = serializers.FloatField(
        help_text="Median seconds on the worker, of completed.", allow_null=True
    )
    review = serializers.FloatField(help_text="Median seconds from the end to the mark.", allow_null=True)
    cost = serializers.FloatField(
        help_text="US dollars that the trainings were billed; of those that run, so far.", allow_null=True
    )
    preview_cost = serializers.FloatField(
        help_text="US dollars of all their previews; /api/previews has them.", allow_null=True
    )
    median_cost = serializers.FloatField(help_text="Of the trainings that cost something.", allow_null=True)
    likeness = serializers.FloatField(help_text="Median score, 0 to 100.", allow_null=True)
    cost_per_training = serializers.FloatField(allow_null=True)
    cost_per_good = serializers.FloatField(help_text="Every try and every preview counted.", allow_null=True)
    tries_per_good = serializers.FloatField(allow_null=True)


class GroupSerializer(serializers.Serializer[Group]):
    """Figures of one group, and the query of the activity page that shows its rows."""

    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the API's word
    rows = serializers.CharField(help_text="Query of /activity/.")
    figures = FiguresSerializer()


class StateSerializer(serializers.Serializer[Any]):
    """How many actors are in a state now."""

    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the API's word
    actors = serializers.IntegerField()


class PartSerializer(serializers.Serializer[Any]):
    """Figures of a day, week or month."""

    first = serializers.DateField()
    last = serializers.DateField()
    rows = serializers.CharField(help_text="Query of /activity/.")
    figures = FiguresSerializer()


class PricesSerializer(serializers.Serializer[Any]):
    """What costs are made of."""

    gpu = serializers.CharField(help_text="Empty where only a price is configured.")
    per_second = serializers.FloatField(help_text="US dollars, configured.")
    start_seconds = serializers.FloatField(help_text="Billed before a job.")
    start_source = serializers.ChoiceField(["configured", "learned", "not known"])
    idle_seconds = serializers.FloatField(help_text="Billed after a job at most, configured.")


class AnalyticsSerializer(serializers.Serializer[Any]):
    """Everything that the dashboard shows."""

    first = serializers.DateField()
    last = serializers.DateField()
    unit = serializers.ChoiceField(["day", "week", "month"], help_text="What an entry of over_time is.")
    states = StateSerializer(many=True)
    totals = FiguresSerializer()
    before = FiguresSerializer(help_text="As many days before these.")
    over_time = PartSerializer(many=True)
    failures = GroupSerializer(many=True)
    people = GroupSerializer(many=True, help_text="Only yourself unless you are an admin.")
    presets = GroupSerializer(many=True, help_text="By revision; a + after the key: values were changed.")
    sizes = GroupSerializer(many=True, help_text="By the number of images.")
    prices = PricesSerializer(allow_null=True)


class AnalyticsView(APIView):
    """What the trainings of some days did and cost."""

    @extend_schema(
        summary="Figures of the dashboard",
        parameters=[DAYS, FIRST, LAST, MONTH],
        responses=AnalyticsSerializer,
    )
    def get(self, request: Request) -> Response:
        """Actors by state now, and the trainings that were launched on the days asked for."""
        try:
            span = Span.read(request.query_params.dict())
        except NoSpan as error:
            raise exceptions.ValidationError({"days": [str(error)]}) from error
        found = analytics.report(span, whose_costs(said_by(request)))
        return Response(
            {
                "first": span.first,
                "last": span.last,
                "unit": span.unit,
                "states": [
                    {"key": state.value, "label": state.label, "actors": state.count}
                    for state in found.states
                ],
                "totals": shown(found.totals),
                "before": shown(found.before),
                "over_time": [
                    {"first": part.span.first, "last": part.span.last, **rows(part.rows, part.figures)}
                    for part in found.over_time
                ],
                "failures": groups(found.reasons),
                "people": groups(found.people),
                "presets": groups(found.presets),
                "sizes": groups(found.sizes),
                "prices": asdict(found.prices) if found.prices else None,
            }
        )


def groups(found: Iterable[Group]) -> list[dict[str, Any]]:
    """Each group with its rows."""
    return [{"key": each.key, "label": each.label, **rows(each.rows, each.figures)} for each in found]


def rows(selection: Selection, figures: Figures) -> dict[str, Any]:
    """Figures, and where their rows are."""
    return {"rows": selection.query(), "figures": shown(figures)}


def shown(figures: Figures) -> Any:
    """As the schema says."""
    return FiguresSerializer(figures).data


class ResultSerializer(serializers.Serializer[Group]):
    """What the trainings of a revision came to."""

    changed = serializers.BooleanField(help_text="Whether values were changed after the preset.")
    rows = serializers.CharField(help_text="Query of /activity/.")
    figures = FiguresSerializer()


class RevisionSerializer(serializers.Serializer[Any]):
    """A preset from one edit to the next."""

    revision = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # the API's word
    description = serializers.CharField()
    steps = serializers.FloatField()
    learning_rate = serializers.FloatField()
    warmup = serializers.FloatField()
    fixed = serializers.DictField()
    note = serializers.CharField(help_text="Why it was made.")
    by = serializers.CharField(allow_null=True)
    at = serializers.DateTimeField()
    results = ResultSerializer(many=True)


class PresetHistorySerializer(serializers.Serializer[Any]):
    """All revisions of a preset, the newest first."""

    key = serializers.CharField()
    retired_at = serializers.DateTimeField(allow_null=True)
    revisions = RevisionSerializer(many=True)


class PresetView(APIView):
    """One preset."""

    @extend_schema(
        summary="Revisions of a preset with their results",
        responses={200: PresetHistorySerializer, 404: OpenApiResponse(description="No such preset.")},
    )
    def get(self, request: Request, key: str) -> Response:
        """Of all time; results of retired presets too."""
        preset = get_object_or_404(Preset, name=key)
        results = analytics.results_of_preset(key, costs.bill_for(0.0))
        told = preset_page.history(list(preset.revisions.select_related("by", "preset")), results)
        return Response(
            {
                "key": preset.name,
                "retired_at": preset.retired_at,
                "revisions": [
                    {
                        "revision": each.revision.number,
                        "note": each.revision.note,
                        "at": each.revision.at,
                        **each.revision.rules().to_dict(),
                        "by": each.revision.by.get_username() if each.revision.by else None,
                        "results": [
                            {"changed": group.rows.changed == "yes", **rows(group.rows, group.figures)}
                            for group in each.results
                        ],
                    }
                    for each in told
                ],
            }
        )
