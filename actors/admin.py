"""Curation of the registry. Datasets: ``dataset_admin.py``; versions and trainings: ``training/admin.py``."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actors import dataset_admin, registry, registry_admin, rights_admin, tasks  # noqa: F401  # they register
from actors.admin_parts import HistoryAdmin, ReadOnlyAdmin, thumbnail
from actors.history import changing
from actors.models import (
    AccessToken,
    Actor,
    RegistryProposal,
    RegistrySource,
    TrainingDataset,
    TrainingImage,
    prefetch_images,
)

admin.site.register(Permission, list_select_related=["content_type"], search_fields=["codename", "name"])


class RetiredFilter(admin.SimpleListFilter):
    """Actors in the library, or those taken out."""

    title = "retired"
    parameter_name = "retired"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Two answers."""
        return [("no", "In the library"), ("yes", "Retired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the moment of retiring."""
        return queryset if self.value() is None else queryset.filter(retired_at__isnull=self.value() == "no")


@admin.register(Actor)
class ActorAdmin(HistoryAdmin):
    """The registry's actors."""

    list_display = ("number", "picture", "name", "age", "sex", "ethnicity", "images", "retired_at")
    list_display_links = ("number", "name")
    list_filter: tuple[Any, ...] = (RetiredFilter, "sex", "ethnicity", "dataset__kind", "dataset__verdict")
    search_fields = ("=id", "name", "description", "ethnicity")
    list_select_related = ("poster",)
    autocomplete_fields = ("poster",)
    readonly_fields = ("dataset_link", "versions_made", "created_at", "updated_at")
    fields = (
        ("name", "age"),
        ("sex", "ethnicity"),
        "description",
        "poster",
        "dataset_link",
        "position",
        "retired_at",
        ("versions_made", "created_at", "updated_at"),
    )
    actions: tuple[str, ...] = ("mark_synced", "compare", "retire", "bring_back", "export_selection")
    change_list_template = "admin/actors/actor/change_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Actor]:
        """Counts and the first image's key come in the same query; two more fetch the pictures."""
        first = TrainingImage.objects.filter(
            dataset__actor=OuterRef("pk"), included=True, has_thumbnail=True
        ).order_by("position", "id")
        actors: QuerySet[Actor] = super().get_queryset(request)
        return actors.select_related("poster", "dataset").annotate(
            first_image=Subquery(first.values("pk")[:1]),
            included_count=_count_images(Q(included=True)),
            synced_count=_count_images(Q(included=True, state=TrainingImage.State.SYNCED)),
        )

    @admin.display(description="No.", ordering="id")
    def number(self, actor: Actor) -> str:
        """Four digits."""
        return actor.number

    @admin.display(description="Poster")
    def picture(self, actor: Any) -> SafeString | str:
        """The poster, else the first image; thumbnails lie at a key that follows from the image's."""
        if actor.poster or not actor.first_image:
            return thumbnail(actor.poster)
        return thumbnail(TrainingImage(pk=actor.first_image, has_thumbnail=True))

    @admin.display(description="images synced")
    def images(self, actor: Any) -> str:
        """``12 of 15``."""
        return f"{actor.synced_count or 0} of {actor.included_count or 0}"

    @admin.display(description="dataset")
    def dataset_link(self, actor: Actor) -> SafeString | str:
        """Where its images are."""
        dataset = getattr(actor, "dataset", None)
        if dataset is None:
            return "none yet"
        address = reverse("admin:actors_trainingdataset_change", args=[dataset.pk])
        return format_html('<a href="{}">Images of {}</a>', address, actor.name)

    def view_on_site(self, actor: Actor) -> str:
        """The actor's page."""
        return reverse("actor", args=[actor.pk])

    def get_urls(self) -> list[URLPattern]:
        """Import and export beside the list."""
        mine = [
            path("import/", self.admin_site.admin_view(registry_admin.upload), name="actors_actor_import"),
            path("export/", self.admin_site.admin_view(registry_admin.export), name="actors_actor_export"),
        ]
        return [*mine, *super().get_urls()]

    @admin.action(description="Mark the images as synced", permissions=["change"])
    def mark_synced(self, request: HttpRequest, actors: QuerySet[Actor]) -> None:
        """For images that lie in the object store although nobody has looked."""
        images = TrainingImage.objects.filter(dataset__actor__in=actors.values("pk")).exclude(url="")
        images = images.exclude(state=TrainingImage.State.SYNCED)
        datasets = TrainingDataset.objects.filter(images__in=images).distinct()
        with changing(request.user, "Marked as synced in the admin"):
            touched = list(datasets)
            changed = images.update(state=TrainingImage.State.SYNCED)
            for dataset in touched:
                dataset.touch()
        tasks.sync_later(touched)  # a claim becomes a fact, or is taken back
        self.message_user(request, f"{changed} images are marked as synced. A task looks whether it is so.")

    @admin.action(description="Compare the images with the object store", permissions=["change"])
    def compare(self, request: HttpRequest, actors: QuerySet[Actor]) -> None:
        """What is missing, changed or new there; pictures of local folders are pushed."""
        chosen = list(TrainingDataset.objects.filter(actor__in=actors.values("pk")))
        tasks.sync_later(chosen)
        self.message_user(request, f"{len(chosen)} datasets are being compared with the object store.")

    @admin.action(description="Retire", permissions=["change"])
    def retire(self, request: HttpRequest, actors: QuerySet[Actor]) -> None:
        """Out of the library; nothing is deleted."""
        with changing(request.user, "Retired in the admin"):
            for actor in actors:
                actor.retire()
        self.message_user(request, f"{len(actors)} actors are retired. Nothing was deleted.")

    @admin.action(description="Bring back into the library", permissions=["change"])
    def bring_back(self, request: HttpRequest, actors: QuerySet[Actor]) -> None:
        """Undoes retiring."""
        with changing(request.user, "Brought back in the admin"):
            changed = Actor.objects.filter(pk__in=actors.values("pk")).update(retired_at=None)
        self.message_user(request, f"{changed} actors are in the library.")

    @admin.action(description="Export as actors.json", permissions=["view"])
    def export_selection(self, request: HttpRequest, actors: QuerySet[Actor]) -> HttpResponse:
        """The selection, as the registry shows it."""
        chosen = Actor.objects.filter(pk__in=actors.values("pk")).select_related("dataset")
        rows = chosen.prefetch_related(prefetch_images(), "versions").iterator(chunk_size=500)
        pieces = registry.write_json(registry.export_record(actor) for actor in rows)
        answer = StreamingHttpResponse(pieces, content_type="application/json")
        answer["Content-Disposition"] = 'attachment; filename="actors-selection.json"'
        return answer  # type: ignore[return-value]  # Django's admin sends any response

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Actors are retired: their id and their versions stay."""
        return False


def _count_images(which: Q) -> Subquery:
    """Images of the actor, counted in a subquery: joins would count each version again."""
    images = TrainingImage.objects.filter(which, dataset__actor=OuterRef("pk")).order_by()
    return Subquery(images.values("dataset__actor").annotate(n=Count("pk")).values("n"))


@admin.register(AccessToken)
class AccessTokenAdmin(ReadOnlyAdmin):
    """Everybody's tokens: admins can revoke them, and nobody can read them."""

    list_display = ("name", "user", "token_key", "scopes", "created", "expiry", "last_used")
    list_filter = ("expiry",)
    search_fields = ("name", "user__username", "=token_key")
    list_select_related = ("user",)
    exclude = ("digest",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deleting revokes."""
        return super(ReadOnlyAdmin, self).has_delete_permission(request, obj)


@admin.register(RegistrySource)
class RegistrySourceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    """Registries that this one follows."""

    list_display = ("name", "address", "rule", "every_minutes", "is_active", "last_run_at", "last_result")
    list_filter = ("rule", "is_active", "failed")
    readonly_fields = ("last_run_at", "last_result", "failed")
    actions = ("read_now",)

    @admin.action(description="Read now", permissions=["change"])
    def read_now(self, request: HttpRequest, sources: QuerySet[RegistrySource]) -> None:
        """Without waiting for the schedule."""
        registry_admin.read_now(sources)
        self.message_user(request, f"{len(sources)} sources are being read. The results come here.")


@admin.register(RegistryProposal)
class RegistryProposalAdmin(ReadOnlyAdmin):
    """Imports that wait for a word. The page shows the difference; nothing is written before."""

    list_display = ("title", "source", "summary", "state", "made_by", "made_at", "decided_by", "decided_at")
    list_filter = ("state", "source")
    search_fields = ("title",)
    list_select_related = ("source", "made_by", "decided_by")
    fields = ("title", "source", "state", "made_by", "made_at", "decided_by", "decided_at")
    change_form_template = "admin/actors/registryproposal/change_form.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Adds the difference as it is now."""
        proposal = self.get_object(request, object_id)
        extra = registry_admin.preview(proposal) if proposal else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def get_urls(self) -> list[URLPattern]:
        """The decision."""
        decide = self.admin_site.admin_view(registry_admin.decide)
        mine = [path("<int:pk>/decide/", decide, name="actors_registryproposal_decide")]
        return [*mine, *super().get_urls()]
