"""``manage.py train_batch``: many actors from the shell."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from tests.factories import make_actor, make_version
from tests.runpod_simulator import Simulator
from training.management.commands import train_batch
from training.models import Batch, Status, TrainingVersion

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("train_batch", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_batch, "LOOK_SECONDS", 0.05)


def test_it_waits_until_all_are_completed_without_a_task_queue(simulator: Simulator) -> None:
    actors = [make_actor() for _ in range(3)]
    person = User.objects.create_superuser("ines")
    words = [str(actors[0].pk), actors[1].name, actors[2].number]
    said = run(*words, "--set", "max_train_steps=30", "--concurrency", "2", "--by", "ines", "--wait")
    batch = Batch.objects.get()
    assert (batch.state, batch.concurrency, batch.created_by) == ("done", 2, person)
    assert "3 completed" in said
    assert simulator.accepted >= 3
    assert TrainingVersion.objects.filter(status=Status.COMPLETED, max_train_steps=30).count() == 3


def test_a_failed_training_makes_it_fail(simulator: Simulator) -> None:
    simulator.faults.outcome = "FAILED"
    with pytest.raises(CommandError, match="1 failed") as error:
        run(str(make_actor().pk), "--wait")
    assert error.value.returncode == 1


def test_a_batch_that_pauses_by_itself_ends_the_wait(simulator: Simulator, settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.01
    with pytest.raises(CommandError, match="The ceiling is reached") as error:
        run(str(make_actor().pk), "--budget", "0.05", "--wait")
    assert error.value.returncode == 3
    assert simulator.accepted == 0


def test_a_dry_run_prints_the_plan_and_writes_nothing(settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.001
    able, few = make_actor(), make_actor(images=3)
    said = run(str(able.pk), str(few.pk), "--preset", "quick", "--dry-run").splitlines()
    assert said[0].startswith(f"{able.number}  yes  150 steps on 15 images")
    assert said[1].startswith(f"{few.number}  no   Only 3 images")
    assert said[2].startswith("1 of 2 can start:")
    assert "$" in said[2]
    assert not Batch.objects.exists()


def test_who_is_fit_without_a_good_version_and_who_stands_in_a_file(tmp_path: Path) -> None:
    fit, listed = make_actor(), make_version().actor
    make_version().mark_good()
    file = tmp_path / "actors.csv"
    file.write_text(f"id;note\n{listed.pk};again\n")
    run("--csv", str(file), "--fit-without-good", "--name", "Night")
    batch = Batch.objects.get()
    assert [item.actor for item in batch.items.order_by("position")] == [listed, fit]
    assert (batch.name, batch.state) == ("Night", "running")


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        ([], "Name actors, --csv or --fit-without-good", 2),
        (["--fit-without-good"], "Nobody is fit", 1),
        (["nobody", "{fit}"], "No actor has the id or name: nobody", 1),
        (["--csv", "/nowhere.csv"], "/nowhere.csv can't be read", 1),
        (["{empty}"], "None of its actors can start. The plan says why, and what mends it. 1 × No train", 1),
        (["{fit}", "--preset", "best"], "The preset must be one of", 1),
        (["{fit}", "--set", "max_train_steps=1"], "Steps must be a whole number", 1),
        (["{fit}", "--set", "max_train_steps"], "--set wants NAME=VALUE", 2),
        (["{fit}", "--concurrency", "0"], "Between 1 and 200", 1),
        (["{fit}", "--budget", "5"], "A ceiling needs a price", 1),
        (["{fit}", "--budget", "much"], "--budget wants US dollars", 2),
        (["{fit}", "--by", "nobody"], "Nobody signs in as", 2),
    ],
)
def test_what_is_not_possible_is_one_line_and_launches_nothing(
    arguments: list[str], says: str, code: int
) -> None:
    names: dict[str, str] = {}
    if any("{" in argument for argument in arguments):
        names = {"fit": str(make_actor().pk), "empty": str(make_actor(images=0).pk)}
    with pytest.raises(CommandError) as error:
        run(*(argument.format(**names) for argument in arguments))
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.returncode == code
    assert not TrainingVersion.objects.exists()
    assert not Batch.objects.exists()
