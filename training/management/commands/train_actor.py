"""``manage.py train_actor``: the main job from the shell."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from actors.models import Actor
from training import launch, tasks
from training.base_models import DEFAULT_PRESET
from training.models import Status, TrainingVersion
from training.parameters import ParameterErrors
from training.presets import recommend
from training.runpod import RunPodError

LOOK_SECONDS = 2


class Command(BaseCommand):
    """Starts a training and, with ``--wait``, shows it to its end."""

    help = "Train an actor (registry id or name). Exit code 1 when it can't start or fails, 3 when cancelled."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, with which parameters, and whether to stay."""
        parser.add_argument("actor", metavar="ACTOR", help="registry id or name")
        parser.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="max_train_steps=300 …"
        )
        parser.add_argument("--preset", default=DEFAULT_PRESET, help="its name, as on the page Presets")
        parser.add_argument(
            "--override",
            default="",
            metavar="REASON",
            help="start although the dataset is not fit; stays on the version",
        )
        parser.add_argument(
            "--by", default="", metavar="PERSON", help="whose training it is; it counts for their budget"
        )
        parser.add_argument("--wait", action="store_true", help="show the progress, end with the training")

    def handle(self, *, actor: str, preset: str, override: str, by: str, wait: bool, **options: Any) -> None:
        """Launches like the page does."""
        person = find_actor(actor)
        count = len(person.dataset.trainable_images()) if hasattr(person, "dataset") else 0
        try:
            values = self.parameters(person, count, preset, parse(options["set"]))
            version = launch.launch(
                person, values, by=find_person(by), override_reason=override, preset=preset
            )
        except (launch.CannotStart, ParameterErrors) as error:
            raise CommandError(str(error)) from error
        scope = f"{version.max_train_steps} steps on {version.image_count} images"
        self.stdout.write(f"{version.name} of {person.name} started: {scope}.")
        if wait:
            self.wait(version)

    def parameters(self, person: Actor, count: int, preset: str, chosen: dict[str, str]) -> dict[str, Any]:
        """The preset's values under the chosen ones; the warm-up follows the chosen steps."""
        recommended = recommend(count or 1, launch.studio_base(), preset, person.trigger_token)[0].to_dict()
        steps = chosen.get("max_train_steps", "")
        if steps.isdecimal():
            recommended["lr_warmup_steps"] = int(steps) * 20 // 100
        return {**recommended, **chosen}

    def wait(self, version: TrainingVersion) -> None:
        """Follows the version to its end. The task queue does the work; Ctrl-C only stops looking."""
        with tqdm(total=version.max_train_steps, unit="step", disable=None) as bar:
            try:
                while version.is_active:
                    time.sleep(LOOK_SECONDS)
                    look(version)
                    bar.set_description(version.stage or version.status)
                    bar.update(version.step - bar.n)
            except KeyboardInterrupt:
                raise CommandError("No longer watching; the training goes on.", returncode=130) from None
        if version.status == Status.COMPLETED:
            self.stdout.write(f"{version.name} completed: {version.lora_address}")
            return
        raise CommandError(
            f"{version.name} {version.status}: {version.error or 'by a person'}",
            returncode=3 if version.status == Status.CANCELLED else 1,
        )


def look(version: TrainingVersion) -> None:
    """Brings the row up to date even where no task queue runs."""
    version.refresh_from_db()
    try:
        if version.status == Status.PENDING:
            tasks.submit(version.pk)
        else:
            tasks.refresh(version.pk)
    except RunPodError:
        pass  # the sweep notes it, and the next look may succeed
    version.refresh_from_db()


def find_actor(text: str) -> Actor:
    """By registry id or name."""
    actors = Actor.objects.select_related("dataset")
    found = actors.filter(name=text).first()
    if found is None and text.isdecimal() and len(text) < 19:
        found = actors.filter(pk=int(text)).first()
    if found is None:
        raise CommandError(f"There is no actor {text!r}. Name a registry id or a name from actors.json.")
    return found


def find_person(name: str) -> User | None:
    """By the name they sign in with; nobody when none is given."""
    if not name:
        return None
    found = User.objects.filter(username=name, is_active=True).first()
    if found is None:
        raise CommandError(f"Nobody signs in as {name!r}. --by wants a username.", returncode=2)
    return found


def parse(settings: list[str]) -> dict[str, str]:
    """``["max_train_steps=300"]`` as a mapping; the values are checked by the launch."""
    wrong = next((setting for setting in settings if "=" not in setting), None)
    if wrong:
        raise CommandError(f"--set wants NAME=VALUE, not {wrong!r}.", returncode=2)
    return dict(setting.split("=", 1) for setting in settings)
