"""``manage.py train_actor``: the main job from the shell."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from tests.factories import make_actor, make_version
from tests.runpod_simulator import Simulator
from training.management.commands import train_actor
from training.models import Status, TrainingVersion

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("train_actor", *arguments, stdout=out)
    return out.getvalue()


def test_it_waits_for_the_lora_and_says_where_it_lies(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_actor, "LOOK_SECONDS", 0.05)
    actor = make_actor()
    said = run(actor.name, "--set", "max_train_steps=30", "--wait")
    version = TrainingVersion.objects.get()
    assert (version.status, version.max_train_steps, version.lr_warmup_steps) == (Status.COMPLETED, 30, 6)
    assert version.lora_address in said
    assert simulator.accepted == 1


def test_a_failed_training_is_an_error_with_its_reason(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_actor, "LOOK_SECONDS", 0.05)
    simulator.faults.outcome = "FAILED"
    with pytest.raises(CommandError, match="V1 failed") as error:
        run(str(make_actor().pk), "--wait")
    assert error.value.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (["nobody"], "There is no actor 'nobody'", 1),
        (["{empty}"], "No training images", 1),
        (["{busy}"], "is training already", 1),
        (["{few}"], "10 is the floor", 1),
        (["{fit}", "--set", "max_train_steps"], "--set wants NAME=VALUE", 2),
        (["{fit}", "--set", "max_train_steps=1"], "Steps must be a whole number from 20", 1),
        (["{fit}", "--set", "stepz=100"], "stepz: there is no such parameter", 1),
    ],
)
def test_what_is_not_possible_is_one_line_and_creates_nothing(
    arguments: list[str], says: str, code: int
) -> None:
    names = {
        "empty": make_actor(images=0).name,
        "busy": make_version(status=Status.TRAINING).actor.name,
        "few": make_actor(images=3).name,
        "fit": make_actor().name,
    }
    before = TrainingVersion.objects.count()
    with pytest.raises(CommandError) as error:
        run(*(argument.format(**names) for argument in arguments))
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.returncode == code
    assert TrainingVersion.objects.count() == before


def test_a_reason_starts_a_training_on_a_dataset_that_is_not_fit() -> None:
    run(make_actor(images=3).name, "--override", "a first look")
    assert TrainingVersion.objects.get().override_reason.startswith("a first look")
