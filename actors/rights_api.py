"""Likeness rights for other systems: read, record, and the paper behind them."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponseRedirect, UnreadablePostError
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import exceptions, status
from rest_framework.filters import OrderingFilter
from rest_framework.generics import ListAPIView
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from actors import rights_documents
from actors.history import changing
from actors.models import Actor
from actors.parsers import TooLarge
from actors.permissions import can
from actors.rest import IF_MATCH, Conflict, entity_tag, require_match, said_by
from actors.rights import LikenessRights, RightsPolicy, State, rights_of, with_rights_state
from actors.rights_documents import MAX_BYTES, RefusedDocument
from actors.rights_serializers import FactsSerializer, PolicySerializer, RightsSerializer

RECORD = OpenApiExample(
    "A consent for two years",
    value={"basis": "consent", "reference": "Folder 7, page 3", "expires_on": "2028-11-30"},
    request_only=True,
)


def may_see_paper(request: Request) -> bool:
    """Reference, note and document are for people who may curate, and tokens made for it."""
    scopes = getattr(request.auth, "scopes", None)
    return can(request.user, "curate") and (scopes is None or "curate" in scopes)


def shown(actor: Actor, request: Request) -> dict[str, Any]:
    """An actor's rights as this visitor may see them."""
    context = {"paper": may_see_paper(request)}
    return dict(RightsSerializer(actor, context=context).data)


def get_actor(pk: int) -> Actor:
    """With its rights, or 404."""
    found = with_rights_state(Actor.objects.select_related("rights"))
    actor: Actor | None = found.filter(pk=pk).first()
    if actor is None:
        raise exceptions.NotFound("There is no such actor.")
    return actor


