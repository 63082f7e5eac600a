"""An actor's pages that look back: versions, what differs between them, and what has happened."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from actors.models import TrainingImage
from actors.permissions import can, requires
from actors.requests import PageRequest
from training.actor_history import actor_history
from training.base_models import base_model
from training.comparing import FEWEST, MOST, Comparison
from training.costs import bills_of, executed
from training.forms import written
from training.models import Preview, SampleImage, Status, TrainingEvent, TrainingVersion
from training.pages import page_links
from training.parameters import SPECS
from training.score_models import VersionScore
from training.suggesting import suggest
from training.using import example_prompt, snippets, stable_address
from training.views import standing_or_404

#: Lines of history on one page.
LINES = 100


@require_safe
@requires("view")
def versions(request: PageRequest, actor_id: int) -> HttpResponse:
    """All versions of an actor with what differs from the one before."""
    person = standing_or_404(actor_id)
    samples = samples_of(person.versions)
    older = {newer.pk: previous for newer, previous in pairwise(person.versions)}
    scores = scores_of(person.versions)
    now = timezone.now()
    bills = bills_of(person.versions, now)
    waiting = Preview.objects.undecided().filter(version__actor=actor_id).defer("log")
    undecided = {preview.version_id: preview for preview in waiting}
    rows = [
        {
            "version": version,
            "samples": samples.get(version.pk, []),
            "score": scores.get(version.pk),
            "bill": bills.get(version.pk),
            "took": next(iter(executed(version, now) or ()), None),
            "undecided": undecided.get(version.pk),
            "differences": differences(version, older.get(version.pk)),
        }
        for version in person.versions
    ]
    context = {
        "section": "library",
        "tab": "versions",
        "standing": person,
        "actor": person.actor,
        "rows": rows,
        "ticked": request.GET.getlist("v"),
        "scores": scores,
        "suggestion": suggest(scores.values()),
    }
    return render(request, "training/versions.html", context | {"may_judge": can(request.user, "curate")})


def samples_of(versions: list[TrainingVersion]) -> dict[int, list[Any]]:
    """The last strip of samples of each version, in one query."""
    strips: dict[int, list[SampleImage]] = {}
    for sample in SampleImage.objects.filter(version__in=versions).order_by(
        "version", "-step", "prompt_index"
    ):
        strip = strips.setdefault(sample.version_id, [])
        if not strip or strip[0].step == sample.step:
            strip.append(sample)
    return strips


def scores_of(versions: list[TrainingVersion]) -> dict[int, VersionScore]:
    """The scores of these versions by their key, in one query."""
    rows = VersionScore.objects.filter(version__in=versions).select_related("dataset_revision")
    known = {version.pk: version for version in versions}
    scores = {score.version_id: score for score in rows}
    for pk, score in scores.items():
        score.version = known[pk]
    return scores


def differences(version: TrainingVersion, older: TrainingVersion | None) -> list[tuple[str, str, str]]:
    """Parameters that changed since the version before: label, before, after."""
    if older is None:
        return []
    before, now = older.parameters(), version.parameters()
    return [
        (spec.label, written(spec, before.get(name, "–")), written(spec, now.get(name, "–")))
        for name, spec in SPECS.items()
        if before.get(name) != now.get(name)
    ]


@require_safe
@requires("view")
def history(request: PageRequest, actor_id: int) -> HttpResponse:
    """What happened to the actor's trainings, and what people changed, the newest first."""
    person = standing_or_404(actor_id)
    events = TrainingEvent.objects.filter(version__actor=actor_id).select_related("by").order_by("-at", "-id")
    changed = Paginator(actor_history(person.actor), LINES).get_page(request.GET.get("changes"))
    happened = Paginator(events, LINES).get_page(request.GET.get("steps"))
    known = {version.pk: version for version in person.versions}
    for event in happened.object_list:
        event.version = known[event.version_id]
    context = {
        "section": "library",
        "tab": "history",
        "standing": person,
        "actor": person.actor,
        "happened": happened,
        "happened_links": page_links(happened, lambda number: f"?steps={number}#steps"),
        "changed": changed,
        "changed_links": page_links(changed, lambda number: f"?changes={number}#changes"),
    }
    return render(request, "training/history.html", context)


@require_safe
@requires("view")
def compare(request: PageRequest, actor_id: int) -> HttpResponse:
    """Two to four versions, named by their numbers: ``?v=2&v=3``."""
    person = standing_or_404(actor_id)
    wanted = set(request.GET.getlist("v"))
    chosen = [version for version in reversed(person.versions) if str(version.number) in wanted]
    context: dict[str, Any] = {
        "section": "library",
        "tab": "versions",
        "standing": person,
        "actor": person.actor,
    }
    if len(chosen) >= FEWEST:
        scores = scores_of(chosen[:MOST])
        logarithmic = request.GET.get("scale") == "log"
        comparison = Comparison(chosen[:MOST], scores, logarithmic=logarithmic)
        part = comparison.part(request.GET.get("part", ""))
        again = Comparison.query(version.number for version in comparison.versions)
        context |= {
            "comparison": comparison,
            "newest": comparison.versions[-1],
            "scores": [scores[version.pk] for version in comparison.versions if version.pk in scores],
            "suggestion": suggest(scores.values()),
            "part": part,
            "scales": comparison.scales(part),
            "left_out": [version.name for version in chosen[MOST:]],
            "references": references(actor_id),
            "choose_again": reverse("versions", args=[actor_id]) + again,
            "deciding": deciding(comparison.versions) if can(request.user, "curate") else [],
        }
    return render(request, "training/compare.html", context)


def deciding(versions: list[TrainingVersion]) -> list[TrainingVersion]:
    """Those that could become the good one."""
    return [version for version in versions if version.status == Status.COMPLETED and not version.is_good]


def references(actor_id: int, most: int = 3) -> list[TrainingImage]:
    """Pictures of the actor to judge likeness by."""
    images = TrainingImage.objects.filter(
        dataset__actor=actor_id, included=True, state=TrainingImage.State.SYNCED
    )
    return list(images.exclude(url="").order_by("position", "id")[:most])


@require_safe
@requires("view")
def use(request: PageRequest, actor_id: int) -> HttpResponse:
    """Where others fetch the good version's LoRA, and how they load it."""
    person = standing_or_404(actor_id)
    context: dict[str, Any] = {"section": "library", "tab": "use", "standing": person, "actor": person.actor}
    if good := person.good:
        context |= {
            "good": good,
            "address": stable_address(actor_id),
            "snippets": snippets(good),
            "base": base_model(good.base_model),
            "prompt": example_prompt(good),
        }
    return render(request, "training/use.html", context)
