"""Starting a training: what stands in the way, and the launch itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction
from django_q.tasks import async_task

from actors.models import Actor
from actors.permissions import can
from training import budgets, costs, readiness
from training.base_models import BaseModel, base_model
from training.budget_models import NOTHING
from training.estimates import Estimate, FinishedRun, estimate_seconds
from training.models import Status, TrainingVersion
from training.parameters import Parameters, validate
from training.presets import origin
from training.readiness import Check, Facts

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


class CannotStart(Exception):
    """A training can't start; ``checks`` say why and how to mend it. Nothing was created."""

    def __init__(self, checks: list[Check]) -> None:
        self.checks = checks
        super().__init__(" ".join(f"{check.fact} {check.reason}".strip() for check in checks))


def studio_base() -> BaseModel:
    """The base model that trainings of this site use."""
    return base_model(settings.BASE_MODEL)


def checks(actor: Actor, known: Facts | None = None) -> list[Check]:
    """Everything a start depends on, what blocks first. Six queries at most; none where facts are known."""
    return in_order(readiness.checks(actor, known or readiness.facts(actor)))


def in_order(found: list[Check]) -> list[Check]:
    """What blocks first."""
    return sorted(found, key=lambda check: ("error", "warning", "ok").index(check.level))


def obstacles(actor: Actor, known: Facts | None = None) -> list[Check]:
    """Only what makes a start impossible."""
    return [check for check in checks(actor, known) if check.level == "error"]


def launch(
    actor: Actor,
    values: Mapping[str, object],
    *,
    by: User | AnonymousUser | None = None,
    description: str = "",
    repeats: TrainingVersion | None = None,
    override_reason: str = "",
    preset: str = "",
) -> TrainingVersion:
    """Creates the next version and has it submitted once the transaction is through.

    With a reason it also starts on a dataset that is not fit, for whoever may curate.
    Raises ``CannotStart`` or ``ParameterErrors``; then nothing was created.
    """
    base = studio_base()
    parameters = validate({"class_tokens": actor.trigger_token, **values}, base)
    user = by if by is not None and by.is_authenticated else None
    try:
        with transaction.atomic():
            # The actor's row is the lock: of two clicks at once the second finds the first one's training.
            actor = Actor.objects.select_for_update().get(pk=actor.pk)
            may_override = bool(override_reason.strip()) and (by is None or can(by, "curate"))
            if blocking := [each for each in obstacles(actor) if not (each.can_override and may_override)]:
                raise CannotStart(blocking)
            version = _create(actor, parameters, base, user, description, repeats)
            _record_dataset(version, override_reason.strip() if may_override else "")
            _record_preset(version, parameters, base, preset)
            # Last, because all launches of a person wait for each other here.
            budgets.reserve_training(version, expected_cost(estimate_of(version)))
            transaction.on_commit(lambda: enqueue_submit(version))
    except budgets.OverBudget as over:
        raise CannotStart([budget_check(over)]) from over
    except IntegrityError as error:
        raise CannotStart([Check("error", "Another training of this actor has just started.")]) from error
    return version


def budget_checks(usage: budgets.Usage, cost: Decimal | None) -> list[Check]:
    """What the person's budget says about a training of this cost, before it is asked for."""
    try:
        usage.check(cost or NOTHING)
    except budgets.OverBudget as over:
        return [budget_check(over)]
    if usage.percent < budgets.WARN_AT[0]:
        return []
    fact = f"{usage.percent} % of your budget for {usage.month:%B} is used."
    return [Check("warning", fact, f"{usage.words}.", "budget")]


def budget_check(over: budgets.OverBudget) -> Check:
    """A refusal of the budget as a check."""
    return Check("error", over.fact, over.reason, "budget")


