"""The compare page: what differs and nothing else, and samples only where they compare."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from actors.models import Actor
from actors.permissions import ensure_roles
from tests.factories import make_actor, make_version
from training.comparing import Comparison
from training.models import SampleImage, TrainingVersion

pytestmark = pytest.mark.django_db


def sample(version: TrainingVersion, step: int, index: int = 0, **fields: object) -> SampleImage:
    prompt = version.sample_prompts()[index]
    values = {"prompt": prompt.prompt, "seed": prompt.seed, "url": f"s3://local/{version.pk}/{step}.png"}
    return SampleImage.objects.create(version=version, step=step, prompt_index=index, **values | fields)


def page(client: Client, actor: Actor, query: str) -> str:
    answer = client.get(reverse("compare", args=[actor.pk]) + query)
    assert answer.status_code == 200
    return answer.text


def test_only_what_differs_stands_in_the_table(admin_client: Client) -> None:
    first = make_version()
    make_version(first.actor, max_train_steps=900, image_count=22)
    text = page(admin_client, first.actor, "?v=1&v=2")
    table = re.search(r"<tbody>.*?</tbody>", text, flags=re.DOTALL)
    assert table
    assert re.findall(r'<th scope="row">([^<]+)', table[0]) == ["Steps", "Images"]
    assert "V1 against V2" in text
    assert "The 12 that are the same" in text


def test_samples_pair_by_prompt_and_seed_and_never_otherwise() -> None:
    first = make_version(max_train_steps=400)
    second = make_version(first.actor, class_tokens="another_token", max_train_steps=200)
    for version, step in ((first, 400), (second, 200)):
        sample(version, step, 0)
        sample(version, step, 1, seed=1001 if version == first else 7)
    last = Comparison([first, second]).part("")
    assert last
    assert last.label == "100 %"
    frames = [(pair.seed, [bool(frame.sample) for frame in pair.frames]) for pair in last.pairs]
    assert frames == [(1000, [True, True]), (1001, [True, False]), (7, [False, True])]


def test_steps_are_links_that_work_without_a_script(admin_client: Client) -> None:
    first = make_version(max_train_steps=400)
    second = make_version(first.actor, max_train_steps=400)
    for version in (first, second):
        for step in (0, 80, 400):
            sample(version, step)
    text = page(admin_client, first.actor, "?v=1&v=2&part=20")
    assert re.findall(r"<a [^>]*data-part=\"(\d+)\"[^>]*>([^<]+)", text) == [
        ("0", "Base"),
        ("20", "80"),
        ("100", "400"),
    ]
    shown = re.findall(r'<div class="pairs" data-part="(\d+)" data-gallery>', text)
    assert shown == ["20"]


def test_datasets_differ_by_what_came_went_and_was_captioned_anew(admin_client: Client) -> None:
    def image(name: str, caption: str = "c") -> dict[str, str]:
        return {"url": f"s3://local/{name}", "caption": caption}

    first = make_version(images=[image("a.png"), image("b.png"), image("c.png", "old")])
    second = make_version(
        first.actor, images=[image("a.png"), image("c.png", "<new>"), image("d.png"), image("e.png")]
    )
    (change,) = Comparison([first, second]).dataset_changes
    assert [shown.name for shown in change.added] == ["d.png", "e.png"]
    assert [shown.name for shown in change.removed] == ["b.png"]
    assert [(shown.before, shown.caption) for shown in change.recaptioned] == [("old", "<new>")]
    assert change.same == 1
    assert "&lt;new&gt;" in page(admin_client, first.actor, "?v=1&v=2")


def test_losses_lie_over_each_other(admin_client: Client) -> None:
    first = make_version(loss_history=[[1, 0.9], [400, 0.4]])
    make_version(first.actor, loss_history=[[1, 0.8], [400, 0.2]])
    text = page(admin_client, first.actor, "?v=1&v=2")
    assert 'class="old old-1"' in text
    assert 'class="line"' in text


@pytest.mark.parametrize("query", ["", "?v=1", "?v=1&v=9", "?v=x&v=%00", "?v=1&v=1"])
def test_fewer_than_two_versions_is_a_question_not_an_error(admin_client: Client, query: str) -> None:
    assert "Choose two to four versions" in page(admin_client, make_version().actor, query)


def test_more_than_four_are_cut_and_it_says_so(admin_client: Client) -> None:
    actor = make_actor()
    for _ in range(6):
        make_version(actor)
    text = page(admin_client, actor, "?v=1&v=2&v=3&v=4&v=5&v=6")
    assert "V1 against V2, V3 and V4" in text
    assert "V5, V6 left out" in text


def undone_at(client: Client, text: str) -> str:
    """Presses Undo; the page on which that ends."""
    form = re.search(r'<form method="post" action="([^"]+)">((?:(?!</form>).)*)>Undo', text)
    assert form
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[2]))
    answer = client.post(form[1], {name: html.unescape(value) for name, value in fields.items()}, follow=True)
    return str(answer.redirect_chain[-1][0])


def test_a_version_is_marked_good_from_here_with_a_reason(admin_client: Client) -> None:
    first = make_version()
    second = make_version(first.actor)
    here = reverse("compare", args=[first.actor_id]) + "?v=1&v=2"
    assert "Mark V2 good" in admin_client.get(here).text
    answer = admin_client.post(
        reverse("mark-good", args=[second.pk]), {"reason": "the scar holds", "next": here}, follow=True
    )
    assert answer.redirect_chain[-1][0] == here
    second.refresh_from_db()
    assert second.good_reason == "the scar holds"
    assert undone_at(admin_client, answer.text) == here
    elsewhere = {"next": "https://evil.example/"}
    answer = admin_client.post(reverse("mark-good", args=[first.pk]), elsewhere)
    assert answer["Location"] == first.get_absolute_url()


def test_who_may_not_judge_gets_no_buttons(client: Client) -> None:
    ensure_roles()
    viewer = User.objects.create_user("viewer")
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(viewer)
    first = make_version()
    make_version(first.actor)
    assert "Mark V" not in page(client, first.actor, "?v=1&v=2")


def test_four_versions_take_as_many_queries_as_two(admin_client: Client) -> None:
    actor = make_actor()
    for _ in range(4):
        version = make_version(actor, loss_history=[[1, 0.5]])
        for step in (0, 80, 160):
            sample(version, step)

    def queries(query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            page(admin_client, actor, query)
        return len(captured)

    queries("?v=1&v=2")
    assert queries("?v=1&v=2") == queries("?v=1&v=2&v=3&v=4") < 30


def test_the_next_step_leads_to_the_comparison_of_what_is_undecided(admin_client: Client) -> None:
    good = make_version()
    good.mark_good()
    newer = make_version(good.actor)
    TrainingVersion.objects.filter(pk=newer.pk).update(finished_at="2099-01-01T00:00:00Z")
    text = admin_client.get(reverse("versions", args=[good.actor_id])).text
    assert f"{reverse('compare', args=[good.actor_id])}?v=1&amp;v=2" in text


def test_the_header_names_up_to_three_versions_to_judge_and_the_list_marks_them(admin_client: Client) -> None:
    actor = make_actor()
    for said in ("V1 to judge", "V1 and V2 to judge", "V1, V2 and V3 to judge", "4 versions to judge"):
        make_version(actor)
        text = admin_client.get(reverse("versions", args=[actor.pk])).text
        assert said in text
    assert text.count("To judge") == 4
