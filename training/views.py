"""An actor's pages about trainings: set one up, start it, look back."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import reswap, retarget

from actors.models import Actor, prefetch_images
from actors.permissions import can, requires
from actors.requests import PageRequest
from actors.undo import done
from training import budgets, costs, drafts, job_body, launch
from training.estimates import Estimate
from training.forms import ParameterForm
from training.models import ParameterDraft, TrainingVersion
from training.parameters import SPECS, ParameterErrors, labelled
from training.standing import Standing, standing


def standing_or_404(actor_id: int) -> Standing:
    """The actor with state, picture and versions."""
    found = standing(actor_id)
    if found is None:
        raise Http404(f"There is no actor with the number {actor_id}.")
    return found


def form_for(
    actor: Any,
    data: Mapping[str, str],
    versions: list[TrainingVersion],
    draft: ParameterDraft | None = None,
) -> ParameterForm:
    """The form as the query string or the posted data has it; ``from`` names a version to load.

    An address without any values opens the visitor's draft.
    """
    source: TrainingVersion | ParameterDraft | None = loaded(data, versions)
    if draft and opens_the_draft(data):
        source, data = draft, draft.texts | {"preset": draft.preset} | dict(data.items())
    return ParameterForm.read(
        launch.studio_base(),
        actor.stored_count,
        actor.trigger_token,
        data,
        source.parameters() if source else {},
    )


def loaded(data: Mapping[str, str], versions: list[TrainingVersion]) -> TrainingVersion | None:
    """The version whose parameters are asked for."""
    return next((version for version in versions if str(version.pk) == data.get("from", "")), None)


def opens_the_draft(data: Mapping[str, str]) -> bool:
    """Whether an address names no values of its own."""
    return not data.get("from") and not any(name in data for name in SPECS)


def train_page(
    request: PageRequest,
    person: Standing,
    form: ParameterForm,
    status: int = 200,
    draft: ParameterDraft | None = None,
    *,
    whole: bool = False,
) -> HttpResponse:
    """The train page, whole or as the parts that a changed value touches."""
    actor = person.actor
    images = Actor.objects.prefetch_related(prefetch_images()).select_related("dataset").get(pk=actor.pk)
    length = form.estimate()
    checks = launch.checks(images)
    usage = budgets.usage_of(request.user) if can(request.user, "train") else None
    if usage:
        checks = launch.in_order([*launch.budget_checks(usage, price(length)), *checks])
    blocking = [check for check in checks if check.level == "error"]
    context = {
        "section": "library",
        "tab": "train",
        "standing": person,
        "actor": actor,
        "form": form,
        "draft": draft,
        # Values of an address or a version stand beside a draft that is still there.
        "draft_is_shown": request.method == "POST" or opens_the_draft(request.GET),
        "loaded": loaded(request.GET, person.versions),
        "known": drafts.known(form),
        "estimate": length,
        "price": price(length),
        "usage": usage,
        "checks": checks,
        "blocked": blocking,
        "may_override": can(request.user, "curate") and all(check.can_override for check in blocking),
        "override_reason": (request.POST or request.GET).get("override_reason", ""),
        "images": images.dataset.images.all() if hasattr(images, "dataset") else [],
        "endpoint": "this site's own endpoint" if settings.LOCAL_ENDPOINT else "RunPod Serverless",
        "next_number": actor.versions_made + 1,
        "may_train": can(request.user, "train"),
        "loadable": [version for version in person.versions if version.parameters()],
    }
    if request.htmx and (whole or request.htmx.target == "train"):
        return render(request, "training/train_body.html", context, status=status)
    if request.htmx and not request.htmx.history_restore_request:
        return render(request, "training/train_live.html", context | {"oob": True}, status=status)
    return render(request, "training/train.html", context, status=status)


def price(length: Estimate | None) -> Decimal | None:
    """What the estimate costs; ``None`` where trainings cost nothing."""
    bill = costs.bill_for(length.seconds) if length else None
    return bill.total if bill else None


@require_safe
@requires("view")
def train(request: PageRequest, actor_id: int) -> HttpResponse:
    """Parameters, estimate, checks, start."""
    person = standing_or_404(actor_id)
    draft = drafts.draft_of(request.user, person.actor)
    form = form_for(person.actor, request.GET, person.versions, draft)
    return train_page(request, person, after(form, request.GET.get("then", "")), draft=draft)


@require_POST
@requires("train")
def keep_draft(request: PageRequest, actor_id: int) -> HttpResponse:
    """A value has changed: it is kept, and the page's parts around it follow."""
    person = standing_or_404(actor_id)
    values, newer = drafts.merge(drafts.draft_of(request.user, person.actor), request.POST)
    before = form_for(person.actor, values, person.versions)
    then = request.POST.get("then", "")
    form = after(before, then)
    drafts.keep(request.user, person.actor, form)
    if then == "apply" and (count := len(before.changes())):
        back = reverse("keep-draft", args=[actor_id])
        told = f"{count} value{pluralize(count)} changed to those of the preset."
        done(request, told, back, preset=before.preset, **before.values)
    if newer:
        told = ", ".join(f"{name} {text}" for name, text in labelled({name: values[name] for name in newer}))
        messages.info(request, f"Taken over from another tab of yours: {told}.")
    if not request.htmx:
        return redirect("actor", actor_id)
    draft = drafts.draft_of(request.user, person.actor)
    answer = train_page(request, person, form, draft=draft, whole=bool(newer))
    # The address may name a version or values; a reload would bring those back instead of what was changed.
    answer["HX-Replace-Url"] = reverse("actor", args=[actor_id])
    if newer:
        retarget(answer, "#train")
        reswap(answer, "outerHTML")
    return answer


