"""Curation of trainings, and what other systems are told."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actors.admin import ActorAdmin
from actors.admin_parts import ChoicesList, HistoryAdmin, ReadOnlyAdmin
from actors.models import Actor
from actors.permissions import can
from training import (
    batch_admin,  # noqa: F401  # these register their pages
    batch_plan,
    budget_admin,  # noqa: F401
    preview_admin,  # noqa: F401
    score_admin,  # noqa: F401
)
from training.models import (
    ParameterDraft,
    SampleImage,
    Status,
    TrainingEvent,
    TrainingVersion,
    VersionScore,
    Webhook,
    WebhookDelivery,
)
from training.outbox import EVENTS
from training.parameters import ParameterErrors
from training.score_queue import measure_later


class VersionInline(admin.TabularInline):  # type: ignore[type-arg]
    """An actor's versions, to look at."""

    model = TrainingVersion
    fields = ("name", "status", "is_good", "image_count", "max_train_steps", "created_at", "finished_at")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Versions come from trainings."""
        return False


class GoodFilter(admin.SimpleListFilter):
    """Actors with and without a good version."""

    title = "good version"
    parameter_name = "good"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Two answers."""
        return [("yes", "Has one"), ("no", "Has none")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By a subquery: a join would repeat actors."""
        good = TrainingVersion.objects.filter(is_good=True).values("actor_id")
        if self.value() == "yes":
            return queryset.filter(pk__in=good)
        return queryset.exclude(pk__in=good) if self.value() == "no" else queryset


admin.site.unregister(Actor)


@admin.register(Actor)
class TrainedActorAdmin(ActorAdmin):
    """Actors with their versions. It stands here because ``actors`` does not know of trainings."""

    list_filter = (*ActorAdmin.list_filter, GoodFilter)
    inlines = (VersionInline,)
    actions = (*ActorAdmin.actions, "plan_batch")

    def has_start_permission(self, request: HttpRequest) -> bool:
        """Who may launch."""
        return can(request.user, "train")

    @admin.action(description="Plan a batch of trainings", permissions=["start"])
    def plan_batch(self, request: HttpRequest, actors: QuerySet[Actor]) -> HttpResponse | None:
        """Leads to the plan: who can and who can't, for how much. Nothing is launched here."""
        chosen = list(actors.order_by("pk").values_list("pk", flat=True))
        try:
            return redirect(batch_plan.make(chosen, by=cast("User", request.user)))
        except (batch_plan.CannotPlan, ParameterErrors) as error:
            self.message_user(request, str(error), messages.ERROR)
            return None


class EventInline(admin.TabularInline):  # type: ignore[type-arg]
    """The timeline, to look at."""

    model = TrainingEvent
    fields = readonly_fields = ("at", "kind", "level", "message", "by")
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingEvent]:
        """With the people in it."""
        return super().get_queryset(request).select_related("by")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Verbs write it."""
        return False


class SampleInline(admin.TabularInline):  # type: ignore[type-arg]
    """Pictures drawn during training."""

    model = SampleImage
    fields = readonly_fields = ("picture", "step", "prompt", "seed")
    extra = 0
    can_delete = False

    @admin.display(description="picture")
    def picture(self, sample: SampleImage) -> SafeString:
        """The picture, small."""
        return format_html('<img class="thumb" src="{}" alt="" loading="lazy" height="64">', sample.link())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Trainings make them."""
        return False


