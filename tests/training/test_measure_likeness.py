"""``manage.py measure_likeness``, and scores in the admin."""

from __future__ import annotations

import io

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from actors.permissions import ensure_roles
from tests.factories import make_actor, make_version
from tests.training.score_steps import drawn_version, painted_actor
from training import scorers, scores
from training.models import Status, VersionScore

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("measure_likeness", *arguments, stdout=out)
    return out.getvalue()


def refused(*arguments: str) -> tuple[int, str]:
    """Exit code and the one line that says why."""
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert "\n" not in str(error.value)
    return error.value.returncode, str(error.value)


def test_an_actors_versions_are_measured_and_told_a_line_each() -> None:
    actor = painted_actor()
    drawn_version(actor)
    make_version(actor)
    make_version(actor, status=Status.FAILED)
    first, second = run(actor.number).splitlines()
    assert first.startswith(f"{actor.number} V1: ")
    assert "4 samples of step" in first
    assert second.startswith(f"{actor.number} V2: can't be measured. There are no samples")
    assert VersionScore.objects.filter(version__actor=actor).count() == 2


def test_only_the_versions_that_are_named_are_measured() -> None:
    actor = make_actor()
    make_version(actor), make_version(actor)
    assert len(run(actor.name, "V2").splitlines()) == 1
    assert VersionScore.objects.get().version.name == "V2"


def test_all_means_every_actor() -> None:
    make_version(), make_version()
    assert len(run("--all").splitlines()) == 2


def test_wrong_arguments_are_told_in_one_line() -> None:
    version = make_version()
    make_version(version.actor, status=Status.FAILED)
    number = version.actor.number
    assert refused() == (2, "Name an ACTOR, or give --all.")
    assert refused(number, "--all")[0] == 2
    assert refused("nobody")[0] == 1
    assert refused(number, "V9") == (1, f"{version.actor.name} has no version 'V9'. There are: V2, V1.")
    assert refused(number, "V2") == (1, "V2 is failed: only a completed version has a score.")
    assert refused(make_actor().name) == (1, "There is nothing to measure: no version has completed.")


def test_pictures_out_of_reach_make_it_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_version(painted_actor())

    def gone(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(scorers, "look", gone)
    assert refused("--all") == (1, "The pictures of 1 could not be reached. Try again later.")


# The admin


def member(role: str) -> Client:
    ensure_roles()
    user = User.objects.create_user(role.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_score_and_version_lead_to_each_other(admin_client: Client) -> None:
    version = make_version()
    score = scores.score_of(version)
    page = admin_client.get(reverse("admin:training_versionscore_change", args=[score.pk])).text
    there = reverse("admin:training_trainingversion_change", args=[version.pk])
    assert f'href="{there}"' in page
    assert f'href="{reverse("versions", args=[version.actor_id])}"' in page
    back = reverse("admin:training_versionscore_change", args=[score.pk])
    assert f'href="{back}"' in admin_client.get(there).text
    other = make_version()
    address = reverse("admin:training_trainingversion_change", args=[other.pk])
    assert "not measured" in admin_client.get(address).text


def test_a_score_keeps_its_address_when_it_is_measured_anew() -> None:
    version = drawn_version(painted_actor())
    before = scores.score_of(version)
    version.samples.filter(prompt_index=0).delete()
    after = scores.score_of(version)
    assert (after.pk, after.pictures) == (before.pk, before.pictures - 1)


def test_scores_are_only_looked_at(admin_client: Client) -> None:
    score = scores.score_of(make_version())
    page = reverse("admin:training_versionscore_change", args=[score.pk])
    assert admin_client.post(page, {"value": 99}).status_code == 403
    assert admin_client.get(reverse("admin:training_versionscore_add")).status_code == 403
    filtered = admin_client.get(reverse("admin:training_versionscore_changelist"), {"measured": "yes"})
    assert "0 version scores" in filtered.text


@pytest.mark.parametrize(
    ("model", "action"), [("versionscore", "measure_again"), ("trainingversion", "measure")]
)
@pytest.mark.django_db(transaction=True)
def test_curators_have_it_measured_again(model: str, action: str) -> None:
    version = make_version()
    score = scores.score_of(version)
    key = score.pk if model == "versionscore" else version.pk
    page = reverse(f"admin:training_{model}_changelist")
    chosen = {"action": action, "_selected_action": [key]}
    answer = member("Curator").post(page, chosen, follow=True)
    assert "measured" in answer.text
    assert OrmQ.objects.filter(payload__isnull=False).count() == 1
