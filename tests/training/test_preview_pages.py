"""The pages of previews and prompt sets: what they show, to whom, and what they refuse."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_version
from tests.training.previewing import PROMPT, make_drawable, of_role, ordered, page, store_pictures
from training import preview_reports, previews
from training.models import Checkpoint, Preview, PromptSet, Status
from training.preview_models import PreviewStatus
from training.previews import Wanted, pictures
from training.prompt_sets import PromptLine

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


@pytest.fixture
def trainer() -> Client:
    return of_role("Trainer")


@pytest.fixture
def curator() -> Client:
    return of_role("Curator")


def order_form(client: Client, preview_page: str, **changes: Any) -> dict[str, Any]:
    """The form's values as the page gives them."""
    key = re.search(r'name="key" value="(\w+)"', preview_page)
    assert key
    usual = {"prompt": PROMPT, "seed": "5", "strengths": "1", "steps": "4", "count": "1", "key": key[1]}
    return usual | changes


def drawn(preview: Preview) -> Preview:
    store_pictures(preview)
    preview_reports.recover(preview)
    preview.refresh_from_db()
    return preview


# Ordering by the form


def test_a_trainer_draws_with_a_prompt_of_their_own(trainer: Client) -> None:
    version = make_drawable()
    form = order_form(trainer, page(trainer, "previews", version.pk), strengths="0; 0.5 1", count="2")
    answer = trainer.post(reverse("previews", args=[version.pk]), form)
    preview = version.previews.get()
    assert answer.url == preview.get_absolute_url()  # type: ignore[attr-defined]
    assert preview.created_by is not None
    assert preview.created_by.username == "trainer"
    assert [(image.seed, image.strength, image.steps) for image in preview.images.all()] == [
        (5, 0, 4), (5, 0.5, 4), (5, 1, 4), (6, 0, 4), (6, 0.5, 4), (6, 1, 4),
    ]  # fmt: skip


def test_the_same_form_sent_twice_draws_once(trainer: Client) -> None:
    version = make_drawable()
    form = order_form(trainer, page(trainer, "previews", version.pk))
    first, second = (trainer.post(reverse("previews", args=[version.pk]), form) for _ in range(2))
    assert first.url == second.url  # type: ignore[attr-defined]
    assert Preview.objects.count() == 1
    changed = trainer.post(reverse("previews", args=[version.pk]), form | {"seed": "9"})
    assert changed.status_code == 422
    assert "used for another launch" in changed.content.decode()


def test_a_set_and_kept_checkpoints_are_offered(trainer: Client) -> None:
    version = make_drawable()
    for step in (60, 120):
        Checkpoint.objects.create(version=version, step=step, url=f"s3://local/loras/{step}.safetensors")
    found = page(trainer, "previews", version.pk)
    assert "step 120" in found
    assert "Standard: drawn portraits" in found
    assert "Standard: photographs" not in found
    standard = PromptSet.standard("embedded")
    assert standard is not None
    form = order_form(trainer, found, prompt="", prompt_set=standard.pk, checkpoints=["60", "finished"])
    trainer.post(reverse("previews", args=[version.pk]), form)
    preview = version.previews.get()
    assert (preview.title, preview.prompt_set) == (standard.name, standard)
    assert preview.images.filter(checkpoint_step=60).count() == 8
    assert preview.images.filter(checkpoint_step=None).count() == 8


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prompt": " "}, "Choose a prompt set, or write a prompt."),
        ({"prompt": "x" * 1001}, "at most 1000 characters"),
        ({"strengths": "strong"}, "Numbers between 0 and 2"),
        ({"strengths": "0 1 3"}, "Numbers between 0 and 2"),
        ({"strengths": "nan"}, "Numbers between 0 and 2"),
        ({"strengths": ",".join(str(each / 10) for each in range(10))}, "At most 8 strengths"),
        ({"seed": "-1"}, "greater than or equal to 0"),
        ({"count": "9"}, "less than or equal to 8"),
        ({"steps": "0"}, "greater than or equal to 1"),
        ({"key": ""}, "required"),
    ],
)
def test_a_wrong_value_is_named_and_what_was_typed_stays(
    trainer: Client, changes: dict[str, str], says: str
) -> None:
    version = make_drawable()
    form = order_form(trainer, page(trainer, "previews", version.pk), **changes)
    answer = trainer.post(reverse("previews", args=[version.pk]), form)
    assert answer.status_code == 422
    assert says in answer.content.decode() or "key" in changes
    assert not Preview.objects.exists()


