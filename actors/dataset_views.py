"""The dataset page and its fragments: look, decide, write captions, undo."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from actors import edits
from actors.dataset_page import SHOWS, Side, in_numbers, numbered
from actors.edits import CannotEdit, Overtaken
from actors.models import Actor, TrainingDataset, TrainingImage
from actors.people import person
from actors.permissions import can, requires
from actors.requests import PageRequest

PAGE = 120


def dataset_or_404(actor_id: int) -> TrainingDataset:
    """With actor and images, or 404."""
    found = TrainingDataset.objects.select_related("actor").prefetch_related("images")
    return get_object_or_404(found, actor=actor_id)


@require_safe
@requires("view")
def dataset(request: PageRequest, actor_id: int) -> HttpResponse:
    """The images of an actor, and what stands against training on them."""
    get_object_or_404(Actor, pk=actor_id)
    TrainingDataset.objects.get_or_create(actor_id=actor_id)
    context = page_context(request, dataset_or_404(actor_id))
    return render(request, "actors/dataset_body.html" if request.htmx else "actors/dataset.html", context)


def page_context(request: PageRequest, found: TrainingDataset) -> dict[str, Any]:
    """What page and fragments show."""
    images = numbered(found)
    lists = {key: [image for image in images if keep(image)] for key, (_, keep) in SHOWS.items()}
    show = request.GET.get("show", request.POST.get("show", "all"))
    show = show if show in lists else "all"
    page = Paginator(lists[show], PAGE).get_page(request.GET.get("page"))
    return {
        "section": "library",
        "tab": "dataset",
        "actor": found.actor,
        "dataset": found,
        "images": images,
        "page": page,
        "page_links": [(number, f"?show={show}&page={number}") for number in page.paginator.page_range],
        "shows": [(key, label, len(lists[key])) for key, (label, _) in SHOWS.items()],
        "show": show,
        "side": Side(found, images),
        "may_curate": can(request.user, "curate"),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@requires("view", POST="curate")
def image(request: PageRequest, actor_id: int, image_id: int) -> HttpResponse:
    """One image: GET shows it with its form, POST changes it unless somebody was faster."""
    found = dataset_or_404(actor_id)
    shown = next((each for each in numbered(found) if each.pk == image_id), None)
    if shown is None:
        return HttpResponse("No such image.", status=404, content_type="text/plain")
    if request.method != "POST":
        context = page_context(request, found) | {"image": shown, "editing": True}
        context |= beside(context["images"], shown)
        return render(request, "actors/dataset_thumb.html" if request.htmx else "actors/image.html", context)
    overtaken = ""
    try:
        values = _values(request)
        read = request.POST.get("edit", "")
        expected = {shown.pk: _number(read)} if read else None
        edits.change(
            found,
            {shown.pk: values},
            f"{shown.file_name}: {_words(values)}",
            by=person(request),
            expected=expected,
        )
    except Overtaken as conflict:
        overtaken = str(conflict)
    except (CannotEdit, ValueError) as error:
        messages.error(request, str(error))
    if request.htmx:
        return _thumb(request, actor_id, shown, overtaken)
    if overtaken and "notes" in request.POST:
        return _overtaken_page(request, actor_id, shown, overtaken)
    if overtaken:
        messages.error(request, overtaken)
    return _back(request, actor_id, shown)


def beside(images: list[TrainingImage], shown: TrainingImage) -> dict[str, Any]:
    """The images before and after one, in the order of the dataset, and what was found in it."""
    place = next(number for number, each in enumerate(images) if each.pk == shown.pk)
    by_pk = {each.pk: each for each in images}
    return {
        "previous": images[place - 1] if place else None,
        "next": dict(enumerate(images)).get(place + 1),
        "findings": [
            {**each, "message": in_numbers(each, by_pk.get(each.get("twin", 0)))}
            for each in shown.open_findings()
        ],
    }


def _overtaken_page(request: PageRequest, actor_id: int, shown: TrainingImage, said: str) -> HttpResponse:
    """The image's form with what the person has typed, beside what somebody else has saved."""
    found = dataset_or_404(actor_id)
    fresh = next(each for each in numbered(found) if each.pk == shown.pk)
    typed = {"caption": request.POST.get("caption", ""), "notes": request.POST["notes"]}
    typed["crop"] = request.POST.get("crop", "")
    context = page_context(request, found) | {"image": fresh, "overtaken": said, "typed": typed}
    context |= beside(context["images"], fresh)
    return render(request, "actors/image.html", context, status=409)


