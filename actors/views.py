"""Pages of the registry: an actor's dataset, and what a visitor has chosen for their own screen."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from actors.models import Actor, TrainingImage, prefetch_images
from actors.permissions import can, requires
from actors.requests import PageRequest

SHOWS = {"all": "All", "used": "Used", "out": "Left out"}


@require_safe
@requires("view")
def dataset(request: PageRequest, actor_id: int) -> HttpResponse:
    """The images of an actor, and what stands against training on them."""
    actor = get_object_or_404(
        Actor.objects.select_related("dataset").prefetch_related(prefetch_images()), pk=actor_id
    )
    images = list(actor.dataset.images.all()) if hasattr(actor, "dataset") else []
    used = [image for image in images if image.included]
    lists = {"all": images, "used": used, "out": [image for image in images if not image.included]}
    show = request.GET.get("show", "")
    if show not in lists:
        show = "all"
    numbers = {image.pk: number for number, image in enumerate(images, start=1)}
    context = {
        "section": "library",
        "tab": "dataset",
        "actor": actor,
        "images": images,
        "shown": [(numbers[image.pk], image) for image in lists[show]],
        "shows": [(key, label, len(lists[key])) for key, label in SHOWS.items()],
        "show": show,
        "used": used,
        "warnings": actor.dataset.claim_warnings() if images else [],
        "waiting": sum(not image.is_synced for image in used),
        "uncaptioned": sum(not image.caption for image in used),
        "may_curate": can(request.user, "curate"),
    }
    return render(request, "actors/dataset.html", context)


@require_POST
@requires("curate")
def include_image(request: PageRequest, actor_id: int, image_id: int) -> HttpResponse:
    """Takes an image into the training or leaves it out."""
    image = get_object_or_404(
        TrainingImage.objects.select_related("dataset"), pk=image_id, dataset__actor=actor_id
    )
    included = request.POST.get("included") == "1"
    if image.included != included:
        with transaction.atomic():
            image.included = included
            image.save(update_fields=["included", "updated_at"])
            image.dataset.touch()
    if not request.htmx:
        messages.info(request, f"{image.file_name} is {'used' if included else 'left out'}.")
    return redirect(
        f"{reverse('dataset', args=[actor_id])}?show={request.POST.get('show', 'all')}#image-{image.pk}"
    )


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Light or dark, kept in a cookie so that the first paint is right. Scripts do it without this view."""
    there = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(there, allowed_hosts={request.get_host()}):
        there = "/"
    response = redirect(there)
    if request.POST.get("theme") in ("light", "dark"):
        response.set_cookie("theme", request.POST["theme"], max_age=365 * 24 * 3600, samesite="Lax")
    return response