@admin.register(TrainingVersion)
class TrainingVersionAdmin(HistoryAdmin):
    """All versions. People own name and description; all else is what happened."""

    list_display = (
        "label",
        "actor",
        "status",
        "is_good",
        "image_count",
        "max_train_steps",
        "created_by",
        "created_at",
    )
    list_filter = ("status", "is_good", "base_model", "endpoint_id", "created_at")
    search_fields = ("=actor__id", "actor__name", "=job_id", "name", "description")
    list_select_related = ("actor", "created_by")
    date_hierarchy = None
    inlines = (EventInline, SampleInline)
    actions = ("cancel", "check_status", "measure")
    editable = ("name", "description")
    exclude = ("loss_history", "log", "stages", "images", "source")

    @admin.display(description="likeness")
    def likeness(self, version: TrainingVersion) -> SafeString | str:
        """The score, and the page that says what it was measured on."""
        score = VersionScore.objects.filter(version=version.pk).first()
        if score is None:
            return "not measured"
        address = reverse("admin:training_versionscore_change", args=[score.pk])
        return format_html('<a href="{}">{}</a>', address, score.words)

    @admin.display(description="version", ordering="number")
    def label(self, version: TrainingVersion) -> str:
        """``V3``."""
        return version.name

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingVersion]:
        """Without the long columns, which no admin page shows."""
        versions: QuerySet[TrainingVersion] = super().get_queryset(request)
        return versions.defer(*self.exclude)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Everything but what people own."""
        fields = (field.name for field in TrainingVersion._meta.fields)
        return [*(name for name in fields if name not in (*self.editable, *self.exclude)), "likeness"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Versions come from trainings."""
        return False

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Who may cancel and check."""
        return can(request.user, "train")

    @admin.action(description="Cancel", permissions=["stop"])
    def cancel(self, request: HttpRequest, versions: QuerySet[TrainingVersion]) -> None:
        """Those that have an end before them."""
        cancelled = sum(version.cancel(by=cast("User", request.user)) for version in versions)
        self.message_user(request, f"{cancelled} of {len(versions)} trainings are cancelled.")

    def has_judge_permission(self, request: HttpRequest) -> bool:
        """Who may have likeness measured."""
        return can(request.user, "curate")

    @admin.action(description="Measure likeness", permissions=["judge"])
    def measure(self, request: HttpRequest, versions: QuerySet[TrainingVersion]) -> None:
        """The completed ones, by task, as after their training."""
        completed = list(versions.filter(status=Status.COMPLETED).values_list("pk", flat=True))
        for pk in completed:
            measure_later(pk)
        self.message_user(request, f"{len(completed)} of {len(versions)} trainings are being measured.")

    @admin.action(description="Check status", permissions=["stop"])
    def check_status(self, request: HttpRequest, versions: QuerySet[TrainingVersion]) -> None:
        """Asks the endpoint by task, as the sweep does."""
        due = TrainingVersion.objects.active().filter(pk__in=versions.values("pk"))
        asked = due.update(next_poll_at=None)
        self.message_user(request, f"{asked} trainings are looked at within a minute.")


@admin.register(ParameterDraft)
class ParameterDraftAdmin(ReadOnlyAdmin):
    """Parameters that people have edited and not started."""

    list_display = ("actor", "user", "updated_at")
    list_select_related = ("actor", "user")
    search_fields = ("actor__name", "user__username")


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]
    """Events as boxes to tick."""

    url = forms.URLField(
        label="URL", max_length=1000, assume_scheme="https", help_text="http or https; no redirects."
    )
    events = ChoicesList([(event, event) for event in EVENTS], initial=list(EVENTS))

    class Meta:
        model = Webhook
        fields = ("name", "url", "events", "secret", "is_active")


@admin.register(Webhook)
class WebhookAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Addresses that want to know. For admins only: the site sends requests there."""

    form = WebhookForm
    list_display = ("name", "url", "events", "is_active", "log")
    list_filter = ("is_active",)

    @admin.display(description="deliveries")
    def log(self, webhook: Webhook) -> SafeString:
        """The delivery log of this webhook."""
        address = reverse("admin:training_webhookdelivery_changelist")
        return format_html('<a href="{}?webhook__id__exact={}">log</a>', address, webhook.pk)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """What was sent, and what came back."""

    list_display = (
        "event",
        "webhook",
        "version",
        "state",
        "attempts",
        "answer",
        "created_at",
        "next_attempt_at",
    )
    list_filter = ("state", "event", "webhook")
    search_fields = ("=message_id", "=version__actor__id", "version__actor__name")
    list_select_related = ("webhook", "version__actor")
    actions = ("send_again",)

    @admin.display(description="last answer")
    def answer(self, delivery: WebhookDelivery) -> str:
        """Status or error of the last attempt."""
        last = delivery.log[-1] if delivery.log else {}
        return str(last.get("status") or last.get("error") or "none yet")

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Who manages webhooks."""
        return can(request.user, "admin")

    @admin.action(description="Send again", permissions=["resend"])
    def send_again(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> None:
        """The same message with the same id."""
        for delivery in deliveries:
            delivery.send_again()
        self.message_user(request, f"{len(deliveries)} messages are sent again.")
