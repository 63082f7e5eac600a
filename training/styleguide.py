"""``/styleguide``: every component in every state, from the includes that the pages use. Nothing is saved."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from actors.models import Actor, TrainingImage, Verdict
from actors.permissions import requires
from actors.requests import PageRequest
from actors.rights import Flaw
from actors.rights import State as RightsState
from training.base_models import EMBEDDED
from training.comparing import Facts, Shown
from training.forms import ParameterForm
from training.live import Picture
from training.models import ParameterDraft, SampleImage, Status, TrainingVersion, VersionScore
from training.pages import page_links
from training.readiness import Check
from training.standing import STATES, Standing
from training.suggesting import Suggestion

STATIC = Path(settings.BASE_DIR) / "actortrain_site" / "static"
#: Tokens of ``tokens.css`` and what they are for.
COLOURS = {
    "table": "the page",
    "sheet": "fields, floats",
    "well": "behind pictures",
    "film": "the rebate of strips",
    "hair": "hairlines",
    "rule": "borders of controls",
    "ink": "text, primary, focus",
    "ink-2": "second voice",
    "ink-3": "labels, units",
    "training": "a machine works",
    "good": "the one good version",
    "attention": "a person is needed",
    "failed": "it broke, or blocks",
    "training-wash": "wash",
    "good-wash": "wash",
    "attention-wash": "wash",
    "failed-wash": "wash",
}
TYPES = {
    "figure": "1,276",
    "name": "0042 · European, 34, male",
    "title": "Library",
    "lead": "Section headings",
    "body": "Sentences that people read",
    "data": "Tables, fields, captions of posters",
    "note": "Labels, units, reasons",
    "edge": "14:02:11 step 1,250",
}


@require_safe
@requires("curate")
def styleguide(request: PageRequest) -> HttpResponse:
    """For whoever builds pages: what there is already."""
    context = {
        "section": "styleguide",
        "colours": COLOURS.items(),
        "types": TYPES.items(),
        "spaces": (4, 8, 12, 16, 24, 32, 48, 64),
        "states": STATES.items(),
        "people": (people := posters()),
        "standing": people[-1],
        "tab": "train",
        "may_train": True,
        "next_number": 4,
        "form": example_form(),
        "actor": people[-1].actor,
        "page": (page := Paginator(range(90), 10).get_page(3)),
        "page_links": page_links(page, lambda number: f"#filters-{number}"),
        "checks": CHECKS,
        "now": (now := example_training()),
        "version": now.version,
        "scale": "linear",
        "toasts": TOASTS,
        "icons": re.findall(r'id="(\w+)"', (STATIC / "icons.svg").read_text()),
        "draft": ParameterDraft(updated_at=timezone.now()),
        "draft_is_shown": True,
        "flaws": FLAWS,
        **example_comparison(now.version),
    }
    return render(request, "training/styleguide.html", context)


CHECKS = [
    Check("error", "12 of 15 images are not in the object store.", "Sync the dataset, or leave them out."),
    Check("warning", "2 of 15 images have no caption.", "They train on the trigger token alone."),
    Check("ok", "15 images.", "20 to 30 are best."),
]
MEASURED = {"measured_on": "4 samples", "scorer": "a scorer 1"}
FLAWS = [
    Flaw(RightsState.EXPIRED, "The rights to this likeness ended on 3 May.", "Renew them."),
    Flaw(RightsState.EXPIRING, "The rights to this likeness end on 3 June.", "Renew them in time."),
]
TOASTS = [
    SimpleNamespace(
        level_tag="success",
        message="V4 is the good version now instead of V3.",
        extra_tags='{"url": "#floats", "fields": {}}',
    ),
    SimpleNamespace(level_tag="error", message="Nothing was started. V3 is training already."),
    SimpleNamespace(level_tag="warning", message="V2 had ended already: it is failed."),
]


def posters() -> list[Standing]:
    """One actor in each state, with pictures of the registry as far as there are any."""
    pairs = zip_longest([state for state in STATES if state != "none"], covers())
    return [example_person("none", None), *(example_person(state, cover) for state, cover in pairs)]


def covers() -> list[TrainingImage]:
    """Some pictures that are really there, one for each state but "No images"."""
    images = TrainingImage.objects.filter(has_thumbnail=True, included=True, state=TrainingImage.State.SYNCED)
    return list(images.exclude(url="").order_by("pk")[: len(STATES) - 1])


def example_person(state: str, cover: TrainingImage | None) -> Standing:
    """An actor that was never saved."""
    number = list(STATES).index(state)
    actor: Any = Actor(pk=number, name=f"{number:04d}_european_{30 + number}_female", age=30 + number)
    actor.sex, actor.ethnicity = "female", "european"
    actor.state, actor.verdict = state, Verdict.FIT
    actor.included_count = actor.stored_count = {"none": 0, "unfit": 8}.get(state, 24)
    version = TrainingVersion(pk=0, actor=actor, number=3, name="V3", status=Status.COMPLETED)
    match state:
        case "training":
            version.status, version.step, version.max_train_steps = Status.TRAINING, 640, 1000
        case "failed":
            version.status, version.error = Status.FAILED, "The worker ran out of memory."
        case "good":
            version.is_good, version.good_at = True, timezone.now()
    return Standing(actor, cover, [version] if state in ("training", "failed", "good", "choose") else [])


def example_form() -> ParameterForm:
    """One value as recommended, one changed, one wrong."""
    form = ParameterForm(EMBEDDED, 15, "0000_example", values={"max_train_steps": "900"})
    form.values["network_dim"] = "9000"
    form.errors = form.find_errors()
    return form


def example_comparison(newer: TrainingVersion) -> dict[str, Any]:
    """Two versions: what differs, what the numbers say, which pictures came."""
    older = TrainingVersion(pk=0, actor=newer.actor, number=3, name="V3", status=Status.COMPLETED)
    why = "V3 comes nearest to the training images: 91 % ± 3, against 60 % ± 3 of V4."
    return {
        "comparison": {"versions": [older, newer]},
        "facts": [Facts("Steps", ["1,500", "300"]), Facts("LoRA rank", ["16", "16"])],
        "score": VersionScore(value=91, low=88, high=94, pictures=4, bleed=3, bleed_pictures=2, **MEASURED),
        "suggestion": Suggestion(older, why),
        "shown": [Shown("01.png", None, ""), *(Shown(row.file_name, row, "") for row in covers()[:3])],
    }


def example_training() -> Picture:
    """A training that is half through."""
    now = timezone.now()
    times = {"starting": 120, "downloading": 110, "training": 100}
    version = TrainingVersion(
        pk=0,
        actor=Actor(pk=0, name="0000_example"),
        number=4,
        name="V4",
        status=Status.TRAINING,
        stage="training",
        step=120,
        max_train_steps=300,
        seconds_per_step=0.8,
        submitted_at=now - timedelta(seconds=130),
        started_at=now - timedelta(seconds=120),
        created_at=now - timedelta(seconds=130),
        base_model=EMBEDDED.key,
        class_tokens="0000_example",
        stages=[
            {"stage": stage, "started_at": (now - timedelta(seconds=seconds)).isoformat()}
            for stage, seconds in times.items()
        ],
        loss_history=[
            [step, 0.5 * math.exp(-step / 60) + 0.1 + 0.03 * math.sin(step * 1.7)] for step in range(1, 121)
        ],
    )
    picture = Picture(version)
    picture.samples = [
        SampleImage(version=version, step=step, prompt_index=index, prompt="an example", url=cover.url)
        for step in (0, 60)
        for index, cover in enumerate(covers()[:4])
    ]
    levels = ("info", "warning", "error")
    picture.console = [{"at": now, "level": level, "message": f"a line of level {level}"} for level in levels]
    return picture
