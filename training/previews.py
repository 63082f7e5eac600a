"""Previews: what is drawn with a version, and the one place where a preview begins.

``order`` begins every preview: by a person, the API, a batch, or a version's completion. Checks of rights and
budgets belong there, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction
from django_q.tasks import async_task

from actors import storage
from actors.rights import flaw_of
from training import budgets, costs
from training.base_models import EMBEDDED
from training.budget_models import NOTHING
from training.models import Preview, PreviewImage, PreviewSettings, PromptSet, Status, TrainingVersion
from training.prompt_sets import PROMPT_LONGEST, SEED_MOST, TRIGGER, PromptLine

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    from training.preview_models import PreviewImageQuerySet

STRENGTH_MOST = 2.0
STEPS_MOST = 100
#: Pictures of one prompt and strength, by seeds one after the other.
COUNT_MOST = 8
#: Pictures of one job.
IMAGES_MOST = 96
#: What the worker takes.
WORKER_PROMPT_LONGEST = 2000
#: What the base models draw well in: FLUX's own recommendation, and what the embedded base was tuned with.
STEPS, STEPS_EMBEDDED = 28, 24
#: Loading the base and drawing one picture, generously; for time limits and reservations.
LOAD_SECONDS, LOAD_SECONDS_EMBEDDED = 120.0, 10.0
SECONDS_PER_STEP, SECONDS_PER_STEP_EMBEDDED = 0.5, 0.01


class CannotPreview(Exception):
    """It can't be drawn; the message says why and what to do. Nothing was created."""


@dataclass(frozen=True)
class Wanted:
    """One picture. ``{trigger}`` in its prompt becomes the version's trigger token."""

    prompt: str
    seed: int
    strength: float = 1.0
    steps: int | None = None
    #: The training step of a kept checkpoint; None is the finished LoRA.
    checkpoint_step: int | None = None


def pictures(
    lines: Iterable[PromptLine],
    *,
    strengths: Sequence[float] = (1.0,),
    checkpoints: Sequence[int | None] = (None,),
    count: int = 1,
    steps: int | None = None,
) -> list[Wanted]:
    """Every line at every strength and checkpoint. The base alone is the same for all checkpoints: once."""
    return [
        Wanted(line.prompt, (line.seed + number) % (SEED_MOST + 1), strength, steps, checkpoint)
        for line in lines
        for number in range(count)
        for strength in dict.fromkeys(strengths)
        for checkpoint in (dict.fromkeys(checkpoints) if strength else (None,))
    ]


def order(
    version: TrainingVersion,
    wanted: Sequence[Wanted],
    *,
    title: str,
    by: User | AnonymousUser | None = None,
    prompt_set: PromptSet | None = None,
    automatic: bool = False,
) -> Preview:
    """Begins a preview: it is submitted once the transaction is through. Raises ``CannotPreview``."""
    checkpoints = dict(version.checkpoints.values_list("step", "url"))
    check(version, wanted, checkpoints)
    try:
        with transaction.atomic():
            preview = Preview.objects.create(
                version=version,
                prompt_set=prompt_set,
                title=title[:200],
                automatic=automatic,
                endpoint_id=settings.RUNPOD_ENDPOINT_ID,
                created_by=by if by is not None and by.is_authenticated else None,
            )
            PreviewImage.objects.bulk_create(
                _image(preview, position, picture) for position, picture in enumerate(wanted)
            )
            # Last, because all starts of a person wait for each other here.
            budgets.reserve_preview(preview, expected_cost(preview))
            transaction.on_commit(lambda: enqueue_submit(preview))
    except budgets.OverBudget as over:
        raise CannotPreview(str(over)) from over
    except IntegrityError as error:
        raise CannotPreview(f"{version.name} has its automatic preview already.") from error
    return preview


def order_standard_preview(
    version: TrainingVersion,
    *,
    by: User | AnonymousUser | None = None,
    with_base: bool = False,
    automatic: bool = False,
) -> Preview:
    """Draws the standard set, also with the base alone when asked. Raises ``CannotPreview``."""
    standard = PromptSet.standard(version.base_model)
    if standard is None:
        raise CannotPreview("There is no standard prompt set for this base model: mark one as the standard.")
    wanted = pictures(standard.prompt_lines(), strengths=(0.0, 1.0) if with_base else (1.0,))
    return order(version, wanted, title=standard.name, by=by, prompt_set=standard, automatic=automatic)


def order_again(preview: Preview, by: User | AnonymousUser) -> Preview:
    """The same pictures once more, in a preview of its own. Raises ``CannotPreview``."""
    wanted = [
        Wanted(image.prompt, image.seed, image.strength, image.steps, image.checkpoint_step)
        for image in preview.images.all()
    ]
    return order(preview.version, wanted, title=preview.title, by=by, prompt_set=preview.prompt_set)


def order_automatic_preview(version: TrainingVersion) -> Preview | None:
    """Called in the transaction that completes a version: its preview is ordered with it, or not at all."""
    rules = PreviewSettings.current()
    if not rules.automatic or not is_reachable(version) or version.previews.filter(automatic=True).exists():
        return None
    try:
        return order_standard_preview(
            version, by=version.created_by, with_base=rules.with_base, automatic=True
        )
    except CannotPreview as error:
        version.note(f"No preview was drawn: {error}", level="warning")
        return None