def _values(request: PageRequest) -> dict[str, Any]:
    """The fields that the form names."""
    values: dict[str, Any] = {}
    if "included" in request.POST:
        values["included"] = request.POST["included"] == "1"
    for field in ("caption", "notes"):
        if field in request.POST:
            values[field] = " ".join(request.POST[field].split())[: edits.MAX_CAPTION]
    if "crop" in request.POST:
        values["crop"] = read_crop(request.POST["crop"])
    return values


def read_crop(text: str) -> list[float] | None:
    """``10 5 80 90``: left, top, width, height in percent; empty takes the hint away."""
    if not text.strip():
        return None
    parts = [round(float(part) / 100, 4) for part in text.replace(",", " ").split()]
    if len(parts) != 4 or not all(0 <= part <= 1 for part in parts) or 0 in parts[2:]:
        raise CannotEdit("A crop hint is left, top, width and height in percent, such as 10 5 80 90.")
    if parts[0] + parts[2] > 1 or parts[1] + parts[3] > 1:
        raise CannotEdit("The crop hint leads out of the picture.")
    return parts


def _words(values: dict[str, Any]) -> str:
    if "included" in values:
        return "used" if values["included"] else "left out"
    return ", ".join(values) or "nothing"


def _thumb(request: PageRequest, actor_id: int, shown: TrainingImage, overtaken: str = "") -> HttpResponse:
    context = page_context(request, dataset_or_404(actor_id))
    fresh = next(each for each in context["images"] if each.pk == shown.pk)
    mine = request.POST.get("caption", "") if overtaken else ""
    context |= {"image": fresh, "overtaken": overtaken, "mine": mine, "editing": bool(mine), "oob": True}
    return render(request, "actors/dataset_thumb.html", context)


def _back(request: PageRequest, actor_id: int, shown: TrainingImage | None = None) -> HttpResponse:
    """The page again, where the person was."""
    if request.htmx:
        return render(request, "actors/dataset_body.html", page_context(request, dataset_or_404(actor_id)))
    anchor = f"#image-{shown.pk}" if shown else ""
    return redirect(f"{reverse('dataset', args=[actor_id])}?show={request.POST.get('show', 'all')}{anchor}")


@require_POST
@requires("curate")
def decide(request: PageRequest, actor_id: int) -> HttpResponse:
    """What a finding asks for: keep one of a pair, or accept it with a reason."""
    found, by = dataset_or_404(actor_id), person(request)
    one = get_object_or_404(found.images, pk=_number(request.POST.get("image", "")))
    try:
        if request.POST.get("drop"):
            edits.keep_one(
                found, one, get_object_or_404(found.images, pk=_number(request.POST["drop"])), by=by
            )
        else:
            code = request.POST.get("code", "")
            edits.accept(found, one, code, request.POST.get("reason", ""), by=by)
    except CannotEdit as error:
        messages.error(request, str(error))
    return _back(request, actor_id, one)


@require_POST
@requires("curate")
def captions(request: PageRequest, actor_id: int) -> HttpResponse:
    """Captions of all used images at once."""
    found, by, post = dataset_or_404(actor_id), person(request), request.POST
    try:
        how = post.get("how")
        if how == "replace":
            made = edits.replace_in_captions(found, post.get("find", ""), post.get("replacement", ""), by=by)
        elif how == "prefix":
            made = edits.prefix_captions(found, post.get("prefix", ""), by=by)
        else:
            empty_only = post.get("empty_only") == "1"
            made = edits.template_captions(found, post.get("template", ""), empty_only=empty_only, by=by)
        changed = len(made.after) if made else 0
        messages.info(request, f"{changed or 'No'} caption{'s' if changed > 1 else ''} changed.")
    except CannotEdit as error:
        messages.error(request, str(error))
    return redirect("dataset", actor_id)


