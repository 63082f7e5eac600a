"""A furnished studio: actors, trainings, previews and batches in every state they have, painted in seconds.

Two things use it: the test that walks every page, and the pictures that people look at.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group, User
from django.utils import timezone
from PIL import ImageFilter

from actors import ingest, studio_time, tasks
from actors.models import Actor, ImageUpload, LikenessRights
from actors.permissions import ensure_roles
from actors.tokens import make_token
from tests.factories import make_version
from tests.painted_studio import Studio, as_png
from tests.training.batch_steps import asked, begun, end_all, plan
from tests.training.previewing import PROMPT, make_drawable, ordered
from training import batch_launches, budgets, preview_reports, previews
from training.budget_models import BudgetEntry, BudgetRule
from training.job_report import JobReport, JobState
from training.models import (
    Checkpoint,
    ParameterDraft,
    Preset,
    Preview,
    PromptSet,
    Status,
    TrainingVersion,
    VersionScore,
)
from training.prompt_sets import PromptLine
from worker.portraits import paint, random_scene

OUT_OF_MEMORY = "The worker ran out of memory at step 41: choose a smaller batch size or a worker with more."
LONG_ERROR = (
    "The dataset could not be read: 3 of 15 images answered 403 (scan_04.png, scan_07.png, scan_11.png). "
    "Their links had expired before the worker began, because it waited in the queue for 26 hours. "
    "Nothing was trained and nothing is billed: try again, and the worker gets new links."
)
LONG_NAME = "Night of the second casting, everybody who still has no good version, twice if needed"


def losses(steps: int, lift: float = 0.0) -> list[list[float]]:
    """A loss as it looks: falling, with noise; a lift tells versions apart."""
    noise = random.Random(f"{steps} {lift}")
    return [
        [step, round(0.12 + lift + 0.6 * math.exp(-3 * step / steps) + noise.uniform(-0.05, 0.05), 4)]
        for step in range(1, steps + 1, max(1, steps // 80))
    ]


def furnish(by: User, *, pixels: int = 64, crowd: int = 12, trainings: int = 12) -> Studio:
    """Everything, in the name of ``by``. Pictures of more pixels are nicer to look at, and slower."""
    ensure_roles()
    make_token(by, "nightly export of everything to the archive", ["read", "train"])
    EmailAddress.objects.create(user=by, email=by.email, verified=True, primary=True)
    studio = Studio(pixels)
    add_main_actor(studio, by)
    add_others(studio, by)
    add_dataset(studio)
    people = [studio.add_actor(images=20 - number % 6) for number in range(crowd)]
    add_past(people[6:], by, trainings)
    add_batches(studio, people[:6], by)
    add_previews(studio, by)
    add_rights_and_budgets(studio, by)
    quick = Preset.objects.get(name="quick")
    quick.revise(replace(quick.current().rules(), steps=0.4), by=by, note="half of it was enough")
    PromptSet.objects.create(
        name="Night scenes", subject="drawn", lines=[{"prompt": PROMPT, "seed": 1}], description="Dark ones."
    )
    return studio


def add_main_actor(studio: Studio, by: User) -> None:
    """Versions that failed, are done, good, and training; with samples, scores and a console."""
    cast, versions, now = studio.cast, studio.versions, timezone.now()
    cast["main"] = main = studio.add_actor(images=24)
    made: dict[str, Any] = {"created_by": by, "max_train_steps": 400}
    early = {f"{verb}_at": now - timedelta(days=3) for verb in ("created", "started", "finished")}
    versions["failed"] = make_version(
        main, status=Status.FAILED, step=41, error=OUT_OF_MEMORY, loss_history=losses(41), **made, **early
    )
    for name, rank, score in (("done", 8, 61.0), ("good", 16, 88.0)):
        version = make_drawable(
            actor=main,
            network_dim=rank,
            step=400,
            loss_history=losses(400, 1 / rank),
            execution_ms=700_000,
            **made,
        )
        studio.add_samples(version, (0, 200, 400))
        numbers: dict[str, Any] = {
            "value": score,
            "low": score - 4,
            "high": score + 3,
            "pictures": 8,
            "bleed_pictures": 4,
        }
        bleed: dict[str, Any] = {
            "bleed": 9.0,
            "bleed_low": 4.0,
            "bleed_high": 14.0,
            "measured_on": "8 samples",
        }
        VersionScore.objects.create(version=version, scorer="faces 1", yardstick="a", **numbers, **bleed)
        versions[name] = version
    versions["good"].mark_good(by, "likeness holds in every prompt, and the clothes obey")
    versions["running"] = running = make_version(main, status=Status.QUEUED, **made)
    lines = [{"at": now.isoformat(), "level": "info", "message": f"step {n}"} for n in range(20, 241, 20)]
    running.mark_training(
        stage="training", step=240, loss_history=losses(240), seconds_per_step=0.9, log=lines
    )
    studio.add_samples(running, (0, 80, 160, 240))
    running.note("4 captions begin alike; the trigger token may take on what they share", level="warning")


def add_others(studio: Studio, by: User) -> None:
    """One actor for each state that the main one is not in."""
    cast, versions = studio.cast, studio.versions
    made: dict[str, Any] = {"created_by": by, "max_train_steps": 400}
    states: dict[str, tuple[Status, dict[str, Any]]] = {
        "queued": (Status.QUEUED, {}),
        "lost": (Status.SUBMITTING, {"submitted_at": timezone.now() - timedelta(hours=1)}),
        "cancelled": (Status.CANCELLED, {"step": 90, "loss_history": losses(90)}),
        "failed alone": (Status.FAILED, {"error": LONG_ERROR}),
    }
    for name, (status, fields) in states.items():
        cast[name] = studio.add_actor()
        versions[name] = make_version(cast[name], status=status, **made, **fields)
    cast["choose"] = studio.add_actor()
    for rank in (8, 16, 32):
        versions["choose"] = make_version(
            cast["choose"], network_dim=rank, loss_history=losses(400, 1 / rank), **made
        )
        studio.add_samples(versions["choose"], (0, 400))
    VersionScore.objects.create(
        version=versions["choose"],
        scorer="faces 1",
        reason="No samples show the actor alone: five of six hold no face.",
    )
    cast["flux"] = studio.add_actor()
    versions["flux"] = make_version(cast["flux"], base_model="black-forest-labs/FLUX.1-dev")
    versions["flux"].mark_good(by, "the best of five")
    cast["fit"], cast["none"] = studio.add_actor(), studio.add_actor(images=0)
    draft: dict[str, Any] = {
        "texts": {"max_train_steps": "900"},
        "preset": "balanced",
        "max_train_steps": 900,
    }
    ParameterDraft.objects.create(user=by, actor=cast["fit"], **draft)


def add_dataset(studio: Studio) -> None:
    """An actor whose images the inspection has much to say about, with refused and arriving files."""
    studio.cast["unfit"] = actor = studio.add_actor(images=0)
    face = studio.faces[actor.pk]
    files = [paint(random_scene(face, studio.rng), 520, 1) for _ in range(3)]
    twin = files[0].resize((500, 500))
    files += [twin, files[1].filter(ImageFilter.GaussianBlur(14)), files[2].resize((96, 96))]
    for number, image in enumerate(files):
        caption = f"portrait of {actor.name}, smiling, in a green shirt" if number else ""
        ingest.take_in(actor.dataset, BytesIO(as_png(image)), f"scan_{number:02d}.png", caption=caption)
    tasks.inspect(actor.dataset.pk)
    third = actor.dataset.images.all()[2]
    third.crop, third.notes = [0.1, 0.05, 0.8, 0.9], "From the second day"
    third.save()
    dataset = actor.dataset
    refused = dataset.uploads.create(file_name="a_very_long_name_of_a_scan_from_the_second_day_0007.tiff")
    refused.end(ImageUpload.State.REFUSED, "This is no JPEG, PNG, WebP, AVIF or HEIC picture.")
    dataset.uploads.create(file_name="holiday.zip", state=ImageUpload.State.WORKING)


def add_past(people: Sequence[Actor], by: User, trainings: int) -> None:
    """What the dashboard counts: a month of trainings."""
    colleague = User.objects.create_user("mara", first_name="Mara", last_name="Lindqvist")
    colleague.groups.add(Group.objects.get(name="Curator"))
    revisions = [Preset.objects.get(name=name).current() for name in ("quick", "balanced", "thorough")]
    kinds = [Status.COMPLETED] * 4 + [Status.FAILED, Status.CANCELLED]
    for number in range(trainings):
        status = kinds[(number * 5 + number // 3) % len(kinds)]  # evenly mixed, the same each time
        started = timezone.now() - timedelta(days=28 * number / trainings, hours=number % 7)
        took = timedelta(seconds=500 + 97 * (number % 9))
        version = make_version(
            people[number % len(people)],
            status=status,
            created_by=(by, colleague)[number % 2],
            created_at=started - timedelta(seconds=40),
            started_at=started,
            finished_at=started + took,
            execution_ms=int(took.total_seconds() * 1000),
            preset_revision=revisions[number % 3],
            error=OUT_OF_MEMORY if status == Status.FAILED else "",
        )
        if status == Status.COMPLETED and number < len(people):
            version.mark_good(colleague, "")


def add_batches(studio: Studio, people: list[Actor], by: User) -> None:
    """One that is planned, one that runs, one that has paused by itself, one that is done."""
    batches = studio.batches
    blocked = [studio.cast["none"], studio.cast["unfit"]]
    batches["done"] = begun(people[:1], by=by, name="Re-take of one")
    batch_launches.advance()
    end_all(batches["done"])
    batch_launches.advance()
    batches["failed"] = begun(people[1:4], by=by, name="First try on the new worker")
    for _ in range(3):
        batch_launches.advance()
        end_all(batches["failed"], Status.FAILED, error=OUT_OF_MEMORY)
    batch_launches.advance()
    settings = {"concurrency": 2, "ceiling": Decimal(30), "by": by}
    batches["running"] = begun(people[2:6], name="Evening of the casting", **settings)
    batch_launches.advance()
    active = TrainingVersion.objects.filter(batch_item__batch=batches["running"])
    active.update(status=Status.TRAINING, stage="training", step=130, started_at=timezone.now())
    batch_launches.advance()
    batches["planned"] = plan([*people, *blocked], name=LONG_NAME, **settings)
    batches["planning"] = asked(people, name="Only just asked for", **settings)


def add_previews(studio: Studio, by: User) -> None:
    """Of the good version, in every state."""
    version = studio.versions["good"]
    for step in (100, 200, 300):
        Checkpoint.objects.create(version=version, step=step, url="s3://local/loras/step.safetensors")
    standard = previews.order_standard_preview(version, with_base=True, automatic=True)
    studio.previews["standard"] = studio.add_pictures(standard)
    grid = previews.pictures(
        [PromptLine(PROMPT, 5)], strengths=(0, 0.4, 0.7, 1, 1.3), checkpoints=(100, 200, None)
    )
    studio.previews["grid"] = studio.add_pictures(ordered(version, *grid, title=PROMPT, by=by))
    failed = ordered(version, *grid[:4], title="A look that failed", by=by)
    failed.mark_submitted("job-failed")
    studio.add_pictures(failed, most=2)
    error = "Not enough memory: draw fewer pictures with fewer LoRAs, or use a worker with more of it."
    preview_reports.apply(failed, JobReport(id="job-failed", state=JobState.FAILED, error=error))
    ordered(version, *grid[:4], title="Another look", by=by).cancel()
    running = ordered(version, *grid, title="A look on its way", by=by)
    running.mark_submitted("job-running")
    studio.add_pictures(running, most=5)
    lost = ordered(version, *grid[:2], title="A look whose answer is lost", by=by)
    Preview.objects.filter(pk=lost.pk).update(
        status="claimed", submitted_at=timezone.now() - timedelta(hours=1)
    )
    studio.previews |= {"failed": failed, "running": running, "lost": lost}


def add_rights_and_budgets(studio: Studio, by: User) -> None:
    """Rights in every state, and a budget that nears its end."""
    ends = {"main": 300, "choose": 12, "fit": -3, "flux": None}
    for name, days in ends.items():
        last = None if days is None else studio_time.today() + timedelta(days=days)
        facts = {"basis": "consent", "reference": "Folder 7, page 3", "expires_on": last}
        LikenessRights.record(studio.cast[name], facts, by)
    BudgetRule.objects.create(dollars=Decimal(50), trainings=40)
    BudgetRule.objects.create(group=Group.objects.get(name="Curator"), dollars=Decimal(80))
    for number in range(3):
        budgets.reserve(by, BudgetEntry.Kind.TRAINING, 9000 + number, Decimal(10), f"000{number} V1")
    budgets.settle(BudgetEntry.Kind.TRAINING, 9000, Decimal("11.52"), ran=True)
    budgets.settle(BudgetEntry.Kind.TRAINING, 9001, Decimal(0), ran=False)
