"""Likeness rights as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from actors.models import Actor
from actors.rights import Basis, LikenessRights, State, rights_of


class FactsSerializer(serializers.Serializer[Any]):
    """What people record. A field that is left out is emptied."""

    basis = serializers.ChoiceField(Basis.choices)
    reference = serializers.CharField(
        max_length=500, allow_blank=True, default="", help_text="Where the paper is."
    )
    valid_from = serializers.DateField(allow_null=True, default=None)
    expires_on = serializers.DateField(
        allow_null=True, default=None, help_text="The last valid day, in the studio's time zone."
    )
    note = serializers.CharField(max_length=5000, allow_blank=True, default="")


class RightsSerializer(serializers.Serializer[Actor]):
    """An actor's rights. Reference, note and the document's name are null without the right to curate."""

    actor = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    state = serializers.ChoiceField(State.choices, source="rights_state")
    basis = serializers.SerializerMethodField()
    valid_from = serializers.SerializerMethodField()
    expires_on = serializers.SerializerMethodField()
    has_document = serializers.SerializerMethodField()
    document_name = serializers.SerializerMethodField()
    reference = serializers.SerializerMethodField()
    note = serializers.SerializerMethodField()
    updated_at = serializers.SerializerMethodField()
    updated_by = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(Basis.choices, allow_null=True))
    def get_basis(self, actor: Actor) -> str | None:
        """Null where none are on record."""
        rights = rights_of(actor)
        return rights.basis if rights else None

    @extend_schema_field(serializers.DateField(allow_null=True))
    def get_valid_from(self, actor: Actor) -> str | None:
        """The first valid day."""
        rights = rights_of(actor)
        return rights.valid_from.isoformat() if rights and rights.valid_from else None

    @extend_schema_field(serializers.DateField(allow_null=True))
    def get_expires_on(self, actor: Actor) -> str | None:
        """The last valid day."""
        rights = rights_of(actor)
        return rights.expires_on.isoformat() if rights and rights.expires_on else None

    def get_has_document(self, actor: Actor) -> bool:
        """Whether a paper was uploaded."""
        rights = rights_of(actor)
        return bool(rights and rights.document)

    def get_document_name(self, actor: Actor) -> str | None:
        """Its file's name."""
        rights = self.paper(actor)
        return rights.document_name if rights else None

    def get_reference(self, actor: Actor) -> str | None:
        """Where the paper is."""
        rights = self.paper(actor)
        return rights.reference if rights else None

    def get_note(self, actor: Actor) -> str | None:
        """What else is to be known."""
        rights = self.paper(actor)
        return rights.note if rights else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_updated_at(self, actor: Actor) -> str | None:
        """When they were recorded last."""
        rights = rights_of(actor)
        return rights.updated_at.isoformat() if rights else None

    def get_updated_by(self, actor: Actor) -> str | None:
        """Who did."""
        rights = rights_of(actor)
        return rights.updated_by.get_username() if rights and rights.updated_by else None

    def paper(self, actor: Actor) -> LikenessRights | None:
        """The rights, for those who may see what proves them."""
        return rights_of(actor) if self.context.get("paper") else None


class PolicySerializer(serializers.Serializer[Any]):
    """The studio's rule."""

    required = serializers.BooleanField()  # type: ignore[assignment]  # not the setting of that name