def _create(
    actor: Actor,
    parameters: Parameters,
    base: BaseModel,
    by: User | None,
    description: str,
    repeats: TrainingVersion | None,
) -> TrainingVersion:
    images = actor.dataset.trainable_images()
    version = TrainingVersion.objects.create(
        actor=actor,
        number=actor.next_version_number(),
        base_model=base.key,
        endpoint_id=settings.RUNPOD_ENDPOINT_ID,
        request_id=f"{actor.pk}_{time.time_ns() // 1_000_000}",
        image_count=len(images),
        images=[{"url": image.url, "caption": image.caption} for image in images],
        dataset_fingerprint=actor.dataset.fingerprint(),
        description=description,
        repeats=repeats,
        created_by=by,
        **parameters.to_dict(),
    )
    again = f" (again, as {repeats.name})" if repeats else ""
    version.events.create(kind=Status.PENDING, message=f"Started with {len(images)} images{again}", by=by)
    return version


def _record_dataset(version: TrainingVersion, override_reason: str) -> None:
    """Which revision it is trained on, and why although somebody or something objected."""
    dataset = version.actor.dataset
    reasons = [override_reason] if override_reason else []
    for image in dataset.trainable_images():
        for code, entry in image.accepted.items():
            if any(finding["code"] == code and finding["level"] == "error" for finding in image.findings):
                said = f" ({entry['by']})" if entry.get("by") else ""
                reasons.append(f"{image.file_name}, {code.replace('_', ' ')}: {entry['reason']}{said}")
    version.dataset_revision = dataset.revision()
    version.override_reason = "\n".join(reasons)
    version.save(update_fields=["dataset_revision", "override_reason"])
    if reasons:
        version.note(f"Started although the dataset is not fit: {'; '.join(reasons)}", level="warning")


def _record_preset(version: TrainingVersion, parameters: Parameters, base: BaseModel, chosen: str) -> None:
    """Which preset's revision the parameters come from; the same again keeps what the first one knew."""
    again = version.repeats
    if again and again.parameters() == version.parameters():
        version.preset_revision, version.preset_edited = again.preset_revision, again.preset_edited
    else:
        found = origin(parameters, version.image_count, base, chosen)
        version.preset_revision, version.preset_edited = found
    version.save(update_fields=["preset_revision", "preset_edited"])


def enqueue_submit(version: TrainingVersion) -> None:
    """Hands the version to the task queue; a lost task is found again by the sweep."""
    async_task("training.tasks.submit", version.pk, task_name=f"submit {version.pk}")


def retry(version: TrainingVersion, by: User | AnonymousUser | None = None) -> TrainingVersion:
    """A new version with the parameters of an ended one. Raises like ``launch``."""
    return launch(
        version.actor, version.parameters(), by=by, repeats=version, override_reason=version.override_reason
    )


def finished_runs(base: BaseModel) -> list[FinishedRun]:
    """The last finished trainings of this endpoint, to learn durations from."""
    rows = TrainingVersion.objects.filter(
        status=Status.COMPLETED,
        endpoint_id=settings.RUNPOD_ENDPOINT_ID,
        base_model=base.key,
        execution_ms__gt=0,
        max_train_steps__gt=0,
    ).order_by("-finished_at")
    return [
        FinishedRun(steps or 0, (milliseconds or 0) / 1000, min(batch or 1, images or 1))
        for steps, milliseconds, batch, images in rows.values_list(
            "max_train_steps", "execution_ms", "batch_size", "image_count"
        )[:50]
    ]


def estimate(parameters: Parameters, image_count: int) -> Estimate:
    """How long a training would take on this site's endpoint."""
    base = studio_base()
    return estimate_seconds(parameters, image_count, base, finished_runs(base))


def estimate_of(version: TrainingVersion) -> Estimate:
    """How long a version's training should take."""
    base = base_model(version.base_model)
    parameters = Parameters.from_dict(version.parameters())
    return estimate_seconds(parameters, version.image_count, base, finished_runs(base))


def expected_cost(length: Estimate) -> Decimal:
    """What a training of this length is billed; nothing where trainings are free."""
    bill = costs.bill_for(length.seconds)
    return bill.total if bill else NOTHING