class RightsFilters(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    """Which actors."""

    state = filters.ChoiceFilter(field_name="rights_state", choices=State.choices)

    class Meta:
        model = Actor
        fields: tuple[str, ...] = ()


class RightsListView(ListAPIView[Actor]):
    """Actors and how their rights stand."""

    serializer_class = RightsSerializer
    filter_backends = (filters.DjangoFilterBackend, OrderingFilter)
    filterset_class = RightsFilters
    ordering_fields = ("id",)
    ordering = ("id",)

    def get_queryset(self) -> QuerySet[Actor]:
        """Everybody in the library."""
        everybody = Actor.objects.active().select_related("rights__updated_by").defer("source")
        return with_rights_state(everybody)  # type: ignore[no-any-return]  # annotated, so it has no type

    def get_serializer_context(self) -> dict[str, Any]:
        """Whether the visitor may see the paper."""
        return {"paper": may_see_paper(self.request)}

    @extend_schema(summary="Rights of all actors")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """``?state=expired``, ``expiring`` (within 30 days), ``missing``, ``future`` or ``valid``."""
        return super().get(request, *args, **kwargs)


class RightsView(APIView):
    """The rights to one actor's likeness."""

    required_actions = {"PUT": "curate", "DELETE": "curate"}

    def answer(self, request: Request, pk: int) -> Response:
        """The rights as they are, with their ETag."""
        actor = get_actor(pk)
        rights = rights_of(actor)
        headers = {"ETag": entity_tag(rights)} if rights else {}
        return Response(shown(actor, request), headers=headers)

    @extend_schema(summary="Rights of an actor", responses=RightsSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Also when none are on record: the state says ``missing`` then."""
        return self.answer(request, pk)

    @extend_schema(
        summary="Record rights",
        parameters=[IF_MATCH],
        request=FactsSerializer,
        responses={
            200: RightsSerializer,
            412: OpenApiResponse(description="They have changed since they were read."),
            428: OpenApiResponse(description="Some are on record: send If-Match."),
        },
        examples=[RECORD],
    )
    def put(self, request: Request, pk: int) -> Response:
        """All facts at once; the document stays. If-Match is required where rights are on record."""
        facts = FactsSerializer(data=request.data)
        facts.is_valid(raise_exception=True)
        with transaction.atomic():
            actor = get_actor(pk)
            here = LikenessRights.objects.select_for_update().filter(actor=actor).first()
            if here:
                require_match(request, here)
            try:
                LikenessRights.record(actor, facts.validated_data, said_by(request))
            except ValidationError as error:
                # Checks of several fields carry Django's own name for "all of it".
                wrong = {name.replace("__all__", "detail"): said for name, said in error.message_dict.items()}
                raise exceptions.ValidationError(wrong) from error
        return self.answer(request, pk)

    @extend_schema(summary="Remove rights", request=None, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """The history keeps them, and their documents. Also when there are none."""
        with changing(said_by(request)):
            LikenessRights.objects.filter(actor=get_actor(pk)).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class BytesParser(BaseParser):
    """A document as the body itself. What it really is, its content says."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The bytes; 413 above the limit."""
        try:
            body = stream.read(MAX_BYTES + 1)
        except UnreadablePostError as error:
            raise exceptions.ParseError("The body broke off. Send it again.") from error
        if len(body) > MAX_BYTES:
            raise TooLarge(f"The document is larger than {MAX_BYTES // 2**20} MiB.")
        return body


class PdfParser(BytesParser):
    """``application/pdf``."""

    media_type = "application/pdf"


class JpegParser(BytesParser):
    """``image/jpeg``."""

    media_type = "image/jpeg"


class PngParser(BytesParser):
    """``image/png``."""

    media_type = "image/png"


class RightsDocumentView(APIView):
    """The paper behind an actor's rights."""

    required_actions = {"GET": "curate", "PUT": "curate"}
    parser_classes = (PdfParser, JpegParser, PngParser)

    def rights(self, pk: int) -> LikenessRights:
        """The actor's rights, or 409."""
        rights = rights_of(get_actor(pk))
        if rights is None:
            raise Conflict(f"Record the rights first: PUT /api/actors/{pk}/rights.")
        return rights

    @extend_schema(
        summary="The document behind rights",
        responses={
            302: OpenApiResponse(description="Location is the file; the link ends within minutes."),
            404: OpenApiResponse(description="No such actor, or no document."),
            409: OpenApiResponse(description="No rights are on record."),
        },
    )
    def get(self, request: Request, pk: int) -> HttpResponseRedirect:
        """For people who may curate."""
        link = self.rights(pk).document_link()
        if not link:
            raise exceptions.NotFound("There is no document.")
        answer = HttpResponseRedirect(link)
        answer["Cache-Control"] = "no-store"
        return answer

    @extend_schema(
        summary="Upload the document behind rights",
        parameters=[OpenApiParameter("name", str, description="The file's name, for people.")],
        request=dict.fromkeys(("application/pdf", "image/jpeg", "image/png"), OpenApiTypes.BINARY),
        responses={
            200: RightsSerializer,
            409: OpenApiResponse(description="No rights are on record."),
            503: OpenApiResponse(description="The object store does not answer."),
        },
    )
    def put(self, request: Request, pk: int) -> Response:
        """The file is the body; what was there before stays in the history."""
        rights = self.rights(pk)
        name = request.query_params.get("name", "").replace("\0", "")[:300] or "document"
        try:
            document: Any = request.data  # bytes, by the parsers
            named = rights_documents.store(rights.actor, BytesIO(document), name)
        except RefusedDocument as refusal:
            raise exceptions.ValidationError({"detail": str(refusal)}) from None
        except OSError as error:
            raise StoreSilent from error
        LikenessRights.record(rights.actor, named, said_by(request))
        return Response(shown(get_actor(pk), request))


class StoreSilent(exceptions.APIException):
    """The object store does not answer."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The object store does not answer; nothing was kept. Try again."


class RightsPolicyView(APIView):
    """Whether the studio requires rights."""

    @extend_schema(summary="Are rights required?", responses=PolicySerializer)
    def get(self, request: Request) -> Response:
        """Where they are, an actor without any can be neither trained nor previewed."""
        return Response({"required": RightsPolicy.requires_rights()})

    @extend_schema(summary="Require rights, or not", request=PolicySerializer, responses=PolicySerializer)
    def put(self, request: Request) -> Response:
        """For admins who have signed in."""
        wanted = PolicySerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        RightsPolicy.switch(required=wanted.validated_data["required"], by=said_by(request))
        return self.get(request)