def test_too_many_pictures_are_refused_as_a_whole(trainer: Client) -> None:
    version = make_drawable()
    standard = PromptSet.standard("embedded")
    assert standard is not None
    form = order_form(
        trainer,
        page(trainer, "previews", version.pk),
        prompt="",
        prompt_set=standard.pk,
        strengths="0.2 0.4 0.6 0.8 1",
        count="3",
    )
    answer = trainer.post(reverse("previews", args=[version.pk]), form)
    assert answer.status_code == 422
    assert "120 pictures in all: at most 96" in answer.content.decode()


def test_a_version_without_a_lora_has_no_form(trainer: Client) -> None:
    version = make_version(status=Status.FAILED)
    assert "Draw a preview" not in page(trainer, "previews", version.pk)
    unreachable = make_version()
    form = order_form(trainer, page(trainer, "previews", unreachable.pk))
    answer = trainer.post(reverse("previews", args=[unreachable.pk]), form)
    assert "Nothing is drawn. The LoRA of V1 lies where" in answer.content.decode()


# Watching


def test_the_page_polls_until_the_end_and_hears_nothing_when_nothing_is_new(client: Client) -> None:
    client = of_role("Viewer")
    preview = ordered()
    found = page(client, "preview", preview.pk)
    poll = re.search(r'hx-get="([^"]+)"', found)
    assert poll
    address = poll[1].replace("&amp;", "&")
    headers = {"HX-Request": "true"}
    assert client.get(address, headers=headers).status_code == 204
    preview.mark_submitted("job-1")
    live = client.get(address, headers=headers)
    assert (live.status_code, "In the queue" in live.content.decode()) == (200, True)
    assert "<html" not in live.content.decode()
    drawn(preview)
    over = client.get(address, headers=headers)
    assert over.status_code == 286
    assert "hx-get" not in over.content.decode()
    assert over.content.decode().count("<img") == 2


def test_a_prompt_of_ones_own_is_drawn_instead_of_the_set(trainer: Client) -> None:
    version = make_drawable()
    standard = PromptSet.standard("embedded")
    assert standard is not None
    form = order_form(trainer, page(trainer, "previews", version.pk), prompt_set=standard.pk)
    trainer.post(reverse("previews", args=[version.pk]), form)
    preview = version.previews.get()
    assert (preview.title, preview.prompt_set, preview.images.count()) == (PROMPT, None, 1)


def test_one_prompt_at_several_strengths_stands_in_a_row() -> None:
    client = of_role("Viewer")
    preview = drawn(ordered(None, *pictures([PromptLine(PROMPT, 5)], strengths=(1, 0, 0.5))))
    found = page(client, "preview", preview.pk)
    assert re.findall(r'<span title="([^"]+)">', found) == ["base alone", "strength 0.5", "strength 1"]
    assert found.count('class="strip film"') == 1


def test_rows_are_strengths_and_columns_prompts(client: Client) -> None:
    client = of_role("Viewer")
    version = make_drawable()
    preview = drawn(previews.order_standard_preview(version, with_base=True))
    found = page(client, "preview", preview.pk)
    assert found.count('class="strip film"') == 2
    assert "of-8" in found
    assert "V1, strength 1, seed 2000, 24 steps: portrait of" in found
    assert "the base alone, seed 2000" in found