@require_POST
@requires("curate")
def undo(request: PageRequest, actor_id: int) -> HttpResponse:
    """Takes the latest edit back, if it is the one that the page named."""
    seen = request.POST.get("change", "")
    try:
        taken, kept = edits.undo(
            dataset_or_404(actor_id), by=person(request), seen=int(seen) if seen.isdecimal() else None
        )
    except CannotEdit as error:
        messages.error(request, str(error))
        return redirect("dataset", actor_id)
    if taken is None:
        messages.info(request, "There is nothing to undo.")
    else:
        stay = "1 image was changed since and stays"
        if kept > 1:
            stay = f"{kept} images were changed since and stay"
        rest = f" {stay}." if kept else ""
        messages.info(request, f"Undone: {taken.summary}.{rest}")
    return redirect("dataset", actor_id)


@require_POST
@requires("curate")
def order(request: PageRequest, actor_id: int) -> HttpResponse:
    """Puts ``image`` before the image ``before``, or after ``after``."""
    found = dataset_or_404(actor_id)
    moved = get_object_or_404(found.images, pk=_number(request.POST.get("image", "")))
    before, after = (_number(request.POST.get(name, "")) for name in ("before", "after"))
    try:
        edits.move(found, moved, before=before, after=after, by=person(request))
    except CannotEdit as error:
        messages.error(request, str(error))
    return _back(request, actor_id, moved)


def _number(text: str) -> int:
    """An id that came from outside; 0 is nobody's."""
    return int(text) if text.isdecimal() and len(text) < 19 else 0


@require_POST
@requires("curate")
def poster(request: PageRequest, actor_id: int) -> HttpResponse:
    """Which image stands for the actor in the library."""
    found = dataset_or_404(actor_id)
    chosen = get_object_or_404(found.images, pk=_number(request.POST.get("image", "")))
    edits.choose_poster(found, chosen, by=person(request))
    messages.info(request, f"{chosen.file_name} is the poster.")
    return _back(request, actor_id, chosen)


@require_safe
@requires("view")
def pair(request: PageRequest, actor_id: int, one: int, other: int) -> HttpResponse:
    """Two near duplicates side by side, large."""
    found = dataset_or_404(actor_id)
    images = [each for each in numbered(found) if each.pk in (one, other)]
    codes = [
        each["code"]
        for image in images[:1]
        for each in image.open_findings()
        if each.get("twin") in (one, other)
    ]
    context = page_context(request, found) | {"pair": images, "code": codes[0] if codes else ""}
    return render(request, "actors/pair.html", context)


@require_safe
@requires("view")
def changes(request: PageRequest, actor_id: int, number: int) -> HttpResponse:
    """What changed since a version was trained."""
    found = dataset_or_404(actor_id)
    version = get_object_or_404(found.actor.versions, number=number)
    trained = {row["url"]: row.get("caption", "") for row in version.images}
    revision = version.dataset_revision
    bytes_then = {row["url"]: row["sha256"] for row in revision.images} if revision else {}
    now = {each.url: each for each in numbered(found) if each.included and each.is_synced}
    context = page_context(request, found) | {
        "version": version,
        "added": [each for url, each in now.items() if url not in trained],
        "removed": [(url.rsplit("/", 1)[-1], caption) for url, caption in trained.items() if url not in now],
        "recaptioned": [
            (now[url], caption)
            for url, caption in trained.items()
            if url in now and now[url].caption != caption
        ],
        "replaced": [
            now[url]
            for url, before in bytes_then.items()
            if url in now and before and now[url].sha256 not in ("", before)
        ],
    }
    return render(request, "actors/changes.html", context)
