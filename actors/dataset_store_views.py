"""A dataset and its files: compare with the store, look at them again, say what they are, take them along."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from actors import archives, edits, tasks
from actors.dataset_views import dataset_or_404
from actors.models import TrainingDataset
from actors.people import person
from actors.permissions import requires
from actors.requests import PageRequest
from actors.sync import NoLocalFiles, local_files, local_only, sync_dataset


@require_POST
@requires("curate")
def sync(request: PageRequest, actor_id: int) -> HttpResponse:
    """Compares with the object store now; a task pushes what lies in the local folder."""
    found = dataset_or_404(actor_id)
    try:
        files = local_files(found)
    except NoLocalFiles as reason:
        if local_only(found):
            messages.error(request, f"Nothing was pushed. {reason}")
    else:
        if files:
            tasks.sync_later([found])
            messages.info(request, f"{len(files)} pictures of {found.local_path} are being compared.")
    messages.info(request, f"{sync_dataset(found).summary()}.")
    tasks.inspect_later(found)
    return redirect("dataset", actor_id)


@require_POST
@requires("curate")
def kind(request: PageRequest, actor_id: int) -> HttpResponse:
    """Says whether the images are photographs or drawn."""
    found, wanted = dataset_or_404(actor_id), request.POST.get("kind", "")
    if wanted not in TrainingDataset.Kind.values:
        messages.error(request, "The images are photographs or drawn.")
    elif change := edits.set_kind(found, wanted, by=person(request)):
        messages.info(request, f"{change.summary}.")
    return redirect("dataset", actor_id)


@require_POST
@requires("curate")
def inspect(request: PageRequest, actor_id: int) -> HttpResponse:
    """Looks at every file again."""
    found = dataset_or_404(actor_id)
    count = tasks.inspect_again(found)
    messages.info(request, f"{count} images are being inspected.")
    return redirect("dataset", actor_id)


@require_safe
@requires("view")
def download(request: PageRequest, actor_id: int) -> StreamingHttpResponse:
    """The used images with their captions as a ZIP, or the captions alone."""
    found, captions_only = dataset_or_404(actor_id), request.GET.get("only") == "captions"
    content = archives.pack(found, captions_only=captions_only)
    response = StreamingHttpResponse(content, content_type="application/zip")
    what = "captions" if captions_only else "dataset"
    name = f"{found.actor.number}_{what}_{timezone.now():%Y-%m-%d}.zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
