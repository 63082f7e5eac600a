"""The admin's import and export of ``actors.json``: look first, write then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_q.tasks import async_task

from actors import following, registry
from actors.models import RegistryProposal, RegistrySource
from actors.permissions import requires
from actors.registry import RegistryError

#: Lines of a difference that one page shows.
MOST_LINES = 500
MAX_BYTES = 100 * 1024 * 1024


class UploadForm(forms.Form):
    """A registry file."""

    file = forms.FileField(label="actors.json")

    def clean_file(self) -> str:
        """The text, once it is a registry in every line."""
        upload = self.cleaned_data["file"]
        if upload.size > MAX_BYTES:
            raise forms.ValidationError(f"The file is larger than {MAX_BYTES // 2**20} MiB.")
        try:
            text: str = upload.read().decode("utf-8-sig")
            self.plan = registry.plan_import(registry.parse(text))
        except UnicodeDecodeError as error:
            raise forms.ValidationError(f"This is not UTF-8 text: {error.reason}.") from None
        except RegistryError as error:
            raise forms.ValidationError(str(error)) from None
        return text


@requires("curate")
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """Takes a file in and leads to its difference."""
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        name = getattr(request.FILES["file"], "name", "") or "actors.json"
        person = cast("User", request.user)
        proposal = following.propose(form.cleaned_data["file"], f"Upload {name}"[:300], form.plan, by=person)
        return redirect(proposal)
    context = {**admin.site.each_context(request), "form": form, "title": "Import actors.json"}
    return render(request, "admin/actors/actor/import.html", context, status=400 if form.errors else 200)


@requires("view")
@require_safe
def export(request: HttpRequest) -> StreamingHttpResponse:
    """The whole registry as a file."""
    pieces = registry.write_json(registry.export_records())
    answer = StreamingHttpResponse(pieces, content_type="application/json")
    answer["Content-Disposition"] = 'attachment; filename="actors.json"'
    return answer


def preview(proposal: RegistryProposal) -> dict[str, Any]:
    """The difference as it is now, for the proposal's page."""
    if proposal.state != RegistryProposal.State.PENDING:
        return {}
    try:
        plan = registry.plan_import(registry.parse(proposal.text))
    except RegistryError as error:
        return {"problem": str(error)}
    lines = list(following.differences(plan))
    return {
        "difference": lines[:MOST_LINES],
        "more": len(lines) - MOST_LINES,
        "summary": plan.summary(),
        "seen": following.digest(plan),
    }


@requires("curate")
@require_POST
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Applies or declines a proposal."""
    proposal = get_object_or_404(RegistryProposal, pk=pk)
    person = cast("User", request.user)
    if "apply" not in request.POST:
        if proposal.decide(RegistryProposal.State.DECLINED, person):
            messages.success(request, "Declined: nothing was written.")
        return redirect(proposal)
    try:
        plan = following.apply(proposal, person, seen=request.POST.get("seen", ""))
    except RegistryError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Imported: {plan.summary()}.")
    return redirect(proposal)


def read_now(sources: Iterable[RegistrySource]) -> None:
    """Has the sources followed by tasks."""
    for source in sources:
        async_task("actors.following.run", source.pk, task_name=f"follow {source.name}"[:100])