def test_a_grid_has_a_row_for_each_checkpoint_and_a_column_for_each_strength() -> None:
    client = of_role("Viewer")
    version = make_drawable()
    Checkpoint.objects.create(version=version, step=60, url="s3://local/loras/60.safetensors")
    wanted = pictures([PromptLine(PROMPT, 5)], strengths=(0, 0.5, 1), checkpoints=(60, None))
    drawn(ordered(version, *wanted))
    drawn(ordered(version, Wanted(PROMPT, 5, strength=1.5), Wanted(PROMPT, 9)))
    found = page(client, "preview-grid", version.pk)
    heads = re.findall(r'<span title="([^"]+)">', found)
    assert heads == ["base alone", "strength 0.5", "strength 1", "strength 1.5"]
    assert re.findall(r'class="st">([^<]+)<', found) == ["300", "60"]
    # The base alone stands in both rows; 1.5 was drawn with the finished LoRA only.
    assert found.count('id="picture-') == 4 + 3
    assert "seed 9" in page(client, "preview-grid", version.pk, of="1")
    for odd in ("99", "x", "-1", "9" * 40):
        assert "seed 5" in page(client, "preview-grid", version.pk, of=odd)


def test_nothing_drawn_yet_says_so_and_leads_on() -> None:
    client = of_role("Viewer")
    version = make_drawable()
    assert "Nothing drawn yet" in page(client, "previews", version.pk)
    assert "Nothing drawn yet" in page(client, "preview-grid", version.pk)


def test_a_trainings_page_fetches_its_newest_preview() -> None:
    client = of_role("Viewer")
    version = make_drawable()
    assert f'hx-get="{reverse("previews", args=[version.pk])}"' in page(client, "training", version.pk)
    headers = {"HX-Request": "true", "HX-Target": "previews"}
    panel = client.get(reverse("previews", args=[version.pk]), headers=headers).content.decode()
    assert "Nothing drawn yet" in panel
    assert "hx-trigger" not in panel
    running = make_version(status=Status.TRAINING)
    assert 'id="previews"' in page(client, "training", running.pk)
    waiting = client.get(reverse("previews", args=[running.pk]), headers=headers).content.decode()
    assert 'hx-trigger="every 10s, wake"' in waiting
    assert "<h2" not in waiting
    drawn(ordered(version))
    panel = client.get(reverse("previews", args=[version.pk]), headers=headers).content.decode()
    assert "<html" not in panel
    assert panel.count("<img") == 2


def test_pages_take_as_many_queries_for_many_previews_as_for_one() -> None:
    client = of_role("Curator")
    version = make_drawable()
    drawn(ordered(version))
    counts = []
    for _ in range(2):
        page(client, "previews", version.pk)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page(client, "previews", version.pk)
            page(client, "preview", version.previews.latest("pk").pk)
            page(client, "preview-grid", version.pk)
            page(client, "prompt-sets")
        counts.append(len(queries))
        for number in range(5):
            drawn(ordered(version, *(Wanted(PROMPT, seed) for seed in range(number + 3))))
    assert counts[0] == counts[1]


# Deciding


def test_a_cancel_stops_it_and_a_second_one_says_that_it_was_over(trainer: Client) -> None:
    preview = ordered()
    for says in ("is cancelled", "had ended already"):
        answer = trainer.post(reverse("preview-cancel", args=[preview.pk]), follow=True)
        assert says in answer.content.decode()
    preview.refresh_from_db()
    assert preview.status == PreviewStatus.CANCELLED


def test_a_lost_answer_asks_for_a_decision(trainer: Client) -> None:
    preview = ordered()
    preview.claim()
    found = page(trainer, "preview", preview.pk)
    assert "It never arrived: send again</button>" not in found
    early = trainer.post(reverse("preview-give-up", args=[preview.pk]), follow=True)
    assert "may still answer" in early.content.decode()
    Preview.objects.update(submitted_at=timezone.now() - timedelta(hours=1))
    late = page(trainer, "preview", preview.pk)
    assert "Needs a decision" in late
    assert "It never arrived: send again</button>" in late
    trainer.post(reverse("preview-send-again", args=[preview.pk]))
    preview.refresh_from_db()
    assert preview.status == PreviewStatus.PENDING


