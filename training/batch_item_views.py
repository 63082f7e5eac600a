"""One actor of a plan: values of its own, or left out."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from actors.permissions import requires
from actors.requests import PageRequest
from training import batches
from training.batch_forms import ItemForm, add_parameter_errors
from training.batch_models import BatchItem
from training.batch_plan import CannotPlan
from training.parameters import ParameterErrors


@require_http_methods(["GET", "HEAD", "POST"])
@requires("train")
def item(request: PageRequest, pk: int, actor_id: int) -> HttpResponse:
    """Its values; POST keeps them, or with ``then`` leaves the actor out or takes it in again."""
    found = get_object_or_404(
        BatchItem.objects.select_related("batch", "actor"), batch__id=pk, actor__id=actor_id
    )
    then = request.POST.get("then", "")
    if request.method == "POST" and then in ("leave-out", "take-in"):
        try:
            batches.edit_item(found.batch, actor_id, request.user, left_out=then == "leave-out")
        except (batches.NotPossible, CannotPlan, ParameterErrors) as error:
            messages.error(request, str(error))
        return back(request, found)
    if not found.batch.is_planned:
        messages.error(request, f"{found.batch.name} is {found.batch.state}: the plan is fixed.")
        return back(request, found)
    try:
        form = ItemForm(found, request.POST if request.method == "POST" else None)
    except ParameterErrors as error:  # the preset is no longer offered
        messages.error(request, str(error))
        return back(request, found)
    if form.is_valid():
        try:
            batches.edit_item(found.batch, actor_id, request.user, own_values=form.cleaned_data)
        except ParameterErrors as errors:
            add_parameter_errors(form, errors)
        except (batches.NotPossible, CannotPlan) as error:
            messages.error(request, str(error))
            return back(request, found)
        else:
            return back(request, found)
    context = {"section": "batches", "batch": found.batch, "item": found, "form": form}
    context["back"] = query(request)
    return render(request, "training/batch_item.html", context, status=422 if form.errors else 200)


def query(request: HttpRequest) -> str:
    """Which page of the plan the person came from."""
    asked = request.POST.get("back", request.GET.get("back", ""))
    return asked if asked.startswith("?") else ""


def back(request: HttpRequest, found: BatchItem) -> HttpResponse:
    """To the actor's row."""
    return redirect(f"{found.batch.get_absolute_url()}{query(request)}#a{found.actor_id}")
