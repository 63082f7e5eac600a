"""The library: order, filters with counts, search, pages, and what its posters say."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from actors import edits
from actors.models import Actor, TrainingImage
from tests.factories import make_actor, make_version
from tests.training.pages import HTMX
from training.models import Status, TrainingVersion, VersionScore

pytestmark = pytest.mark.django_db


def posters(text: str) -> list[str]:
    return re.findall(r'<span class="no">(\d+)</span>', text)


def posters_of(client: Client) -> str:
    found = re.search(r'<ul class="posters".*?</ul>', client.get(reverse("library")).text, flags=re.DOTALL)
    assert found
    return found[0]


def counts(text: str, group: str) -> dict[str, int]:
    pattern = rf'name="{group}" value="([^"]*)".*?<span class="n">(\d+)</span>'
    return {value: int(count) for value, count in re.findall(pattern, text, flags=re.DOTALL)}


def test_people_who_need_somebody_come_first(admin_client: Client) -> None:
    fit, failed, good, choose = (
        make_actor(),
        *(
            make_version(status=status).actor
            for status in (Status.FAILED, Status.COMPLETED, Status.COMPLETED)
        ),
    )
    TrainingVersion.objects.get(actor=good).mark_good()
    none = make_actor(images=0)
    text = admin_client.get(reverse("library")).text
    assert posters(text) == [actor.number for actor in (choose, failed, none, fit, good)]


def test_within_a_group_or_between_groups_and(admin_client: Client) -> None:
    for sex, ethnicity in (("male", "asian"), ("female", "asian"), ("female", "nordic"), ("", "black")):
        make_actor(sex=sex, ethnicity=ethnicity)
    address = reverse("library")
    both = admin_client.get(address, {"ethnicity": ["asian", "nordic"]}).text
    assert len(posters(both)) == 3
    women = admin_client.get(address, {"ethnicity": ["asian", "nordic"], "sex": "female"}).text
    assert len(posters(women)) == 2
    # A group's counts leave its own choices out: they say what a further choice would add.
    assert counts(women, "ethnicity") == {"asian": 1, "black": 0, "nordic": 1}
    assert counts(women, "sex") == {"": 0, "female": 2, "male": 1}


def test_ages_and_states_filter_too(admin_client: Client) -> None:
    young, old = make_actor(age=22), make_actor(age=71, images=0)
    make_actor(age=None)
    address = reverse("library")
    assert posters(admin_client.get(address, {"age": "-39"}).text) == [young.number]
    assert posters(admin_client.get(address, {"age": ["60-", "-39"], "state": "none"}).text) == [old.number]
    assert counts(admin_client.get(address).text, "age") == {"-39": 1, "40-59": 0, "60-": 1, "?": 1}


def test_a_search_finds_words_and_numbers_and_nothing_breaks_it(admin_client: Client) -> None:
    actor = make_actor(description="purple mohawk")
    numbered = make_actor(id=4711)
    address = reverse("library")
    assert posters(admin_client.get(address, {"q": "mohawk"}).text) == [actor.number]
    assert posters(admin_client.get(address, {"q": "4711"}).text) == [numbered.number]
    assert posters(admin_client.get(address, {"q": "4711 mohawk"}).text) == []
    for words in ("%", "\x00", "9" * 40, "<script>", "' OR 1=1"):
        answer = admin_client.get(address, {"q": words, "page": "x", "sort": "?", "view": "?", "state": "?"})
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text


def test_pages_are_numbered_and_more_can_be_shown_below(admin_client: Client) -> None:
    Actor.objects.bulk_create(Actor(name=f"a{number}", position=number) for number in range(80))
    address = reverse("library")
    first = admin_client.get(address).text
    assert len(posters(first)) == 36
    assert "?page=3" in first
    assert len(posters(admin_client.get(address, {"page": 3}).text)) == 8
    more = admin_client.get(address, {"page": 2}, headers=HTMX | {"HX-Target": "more"}).text
    assert "<html" not in more
    assert len(posters(more)) == 36
    assert 'hx-swap-oob="beforeend:#sheet"' in more


def test_a_filter_by_htmx_answers_results_and_counts_only(admin_client: Client) -> None:
    make_actor()
    answer = admin_client.get(reverse("library"), {"sex": "female"}, headers=HTMX | {"HX-Target": "results"})
    assert "<html" not in answer.text
    assert 'id="facets" hx-swap-oob="true"' in answer.text


def test_the_address_of_a_filter_holds_only_what_was_chosen(admin_client: Client) -> None:
    address, asked = reverse("library"), HTMX | {"HX-Target": "results"}
    form = {"q": "", "sort": "need", "view": "table", "state": ["good", "fit"]}
    answer = admin_client.get(address, form, headers=asked)
    assert answer["HX-Push-Url"] == f"{address}?state=good&state=fit&view=table"
    # Taking all filters away keeps the view.
    assert 'href="?view=table">Clear' in answer.text
    assert admin_client.get(address, {"q": "", "sort": "need"}, headers=asked)["HX-Push-Url"] == address


def test_images_are_a_filter_with_counts(admin_client: Client) -> None:
    few, some, many = (make_actor(images=images) for images in (4, 12, 31))
    make_actor(images=0)
    text = admin_client.get(reverse("library"), {"images": ["10-19", "31-"], "sort": "number"}).text
    assert posters(text) == [some.number, many.number]
    assert counts(text, "images") == {"-9": 2, "10-19": 1, "20-30": 0, "31-": 1}
    both = admin_client.get(reverse("library"), {"images": "-9", "state": "unfit"}).text
    assert posters(both) == [few.number]
    assert "Images Under 10" in both


def test_a_submission_whose_answer_is_lost_needs_somebody(admin_client: Client) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    version = make_version(status=Status.SUBMITTING, submitted_at=long_ago)
    assert f"{version.name}: answer lost" in posters_of(admin_client)
    text = admin_client.get(reverse("actor", args=[version.actor_id])).text
    assert f'href="{version.get_absolute_url()}">Decide on {version.name}' in text
    assert "Nothing to do meanwhile" not in text
    assert f"Nobody knows what became of {version.name}." in text
    assert "is training already" not in text


def test_the_table_keeps_filters_and_shows_the_same_people(admin_client: Client) -> None:
    actor = make_actor(sex="male")
    text = admin_client.get(reverse("library"), {"view": "table", "sex": "male"}).text
    assert reverse("actor", args=[actor.pk]) in text
    assert "?sex=male" in text


def test_an_actor_whose_images_are_not_stored_is_not_fit(admin_client: Client) -> None:
    actor = make_actor()
    TrainingImage.objects.filter(dataset__actor=actor, position__lt=3).update(state="local_only")
    assert "Not fit: 3 not stored" in admin_client.get(reverse("library")).text


def test_no_poster_says_fit_while_a_start_is_refused(admin_client: Client) -> None:
    actor = make_actor()
    dataset = actor.dataset
    dataset.images.update(inspected_at=timezone.now())
    dataset.write_verdict()
    assert "Fit · 15 images" in admin_client.get(reverse("library")).text
    flaw = {"code": "too_small", "level": "error", "message": "96 × 96 pixels."}
    image = dataset.images.all()[0]
    TrainingImage.objects.filter(pk=image.pk).update(findings=[flaw])
    dataset.touch()
    refused = admin_client.post(reverse("start", args=[actor.pk]), {})
    assert refused.status_code == 422
    assert "Not fit: the inspection found errors" in admin_client.get(reverse("library")).text
    edits.accept(dataset, TrainingImage.objects.get(pk=image.pk), "too_small", "the only profile", by=None)
    assert "Not fit" not in posters_of(admin_client)


def test_the_tables_columns_sort_and_keep_the_filters(admin_client: Client) -> None:
    make_actor(sex="male")
    text = admin_client.get(reverse("library"), {"view": "table", "sex": "male", "sort": "images"}).text
    heads = dict(re.findall(r'<th scope="col"([^>]*)><a href="([^"]*)">', text))
    assert ' class="num" aria-sort="descending"' in heads
    assert text.count("aria-sort") == 1
    assert '<a href="?sex=male&amp;sort=recent&amp;view=table">Last training</a>' in text
    assert (
        '<a href="?sex=male&amp;view=table">State</a>' in text
    )  # the order that needs no word in an address


def test_an_empty_library_leads_to_the_import(admin_client: Client, client: Client) -> None:
    address = reverse("admin:actors_actor_import")
    assert f'href="{address}">Import actors.json' in admin_client.get(reverse("library")).text
    viewer = User.objects.create_user("viewer")
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(viewer)
    assert "No actors yet" in client.get(reverse("library")).text
    assert address not in client.get(reverse("library")).text


def test_the_table_tells_likeness_and_what_was_spent(admin_client: Client) -> None:
    good = make_version(cost_usd=Decimal("1.20"), preview_cost_usd=Decimal("0.05"))
    good.mark_good()
    make_version(good.actor, status=Status.FAILED, cost_usd=Decimal("0.30"))
    VersionScore.objects.create(version=good, scorer="faces 1", value=88.4)
    make_actor()
    text = admin_client.get(reverse("library"), {"view": "table", "sort": "number"}).text
    assert re.findall(r'<td class="num at-more">([^<]*)</td>', text) == ["88 %", "$1.55", "–", "–"]
    assert "<dt>Spent</dt><dd>$1.55</dd>" in admin_client.get(reverse("actor", args=[good.actor_id])).text
