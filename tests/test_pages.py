"""Every page: who may see it, what it needs of the database, and that it works without a script."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from actors.permissions import ensure_roles
from tests.factories import make_actor, make_version
from training.models import SampleImage, Status, TrainingVersion
from training.standing import STATES

pytestmark = pytest.mark.django_db
SignIn = Callable[[str], Client]


@pytest.fixture
def sign_in(db: None) -> SignIn:
    """A browser of somebody with one of the four roles, or with none."""
    ensure_roles()

    def client(role: str) -> Client:
        person = User.objects.create_user(role or "nobody", password="x")
        if role:
            person.groups.add(Group.objects.get(name=role))
        visitor = Client()
        visitor.force_login(person)
        return visitor

    return client


def every_page() -> list[str]:
    version = make_version(status=Status.TRAINING)
    actor = [version.actor_id]
    names = ["actor", "dataset", "versions", "history", "payload", "use", "compare"]
    pages = [reverse(name, args=actor) for name in names]
    return [*pages, reverse("library"), reverse("activity"), version.get_absolute_url()]


def test_every_page_opens_for_a_viewer(sign_in: SignIn) -> None:
    viewer, pages = sign_in("Viewer"), every_page()
    assert {page: viewer.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)


def test_a_stranger_is_sent_to_sign_in_and_comes_back(client: Client) -> None:
    for page in every_page():
        answer = client.get(page)
        assert answer.status_code == 302
        assert f"next={page}" in answer["Location"]


def test_a_person_without_a_role_sees_nothing(sign_in: SignIn) -> None:
    nobody = sign_in("")
    assert {nobody.get(page).status_code for page in every_page()} == {403}


ACTIONS = {
    "cancel": "Trainer",
    "check-status": "Trainer",
    "retry": "Trainer",
    "mark-good": "Curator",
    "unmark-good": "Curator",
}
BELOW = {"Trainer": "Viewer", "Curator": "Trainer"}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_needs_its_role_and_a_post(sign_in: SignIn, action: str) -> None:
    version = make_version(status=Status.COMPLETED)
    address = reverse(action, args=[version.pk])
    role = ACTIONS[action]
    assert sign_in(BELOW[role]).post(address).status_code == 403
    allowed = sign_in(role)
    assert allowed.get(address).status_code == 405
    assert allowed.post(address).status_code == 302


def test_starting_needs_the_role_trainer_and_a_post(sign_in: SignIn) -> None:
    address = reverse("start", args=[make_actor().pk])
    assert sign_in("Viewer").post(address).status_code == 403
    assert sign_in("Trainer").get(address).status_code == 405
    assert not TrainingVersion.objects.exists()


def test_what_does_not_exist_is_a_404_page_of_ours(admin_client: Client) -> None:
    for page in ("/actors/999/", "/actors/999/dataset", "/trainings/999/", "/nowhere"):
        answer = admin_client.get(page)
        assert answer.status_code == 404
        assert "There is no such page" in answer.text


@pytest.mark.parametrize("name", ["library", "activity"])
def test_lists_take_as_many_queries_for_60_actors_as_for_30(admin_client: Client, name: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(reverse(name)).status_code == 200
        return len(captured)

    def add(count: int) -> None:
        for number in range(count):
            states = (Status.COMPLETED, Status.FAILED, Status.TRAINING)
            make_version(make_actor(images=3), status=states[number % 3])

    add(30)
    queries()
    thirty = queries()
    add(30)
    queries()  # the library writes down where new actors stand, once
    assert queries() == thirty


@pytest.mark.parametrize("name", ["actor", "versions", "history", "dataset", "use"])
def test_an_actors_pages_take_as_many_queries_for_ten_versions_as_for_two(
    admin_client: Client, name: str
) -> None:
    actor = make_actor()

    def add(count: int) -> None:
        for _ in range(count):
            version = make_version(actor)
            version.note("Looked at")
            SampleImage.objects.create(
                version=version, step=0, prompt_index=0, url="s3://local/samples/0.png"
            )

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(reverse(name, args=[actor.pk])).status_code == 200
        return len(captured)

    add(2)
    queries()
    two = queries()
    add(8)
    assert queries() == two


def test_a_training_and_a_comparison_take_as_many_queries_for_fifty_samples_as_for_five(
    admin_client: Client,
) -> None:
    first = make_version()
    second = make_version(first.actor)
    pages = [
        first.get_absolute_url(),
        reverse("compare", args=[first.actor_id]) + f"?v={first.number}&v={second.number}",
    ]

    def add(steps: range) -> None:
        for version in (first, second):
            for step in steps:
                version.note("Looked at")
                SampleImage.objects.create(version=version, step=step, prompt_index=0, url="s3://local/0.png")

    def queries() -> list[int]:
        counts = []
        for page in pages:
            with CaptureQueriesContext(connection) as captured:
                assert admin_client.get(page).status_code == 200
            counts.append(len(captured))
        return counts

    add(range(5))
    queries()
    five = queries()
    add(range(5, 50))
    assert queries() == five


def test_a_poll_that_finds_nothing_new_takes_three_queries(admin_client: Client) -> None:
    version = make_version(status=Status.TRAINING, step=7, stage="training")
    address = re.search(r'hx-get="([^"]+seen=[^"]+)"', admin_client.get(version.get_absolute_url()).text)
    assert address
    with CaptureQueriesContext(connection) as captured:
        answer = admin_client.get(address[1].replace("&amp;", "&"), headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert len(captured) == 3  # session, person, and one small row


def test_the_theme_is_chosen_without_a_script_and_never_leads_elsewhere(client: Client) -> None:
    answer = client.post("/theme", {"theme": "dark", "next": "//evil.example"})
    assert answer["Location"] == "/"
    login = client.get(answer["Location"], follow=True)
    assert 'data-theme="dark"' in login.text
    client.post("/theme", {"theme": '"><script>'})
    assert 'data-theme="dark"' in client.get("/", follow=True).text


def test_times_are_in_the_visitors_zone(admin_client: Client) -> None:
    admin_client.cookies["tz"] = "Asia/Tokyo"
    assert "Times are in Asia/Tokyo" in admin_client.get(reverse("library")).text
    admin_client.cookies["tz"] = "../etc/passwd"
    assert "Times are in UTC" in admin_client.get(reverse("library")).text


def test_pages_carry_no_inline_script_or_style(admin_client: Client) -> None:
    for page in every_page():
        text = admin_client.get(page).text
        assert "style=" not in text
        assert "<style" not in text
        assert "<script>" not in text
        assert "onclick" not in text


def test_the_styleguide_shows_every_state_to_who_may_curate(sign_in: SignIn) -> None:
    for images in (12, 0):
        make_actor(images=images)
    address = reverse("styleguide")
    text = sign_in("Curator").get(address).text
    assert sign_in("Trainer").get(address).status_code == 403
    for state in STATES:
        assert f'data-state="{state}"' in text
    for piece in "param checks rail samples chart console toast banner void posters".split():
        assert f'class="{piece}' in text, piece
    assert not TrainingVersion.objects.exists()
