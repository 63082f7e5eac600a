"""The training app."""

from contextlib import suppress

from django.apps import AppConfig
from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.db.models.signals import post_migrate


class TrainingConfig(AppConfig):
    """How a dataset becomes a validated LoRA."""

    name = "training"

    def ready(self) -> None:
        """The sweep is scheduled whenever the tables are there."""
        from django_q.signals import post_spawn  # needs the apps

        post_migrate.connect(_ensure_schedule, sender=self)
        # The last app's turn: by then every permission exists.
        post_migrate.connect(_ensure_roles, sender=self)
        post_migrate.connect(_watch_versions, sender=self)
        post_migrate.connect(_ensure_presets, sender=self)
        post_migrate.connect(_ensure_standard_sets, sender=self)
        post_spawn.connect(_start_sweeping)


def _ensure_schedule(**_: object) -> None:
    from actors import following
    from training import budget_check, outbox, scores, tasks

    following.ensure_schedule()
    tasks.ensure_schedule()
    outbox.ensure_schedule()
    scores.ensure_schedule()
    budget_check.ensure_schedule()


def _ensure_standard_sets(**_: object) -> None:
    from training.prompt_sets import ensure_standard_sets

    ensure_standard_sets()


def _start_sweeping(**_: object) -> None:
    from training.tasks import start_sweeping

    start_sweeping()


def _watch_versions(**kwargs: object) -> None:
    from actors.snapshot_triggers import Watched, install
    from training import standing_rows

    if "plan" in kwargs:  # a test's flush keeps the triggers
        # The registry shows good versions only; others change every few seconds while they train.
        install(Watched("training_trainingversion", "SELECT {row}.actor_id WHERE {row}.is_good"))
        install(*standing_rows.WATCHED)


def _ensure_presets(apps: Apps = all_apps, **_: object) -> None:  # a flush sends no apps
    from training.preset_models import Preset

    with suppress(LookupError):  # on the way back to before there were presets
        apps.get_model("training", "PresetRevision")
        Preset.objects.ensure_built_in()


def _ensure_roles(**_: object) -> None:
    from actors.permissions import ensure_roles

    ensure_roles()