@require_POST
@requires("train")
def discard_draft(request: PageRequest, actor_id: int) -> HttpResponse:
    """Back to the recommended values."""
    actor = get_object_or_404(Actor, pk=actor_id)
    draft = drafts.draft_of(request.user, actor)
    if draft and drafts.discard(request.user, actor):
        back = reverse("keep-draft", args=[actor_id])
        done(request, "The draft is discarded.", back, preset=draft.preset, **draft.texts)
    return redirect("actor", actor_id)


def after(form: ParameterForm, then: str) -> ParameterForm:
    """What a button of the form asks for: ``apply`` the preset, or ``use:NAME``."""
    if then == "apply":
        return form.adjusted()
    return form.using(then.removeprefix("use:")) if then.startswith("use:") else form


@require_POST
@requires("train")
def start(request: PageRequest, actor_id: int) -> HttpResponse:
    """Starts a training; the form's other buttons, without a script, only come back with their values."""
    person = standing_or_404(actor_id)
    form = form_for(person.actor, request.POST, person.versions)
    if then := request.POST.get("then"):
        form = after(form, then)
        drafts.keep(request.user, person.actor, form)
        return redirect("actor", actor_id)
    actor = get_object_or_404(Actor, pk=actor_id)
    try:
        version = launch.launch(
            actor,
            form.values,
            by=request.user,
            override_reason=request.POST.get("override_reason", "")[:2000],
            preset=form.preset,
        )
    except ParameterErrors as errors:
        form.errors = errors.errors
        messages.error(request, f"Nothing was started. {errors}")
    except launch.CannotStart as obstacle:
        messages.error(request, f"Nothing was started. {obstacle}")
        if active := TrainingVersion.objects.active().filter(actor=actor).first():
            return redirect(active)
    else:
        drafts.discard(request.user, actor)
        messages.success(request, f"{version.name} has started.")
        usage = budgets.usage_of(request.user)
        if usage.percent >= budgets.WARN_AT[0]:
            messages.warning(request, f"{usage.percent} % of your budget this month is used: {usage.words}.")
        return redirect(version)
    drafts.keep(request.user, person.actor, form)
    draft = drafts.draft_of(request.user, person.actor)
    return train_page(request, person, form, status=422, draft=draft)


@require_safe
@requires("view")
def payload(request: PageRequest, actor_id: int) -> HttpResponse:
    """What would be sent to the endpoint for these values, to look at. The links in it are left unsigned."""
    person = standing_or_404(actor_id)
    form = form_for(person.actor, request.GET, person.versions)
    actor = Actor.objects.prefetch_related(prefetch_images()).select_related("dataset").get(pk=actor_id)
    parameters = form.parameters()
    if parameters is None:
        return JsonResponse({"errors": form.errors}, status=422)
    images = actor.dataset.trainable_images() if hasattr(actor, "dataset") else []
    version = TrainingVersion(
        actor=actor,
        number=actor.versions_made + 1,
        base_model=form.base.key,
        request_id=f"{actor.pk}_preview",
        images=[{"url": image.url, "caption": image.caption} for image in images],
        image_count=len(images),
        created_by=request.user,
        **parameters.to_dict(),
    )
    return JsonResponse(hide_signatures(job_body.build(version)), json_dumps_params={"indent": 2})


def hide_signatures(value: Any) -> Any:
    """A signed link is a key: a page that people copy from must not hold any."""
    if isinstance(value, dict):
        return {key: hide_signatures(each) for key, each in value.items() if key != "webhook"}
    if isinstance(value, list):
        return [hide_signatures(each) for each in value]
    if isinstance(value, str) and value.startswith("http") and "?" in value:
        return value.split("?")[0] + "?(signed)"
    return value