def test_check_status_says_that_the_endpoint_is_down(trainer: Client, settings: Any) -> None:
    settings.RUNPOD_BASE_URL = "http://127.0.0.1:9/v2"
    preview = ordered()
    preview.mark_submitted("job-1")
    answer = trainer.post(reverse("preview-check", args=[preview.pk]), follow=True)
    assert "can&#x27;t say" in answer.content.decode()


def test_a_curator_deletes_a_preview_and_a_trainer_may_not(curator: Client, trainer: Client) -> None:
    preview = drawn(ordered())
    address = reverse("preview-delete", args=[preview.pk])
    assert "Delete this preview?" not in page(trainer, "preview", preview.pk)
    assert trainer.post(address).status_code == 403
    assert "Delete this preview?" in page(curator, "preview", preview.pk)
    assert curator.get(address).status_code == 405
    answer = curator.post(address)
    assert answer.url == reverse("previews", args=[preview.version_id])  # type: ignore[attr-defined]
    assert not Preview.objects.exists()
    assert page(curator, "preview", preview.pk, status=404)


def test_a_viewer_sees_and_orders_nothing() -> None:
    client = of_role("Viewer")
    version = make_drawable()
    assert "Draw a preview" not in page(client, "previews", version.pk)
    assert client.post(reverse("previews", args=[version.pk])).status_code == 403


# Once more


def test_what_failed_is_drawn_again_with_the_same_pictures(trainer: Client) -> None:
    version = make_drawable()
    preview = ordered(version, Wanted(PROMPT, 5, 0.5), Wanted(PROMPT, 6), title="A look")
    preview.fail("Not enough memory")
    assert "Draw again</button>" in page(trainer, "preview", preview.pk)
    answer = trainer.post(reverse("preview-again", args=[preview.pk]), follow=True)
    again = version.previews.latest("pk")
    assert again.pk != preview.pk
    assert (again.title, again.status) == ("A look", PreviewStatus.PENDING)
    pictures = [
        [(image.prompt, image.seed, image.strength) for image in each.images.all()]
        for each in (preview, again)
    ]
    assert pictures[0] == pictures[1]
    assert "ordered once more" in answer.text


def test_what_goes_on_or_is_done_is_not_drawn_again(trainer: Client) -> None:
    for preview in (ordered(), drawn(ordered())):
        assert "Draw again" not in page(trainer, "preview", preview.pk)
        answer = trainer.post(reverse("preview-again", args=[preview.pk]), follow=True)
        assert f"the preview is {preview.status}" in answer.text
    assert Preview.objects.count() == 2


def test_drawing_again_with_a_lora_that_is_gone_says_why(trainer: Client) -> None:
    preview = ordered()
    preview.cancel()
    preview.version.lora_url = ""
    preview.version.save(update_fields=["lora_url"])
    answer = trainer.post(reverse("preview-again", args=[preview.pk]), follow=True)
    assert "Nothing is drawn." in answer.text
    assert Preview.objects.count() == 1


def test_the_poll_that_sees_the_end_brings_what_can_be_done_now(trainer: Client) -> None:
    preview = ordered()
    preview.mark_submitted("job-1")
    headers = {"HX-Request": "true"}
    address = reverse("preview", args=[preview.pk])
    assert "preview-head" not in trainer.get(address, headers=headers).text
    preview.fail("Not enough memory")
    over = trainer.get(address, headers=headers)
    assert 'id="preview-head" hx-swap-oob="true"' in over.text
    assert "Draw again" in over.text
    assert "Check status" not in over.text
