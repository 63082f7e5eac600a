"""Likeness rights on pages: of one actor, of all, and the studio's setting."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from actors import rights_documents
from actors.history import changing
from actors.models import Actor
from actors.permissions import can, requires
from actors.requests import PageRequest
from actors.rights import LikenessRights, RightsPolicy, flaw_of, rights_of
from actors.rights_documents import RefusedDocument
from actors.rights_lists import SHOWS, changes_of, counts, listed

PAGE = 50


class RightsForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """The facts, and the paper behind them."""

    document_file = forms.FileField(
        label="Document",
        required=False,
        help_text=f"{rights_documents.TAKEN}, at most {rights_documents.MAX_BYTES // 2**20} MiB.",
        widget=forms.FileInput(attrs={"accept": ".pdf,.jpg,.jpeg,.png"}),
    )

    class Meta:
        model = LikenessRights
        fields = ("basis", "reference", "document_file", "valid_from", "expires_on", "note")
        labels = {"valid_from": "Valid from", "expires_on": "Last valid day"}
        widgets = {
            "valid_from": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "expires_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "note": forms.Textarea(attrs={"rows": 3, "maxlength": 5000}),
        }

    def clean_document_file(self) -> Any:
        """Looked into before anything is written."""
        file = self.cleaned_data["document_file"]
        if file:
            try:
                rights_documents.ending_of(file)
            except RefusedDocument as refusal:
                raise ValidationError(str(refusal)) from None
            self.instance.document = file.name  # counts as proof where the model checks for one
        return file

    def write(self, actor: Actor, by: Any) -> None:
        """Records the facts, and keeps the document. ``OSError`` when the store does not answer."""
        facts = {name: self.cleaned_data[name] for name in self._meta.fields or () if name != "document_file"}
        file = self.cleaned_data["document_file"]
        if file:
            facts |= rights_documents.store(actor, file, file.name or "")
        LikenessRights.record(actor, facts, by)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@requires("view", POST="curate")
def rights(request: PageRequest, actor_id: int) -> HttpResponse:
    """One actor's rights; POST records them. Who may not curate sees the state, not the paper."""
    actor = get_object_or_404(Actor.objects.select_related("rights"), pk=actor_id)
    here = rights_of(actor)
    form = RightsForm(
        request.POST or None, request.FILES or None, instance=here or LikenessRights(actor=actor)
    )
    if request.method == "POST" and form.is_valid():
        try:
            form.write(actor, request.user)
        except ValidationError as error:
            form.add_error(None, error)
        except OSError:
            form.add_error("document_file", "The object store does not answer; nothing was kept. Try again.")
        else:
            messages.success(request, "The rights are recorded.")
            return redirect("rights", actor_id)
    actor = get_object_or_404(Actor.objects.select_related("rights"), pk=actor_id)
    may_curate = can(request.user, "curate")
    context = {
        "section": "library",
        "tab": "rights",
        "actor": actor,
        "rights": rights_of(actor),
        "flaw": flaw_of(actor),
        "required": RightsPolicy.requires_rights(),
        "form": form if may_curate else None,
        "may_curate": may_curate,
        "changes": changes_of(actor) if may_curate else [],
    }
    return render(request, "actors/rights.html", context, status=400 if form.errors else 200)


@never_cache
@require_safe
@requires("curate")
def document(request: PageRequest, actor_id: int) -> HttpResponse:
    """Leads to the paper, by a link that expires in minutes."""
    here = LikenessRights.objects.filter(actor=actor_id).first()
    if here is None or not here.document:
        raise Http404("There is no document.")
    return redirect(here.document_link())


@require_POST
@requires("curate")
def remove(request: PageRequest, actor_id: int) -> HttpResponse:
    """Takes the rights away; the history and its documents stay."""
    with changing(request.user, request.POST.get("reason", "")[:500]):
        here = LikenessRights.objects.filter(actor=actor_id).first()
        if here:
            here.delete()
            messages.success(request, "The rights are removed. The history keeps what they were.")
    return redirect("rights", actor_id)


@require_safe
@requires("view")
def all_rights(request: PageRequest) -> HttpResponse:
    """Actors by how their rights stand; the query string says which."""
    required, found = RightsPolicy.requires_rights(), counts()
    show = request.GET.get("show", "")
    if show not in SHOWS:
        show = next((state for state in ("expired", "expiring") if found[state]), "all")
    page = Paginator(listed(show), PAGE).get_page(request.GET.get("page"))
    context = {
        "section": "rights",
        "required": required,
        "show": show,
        "shows": [(state, words, found[state]) for state, words in SHOWS.items()],
        "page": page,
        "page_links": [(number, f"?show={show}&page={number}") for number in page.paginator.page_range],
        "may_administer": can(request.user, "admin"),
    }
    return render(request, "actors/all_rights.html", context)


@require_POST
@requires("admin")
def policy(request: PageRequest) -> HttpResponse:
    """Makes rights required, or optional."""
    required = request.POST.get("required") == "yes"
    RightsPolicy.switch(required=required, by=request.user)
    says = (
        "Rights are required now: actors without any can't be trained."
        if required
        else "Rights are optional."
    )
    messages.success(request, says)
    return redirect("all-rights")
