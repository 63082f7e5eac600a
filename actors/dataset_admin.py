"""Curation of datasets and their images."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet, TextField
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from actors import edits, tasks
from actors.admin_parts import HistoryAdmin, ReadOnlyAdmin, thumbnail
from actors.history import changing
from actors.models import DatasetChange, DatasetRevision, ImageUpload, TrainingDataset, TrainingImage
from actors.people import person


class ImageInline(admin.TabularInline):  # type: ignore[type-arg]  # generic in the stubs only
    """The images of a dataset, as far as people own them."""

    model = TrainingImage
    fields = ("picture", "file_name", "state", "included", "caption", "notes")
    readonly_fields = ("picture", "file_name", "state")
    # Rows as high as their picture, so that many can be compared.
    formfield_overrides: ClassVar = {TextField: {"widget": forms.Textarea({"rows": 3, "cols": 36})}}
    extra = 0
    show_change_link = True

    @admin.display(description="picture")
    def picture(self, image: TrainingImage) -> SafeString | str:
        """A thumbnail."""
        return thumbnail(image)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Images come in by upload, where they are inspected."""
        return False


@admin.register(TrainingDataset)
class TrainingDatasetAdmin(HistoryAdmin):
    """Datasets with their images."""

    list_display = ("actor", "kind", "verdict", "count", "local_path", "inspected_at", "synced_at")
    list_filter = ("kind", "verdict")
    search_fields = ("=actor__id", "actor__name", "local_path")
    list_select_related = ("actor",)
    raw_id_fields = ("actor",)
    readonly_fields = ("actor", "verdict", "inspected_at", "synced_at", "changed_at")
    inlines = (ImageInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingDataset]:
        """With the number of images."""
        datasets: QuerySet[TrainingDataset] = super().get_queryset(request)
        return datasets.annotate(image_count=Count("images"))

    @admin.display(description="images", ordering="image_count")
    def count(self, dataset: Any) -> int:
        """All of them, left out or not."""
        return int(dataset.image_count)

    def view_on_site(self, dataset: TrainingDataset) -> str:
        """The dataset's page."""
        return reverse("dataset", args=[dataset.actor_id])

    def save_model(self, request: HttpRequest, obj: TrainingDataset, form: Any, change: Any) -> None:
        """The kind is an edit like those on the dataset's page."""
        if "kind" in form.changed_data:
            edits.set_kind(obj, obj.kind, by=person(request))
        super().save_model(request, obj, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: Any) -> None:
        """Changed images are one edit, which the dataset's page can undo."""
        formset.save(commit=False)
        values = {
            image.pk: {name: getattr(image, name) for name in names}
            for image, names in formset.changed_objects
        }
        edits.change(form.instance, values, f"{len(values)} images, in the admin", by=person(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Every actor has exactly one, made when needed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It lives as long as its actor."""
        return False


@admin.register(TrainingImage)
class TrainingImageAdmin(HistoryAdmin):
    """Single images, across datasets."""

    list_display = ("file_name", "picture", "actor", "state", "included", "caption", "checked_at")
    list_filter = ("state", "included", "dataset__kind", "dataset__verdict")
    search_fields = ("file_name", "=sha256", "caption", "dataset__actor__name")
    list_select_related = ("dataset__actor",)
    raw_id_fields = ("dataset",)
    readonly_fields = (
        "dataset",
        "picture",
        "state",
        "url",
        "checked_at",
        "sha256",
        "width",
        "height",
        "size_bytes",
    )
    fields = (
        "dataset",
        "picture",
        "file_name",
        ("state", "included"),
        "caption",
        "notes",
        "url",
        ("checked_at", "sha256", "width", "height", "size_bytes"),
    )
    actions = ("mark_synced",)

    @admin.display(description="actor", ordering="dataset__actor__name")
    def actor(self, image: TrainingImage) -> str:
        """Whose it is."""
        return image.dataset.actor.name

    @admin.display(description="picture")
    def picture(self, image: TrainingImage) -> SafeString | str:
        """A thumbnail."""
        return thumbnail(image)

    @admin.action(description="Mark as synced", permissions=["change"])
    def mark_synced(self, request: HttpRequest, images: QuerySet[TrainingImage]) -> None:
        """For images that lie in the object store although nobody has looked."""
        chosen = TrainingImage.objects.filter(pk__in=images.values("pk")).exclude(url="")
        datasets = list(TrainingDataset.objects.filter(images__in=chosen).distinct())
        with changing(request.user, "Marked as synced in the admin"):
            changed = chosen.update(state=TrainingImage.State.SYNCED)
            for dataset in datasets:
                dataset.touch()
        tasks.sync_later(datasets)
        self.message_user(request, f"{changed} images are marked as synced. A task looks whether it is so.")

    def save_model(self, request: HttpRequest, obj: TrainingImage, form: Any, change: Any) -> None:
        """What people decide is an edit, which the dataset's page can undo; the name is only a name."""
        decided = {name: getattr(obj, name) for name in form.changed_data if name in edits.FIELDS}
        edits.change(obj.dataset, {obj.pk: decided}, f"{obj}, in the admin", by=person(request))
        obj.save(update_fields=[name for name in form.changed_data if name not in decided])

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Images come in by upload, where they are inspected."""
        return False


@admin.register(ImageUpload)
class ImageUploadAdmin(ReadOnlyAdmin):
    """Files on their way in."""

    list_display = ("file_name", "dataset", "state", "message", "by", "created_at")
    list_filter = ("state",)
    search_fields = ("file_name", "dataset__actor__name")
    list_select_related = ("dataset__actor", "by")
    raw_id_fields = ("dataset", "by", "image")


@admin.register(DatasetChange)
class DatasetChangeAdmin(ReadOnlyAdmin):
    """Edits of datasets, which their page can undo."""

    list_display = ("summary", "dataset", "by", "at", "undone_at")
    search_fields = ("summary", "dataset__actor__name")
    list_select_related = ("dataset__actor", "by")


@admin.register(DatasetRevision)
class DatasetRevisionAdmin(ReadOnlyAdmin):
    """What a dataset was when something was trained on it."""

    list_display = ("__str__", "dataset", "fingerprint", "created_at")
    search_fields = ("=fingerprint", "dataset__actor__name")
    list_select_related = ("dataset__actor",)