def check(version: TrainingVersion, wanted: Sequence[Wanted], checkpoints: dict[int, str]) -> None:
    """Raises ``CannotPreview`` with the first thing that stands in the way."""
    if version.status != Status.COMPLETED or not version.lora_url:
        raise CannotPreview(f"{version.name} is {version.wire_status}: only a finished LoRA can draw.")
    if (flaw := flaw_of(version.actor)) and flaw.stops:
        raise CannotPreview(f"{flaw.fact} {flaw.reason}")
    if not is_reachable(version):
        raise CannotPreview(f"The LoRA of {version.name} lies where this site has no access: copy it here.")
    if not wanted:
        raise CannotPreview("There is nothing to draw: give at least one prompt.")
    if len(wanted) > IMAGES_MOST:
        raise CannotPreview(f"{len(wanted)} pictures are too many for one preview: at most {IMAGES_MOST}.")
    for picture in wanted:
        if problem := _problem(picture, checkpoints) or _trigger_problem(picture, version):
            raise CannotPreview(problem)


def is_reachable(version: TrainingVersion) -> bool:
    """Whether this site can hand its LoRA to a worker."""
    return bool(storage.download_link(version.lora_url, settings.JOB_LINK_SECONDS))


def _problem(picture: Wanted, checkpoints: dict[int, str]) -> str:
    if not picture.prompt.strip() or len(picture.prompt) > PROMPT_LONGEST:
        return f"A prompt has 1 to {PROMPT_LONGEST} characters."
    if not 0 <= picture.seed <= SEED_MOST:
        return f"A seed is a whole number from 0 to {SEED_MOST}."
    if not (math.isfinite(picture.strength) and 0 <= picture.strength <= STRENGTH_MOST):
        return f"A strength lies between 0 (the base alone) and {STRENGTH_MOST:g}."
    if picture.steps is not None and not 1 <= picture.steps <= STEPS_MOST:
        return f"A picture is drawn in 1 to {STEPS_MOST} steps."
    if picture.checkpoint_step is not None and picture.checkpoint_step not in checkpoints:
        return f"No checkpoint of step {picture.checkpoint_step} was kept."
    return ""


def _trigger_problem(picture: Wanted, version: TrainingVersion) -> str:
    if TRIGGER in picture.prompt and not version.class_tokens:
        return f"{version.name} has no trigger token: write the prompt without {TRIGGER}."
    if len(picture.prompt.replace(TRIGGER, version.class_tokens)) > WORKER_PROMPT_LONGEST:
        return f"With the trigger token in it a prompt is longer than {WORKER_PROMPT_LONGEST} characters."
    return ""


def _image(preview: Preview, position: int, picture: Wanted) -> PreviewImage:
    version = preview.version
    prompt = " ".join(picture.prompt.replace(TRIGGER, version.class_tokens).split())
    return PreviewImage(
        preview=preview,
        position=position,
        prompt=prompt,
        with_trigger=bool(version.class_tokens) and version.class_tokens.casefold() in prompt.casefold(),
        seed=picture.seed,
        strength=picture.strength,
        steps=picture.steps or default_steps(version.base_model),
        checkpoint_step=picture.checkpoint_step,
    )


def default_steps(base_model: str) -> int:
    """In how many steps a base draws when nobody says otherwise."""
    return STEPS_EMBEDDED if base_model == EMBEDDED.key else STEPS


def estimate_seconds(preview: Preview) -> float:
    """How long its job takes, generously."""
    steps = sum(image.steps for image in preview.images.all())
    if preview.version.base_model == EMBEDDED.key:
        return LOAD_SECONDS_EMBEDDED + SECONDS_PER_STEP_EMBEDDED * steps
    return LOAD_SECONDS + SECONDS_PER_STEP * steps


def expected_cost(preview: Preview) -> Decimal:
    """What its job is billed at most; nothing where drawing is free."""
    bill = costs.bill_for(estimate_seconds(preview))
    return bill.total if bill else NOTHING


def images_of(
    version: TrainingVersion, *, with_trigger: bool | None = None, strength: float | None = None
) -> PreviewImageQuerySet:
    """Pictures of the finished LoRA that lie in the store: with or without the trigger, at a strength."""
    images = PreviewImage.objects.drawn().filter(preview__version=version, checkpoint_step=None)
    if with_trigger is not None:
        images = images.filter(with_trigger=with_trigger)
    return images if strength is None else images.filter(strength=strength)


def enqueue_submit(preview: Preview) -> None:
    """Hands it to the task queue; a lost task is found again by the sweep."""
    async_task("training.preview_tasks.submit", preview.pk, task_name=f"preview {preview.pk}")


def remove(preview: Preview) -> None:
    """Deletes it with its pictures and stops its job."""
    keys = [preview.image_key(position) for position in preview.images.values_list("position", flat=True)]
    with transaction.atomic():
        preview.delete()
        transaction.on_commit(lambda: async_task("training.preview_tasks.delete_files", keys))
