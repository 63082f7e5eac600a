"""Each flaw by its own test, on pictures made with that flaw; and none where there is none."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from django.core.files.base import ContentFile
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from actors import edits, faces, ingest, inspection, measures, storage, tasks, variety
from actors.measuring import measure_images
from actors.models import TrainingDataset, TrainingImage, Verdict
from tests.actors.pictures import admiral, as_bytes, as_file, astronaut, coffee, portrait, scenes
from tests.factories import make_actor

pytestmark = pytest.mark.django_db
DRAWN, PHOTOGRAPHS = TrainingDataset.Kind.DRAWN, TrainingDataset.Kind.PHOTOGRAPHS


@pytest.fixture(autouse=True)
def _media(media: Path) -> None:
    """Files of this test only."""


def make_dataset(
    pictures: list[Image.Image], kind: str = DRAWN, captions: list[str] | None = None
) -> TrainingDataset:
    dataset = make_actor(images=0).dataset
    dataset.kind = kind
    dataset.save()
    for number, picture in enumerate(pictures):
        words = captions[number] if captions else f"smiling {number}"
        caption = f"portrait of {dataset.actor.trigger_token}, {words}" if words else ""
        ingest.take_in(dataset, as_file(picture), f"{number}.png", caption=caption)
    return inspected(dataset)


def inspected(dataset: TrainingDataset) -> TrainingDataset:
    measure_images(dataset.images.filter(inspected_at=None).select_related("dataset__actor"))
    return TrainingDataset.objects.select_related("actor").get(pk=dataset.pk)


def codes(dataset: TrainingDataset, number: int = 0) -> dict[str, str]:
    image = dataset.images.get(file_name=f"{number}.png")
    return {each["code"]: each["level"] for each in image.findings}


def found_on(picture: Image.Image, kind: str = DRAWN) -> dict[str, str]:
    return codes(make_dataset([picture], kind))


def notes(dataset: TrainingDataset) -> list[str]:
    return inspection.notes(dataset, list(dataset.images.all()))


def verdict(dataset: TrainingDataset) -> str:
    return TrainingDataset.objects.get(pk=dataset.pk).verdict


# One picture


def test_a_sharp_well_lit_painted_portrait_has_no_finding() -> None:
    assert found_on(portrait()) == {}


def test_a_real_photograph_of_a_person_has_no_finding_and_passes_the_face_checks() -> None:
    assert faces.available()
    assert found_on(astronaut(), PHOTOGRAPHS) == {}
    assert found_on(admiral(), PHOTOGRAPHS) == {}


def test_a_picture_of_a_few_hundred_pixels_is_a_warning() -> None:
    assert found_on(portrait(pixels=400)) == {"too_small": "warning"}


def test_a_tiny_picture_is_an_error() -> None:
    assert found_on(portrait(pixels=96))["too_small"] == "error"


@pytest.mark.parametrize("picture", [portrait(), portrait(2), astronaut(), admiral(), coffee()])
def test_a_blurred_picture_is_an_error(picture: Image.Image) -> None:
    assert found_on(picture.filter(ImageFilter.GaussianBlur(6)))["blurred"] == "error"


def test_a_picture_slightly_out_of_focus_is_a_warning() -> None:
    assert found_on(astronaut().filter(ImageFilter.GaussianBlur(2))) == {"soft": "warning"}


def test_a_sharp_face_before_a_blurred_background_is_sharp() -> None:
    picture = astronaut().filter(ImageFilter.GaussianBlur(8))
    picture.paste(astronaut().crop((150, 50, 300, 220)), (150, 50))
    assert found_on(picture) == {}


@pytest.mark.parametrize("picture", [portrait(), portrait(3), astronaut()])
def test_an_over_exposed_picture_is_a_warning(picture: Image.Image) -> None:
    assert found_on(ImageEnhance.Brightness(picture).enhance(3.2))["over_exposed"] == "warning"


@pytest.mark.parametrize("picture", [portrait(), portrait(3), astronaut()])
def test_an_under_exposed_picture_is_a_warning(picture: Image.Image) -> None:
    assert found_on(ImageEnhance.Brightness(picture).enhance(0.1))["under_exposed"] == "warning"


def test_a_white_wall_behind_a_person_is_no_over_exposure() -> None:
    wall = Image.new("RGB", (768, 768), "white")
    wall.paste(astronaut().crop((60, 0, 444, 512)), (192, 256))
    assert "over_exposed" not in found_on(wall)


def test_a_narrow_strip_is_a_warning() -> None:
    assert found_on(portrait(pixels=1536).crop((0, 0, 1536, 520)))["extreme_aspect"] == "warning"


@pytest.mark.parametrize("size", [(20_000, 17), (17, 20_000), (16, 16)])
def test_a_line_of_pixels_is_measured_like_any_picture(size: tuple[int, int]) -> None:
    found = found_on(Image.new("RGB", size, "grey"))
    assert found["too_small"] == "error"
    assert "unreadable" not in found


def test_a_picture_that_our_measuring_fails_on_is_a_finding_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = measures.measure

    def measure(picture: Image.Image) -> dict[str, object]:
        if picture.width == 300:
            raise IndexError("a mistake of ours")
        return real(picture)

    monkeypatch.setattr(measures, "measure", measure)
    dataset = make_dataset([portrait(pixels=300), portrait(2)])
    assert codes(dataset, 0)["unreadable"] == "error"
    assert dataset.images.get(file_name="1.png").has_thumbnail


def stored(name: str, content: bytes, **fields: object) -> TrainingDataset:
    """A dataset with one file that a registry names, whatever is in it."""
    dataset = make_actor(images=0).dataset
    url = storage.save(f"scans/{dataset.pk}/{name}", ContentFile(content))
    TrainingImage.objects.create(dataset=dataset, url=url, file_name="0.png", **fields)
    return inspected(dataset)


def test_a_broken_file_in_the_store_is_an_error_and_no_crash() -> None:
    assert codes(stored("a.png", as_bytes(portrait())[:3000]))["unreadable"] == "error"


def test_a_file_that_is_no_picture_is_an_error() -> None:
    assert codes(stored("a.png", b"GIF89a, but not really"))["unreadable"] == "error"


def test_a_format_that_trainings_do_not_read_is_an_error() -> None:
    assert codes(stored("a.heic", as_bytes(portrait(), "HEIF")))["wrong_format"] == "error"


def test_a_file_that_is_gone_is_missing_and_not_a_finding_about_its_content() -> None:
    dataset = make_actor(images=1).dataset
    inspected(dataset)
    assert dataset.images.get().state == TrainingImage.State.MISSING


# Faces


def test_a_photograph_without_a_face_is_a_warning() -> None:
    assert found_on(coffee().resize((900, 600)), PHOTOGRAPHS)["no_face"] == "warning"


def test_two_people_in_one_photograph_are_an_error() -> None:
    both = Image.new("RGB", (1024, 600))
    both.paste(astronaut().crop((60, 0, 444, 384)).resize((512, 512)), (0, 0))
    both.paste(admiral(), (512, 0))
    assert found_on(both, PHOTOGRAPHS)["several_faces"] == "error"


def test_a_small_face_is_a_warning() -> None:
    room = coffee().resize((1200, 800)).filter(ImageFilter.GaussianBlur(1))
    room.paste(astronaut().resize((400, 400)), (700, 100))
    assert found_on(room, PHOTOGRAPHS) == {"face_small": "warning"}


def astronaut_in_variants() -> list[Image.Image]:
    """One person, so far apart that no two are near duplicates."""
    whole = astronaut()
    return [
        whole,
        ImageOps.mirror(whole),
        whole.crop((60, 0, 420, 360)).resize((600, 600)),
        ImageOps.mirror(whole.crop((100, 0, 400, 300)).resize((620, 620))),
        ImageEnhance.Brightness(whole.crop((30, 0, 512, 482)).rotate(6)).enhance(1.2).resize((640, 640)),
    ]


def test_another_person_among_photographs_of_one_is_an_error() -> None:
    dataset = make_dataset([*astronaut_in_variants(), admiral()], PHOTOGRAPHS)
    assert codes(dataset, 5)["other_person"] == "error"
    assert all("other_person" not in codes(dataset, number) for number in range(5))


def test_among_three_photographs_nobody_can_say_who_the_actor_is() -> None:
    dataset = make_dataset([*astronaut_in_variants()[:2], admiral()], PHOTOGRAPHS)
    assert all("other_person" not in codes(dataset, number) for number in range(3))


def test_drawn_images_do_not_fail_for_lacking_a_photographic_face() -> None:
    dataset = make_dataset([coffee().resize((900, 600)), portrait()], DRAWN)
    assert "no_face" not in codes(dataset, 0)
    assert notes(dataset) == ["The images are drawn: faces are not checked as photographs."]


def test_without_the_extra_face_checks_are_off_and_the_dataset_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faces, "weights", lambda: None)
    dataset = make_dataset([coffee().resize((900, 600))], PHOTOGRAPHS)
    assert codes(dataset) == {}
    assert "Face checks are off" in notes(dataset)[0]


# Duplicates


def test_exact_duplicates_are_told_on_both() -> None:
    content = as_bytes(portrait())
    dataset = stored("a.png", content)
    url = storage.save(f"scans/{dataset.pk}/b.png", ContentFile(content))
    TrainingImage.objects.create(dataset=dataset, url=url, file_name="1.png")
    inspected(dataset)
    assert codes(dataset, 0)["duplicate"] == codes(dataset, 1)["duplicate"] == "warning"


SMALL_CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": lambda image: Image.open(BytesIO(as_bytes(image, "JPEG", quality=50))),
    "smaller": lambda image: image.resize((image.width * 3 // 4, image.height * 3 // 4)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "paler": lambda image: ImageEnhance.Color(image).enhance(0.75),
    "softer": lambda image: image.filter(ImageFilter.GaussianBlur(0.8)),
}


@pytest.mark.parametrize("how", SMALL_CHANGES)
@pytest.mark.parametrize("picture", [portrait(), astronaut()])
def test_near_duplicates_are_pairs(picture: Image.Image, how: str) -> None:
    dataset = make_dataset([picture, SMALL_CHANGES[how](picture)])
    first, second = dataset.images.order_by("position")
    pairs = {
        each["twin"]: image.pk
        for image in (first, second)
        for each in image.findings
        if each["code"] == "near_duplicate"
    }
    assert pairs == {first.pk: second.pk, second.pk: first.pk}


def test_one_person_in_forty_scenes_has_no_near_duplicates() -> None:
    numbers = [measures.measure(image) for _, image in scenes(40, seed=7, pixels=256)]
    twins = measures.twins([each["hash"] for each in numbers], [each["layout"] for each in numbers])
    assert len(twins) <= 1, "780 pairs, and scenes may be drawn alike by chance"


def test_of_a_film_whose_frames_are_all_alike_three_pairs_an_image_are_told() -> None:
    dataset = make_actor(images=200).dataset
    dataset.images.update(measures=measures.measure(portrait(pixels=64)))
    inspection.judge(dataset)
    told = [
        sum(each["code"] == "near_duplicate" for each in image.findings) for image in dataset.images.all()
    ]
    assert max(told) == inspection.MOST_TWINS
    assert min(told) > 0


def test_a_thousand_faces_are_compared_without_a_gigabyte() -> None:
    rng = np.random.default_rng(5)
    person = rng.normal(0, 0.1, 128)
    rows = person + rng.normal(0, 0.01, (1000, 128))
    rows[7] = -person
    tracemalloc.start()
    found = faces.strangers(rows.tolist())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [index for index, _ in found] == [7]
    assert peak < 100_000_000


def test_a_pair_left_with_one_is_no_pair_any_more() -> None:
    dataset = make_dataset([portrait(), SMALL_CHANGES["smaller"](portrait())])
    first, second = dataset.images.order_by("position")
    edits.keep_one(dataset, first, second, by=None)
    assert "near_duplicate" not in codes(dataset, 0)


# Captions


def caption_codes(caption: str) -> set[str]:
    dataset = make_actor(images=1, name="0500_nordic_41_female").dataset
    image = dataset.images.get()
    image.caption = caption
    return {each["code"] for each in inspection.caption_findings(image, dataset)}


def test_a_missing_caption_is_found() -> None:
    assert caption_codes("  ") == {"no_caption"}


def test_a_caption_without_the_trigger_token_is_found() -> None:
    assert caption_codes("a woman smiling in a red shirt") == {"no_trigger"}


@pytest.mark.parametrize(
    "words", ["blue eyes", "long brown hair", "a full beard", "freckles", "pale skin", "high cheekbones"]
)
def test_a_caption_that_describes_the_face_is_found(words: str) -> None:
    assert caption_codes(f"portrait of 0500_nordic_41_female, {words}, red shirt") == {"describes_face"}


@pytest.mark.parametrize(
    "words", ["red shirt, brown background", "long white dress", "smiling, blue sky", "short dark coat"]
)
def test_a_caption_of_clothes_and_place_is_fine(words: str) -> None:
    assert caption_codes(f"portrait of 0500_nordic_41_female, {words}") == set()


# The set


def set_codes(count: int, caption: str = "") -> dict[str, str]:
    dataset = make_actor(images=count).dataset
    images = list(dataset.images.all())
    for image in images:
        image.caption = caption or image.caption
    return {each["code"]: each["level"] for each in inspection.set_findings(images, dataset)}


@pytest.mark.parametrize(
    ("count", "code"), [(9, "too_few"), (10, None), (30, None), (60, None), (61, "too_many")]
)
def test_the_count_of_images(count: int, code: str | None) -> None:
    found = set_codes(count, "laughing") if count < 10 else set_codes(count, " ")
    assert ({"too_few", "too_many"} & set(found)) == ({code} if code else set())


def test_one_expression_and_one_pose_are_warnings() -> None:
    found = set_codes(20, "portrait, smiling, looking ahead")
    assert found == {"one_pose": "warning", "one_expression": "warning"}


def test_varied_scenes_are_no_finding() -> None:
    dataset = make_actor(images=0).dataset
    rows = [TrainingImage(caption=scene.caption("anna")) for scene, _ in scenes(20, pixels=32)]
    assert inspection.set_findings(rows, dataset) == []


def test_poses_are_told_apart_on_faces() -> None:
    face = {"box": [0.3, 0.2, 0.2, 0.2], "embedding": [0.0] * 128}
    rows = [TrainingImage(measures={"faces": [face | {"turn": turn}]}) for turn in (0.0, 0.4, 0.8)]
    poses = variety.coverage(rows)["pose"]
    assert poses == {"facing": 1, "half turned": 1, "profile": 1}


# The verdict


def varied(count: int) -> tuple[list[Image.Image], list[str]]:
    drawn = scenes(count, seed=11)
    return [image for _, image in drawn], [", ".join(scene.scene_words()) for scene, _ in drawn]


def test_a_good_drawn_dataset_is_fit() -> None:
    pictures, captions = varied(12)
    dataset = make_dataset(pictures, captions=captions)
    assert dataset.open_findings() == []
    assert verdict(dataset) == Verdict.FIT


def test_a_warning_makes_it_fit_with_warnings_and_an_error_not_fit() -> None:
    pictures, captions = varied(12)
    dataset = make_dataset(pictures, captions=captions)
    first, second = list(dataset.images.all())[:2]
    edits.change(dataset, {first.pk: {"caption": ""}}, "caption taken")
    assert verdict(dataset) == Verdict.WARNINGS
    TrainingImage.objects.filter(pk=second.pk).update(width=100)
    inspection.judge(dataset)
    assert verdict(dataset) == Verdict.NOT_FIT


def test_a_flaw_of_an_image_left_out_does_not_count() -> None:
    pictures, captions = varied(12)
    dataset = make_dataset([*pictures, portrait(pixels=96)], captions=[*captions, "smiling"])
    assert verdict(dataset) == Verdict.NOT_FIT
    edits.change(dataset, {dataset.images.get(file_name="12.png").pk: {"included": False}}, "left out")
    assert verdict(dataset) == Verdict.FIT


def test_an_accepted_error_no_longer_counts_and_keeps_its_reason() -> None:
    pictures, captions = varied(12)
    dataset = make_dataset([*pictures, portrait(pixels=96)], captions=[*captions, "smiling"])
    image = dataset.images.get(file_name="12.png")
    edits.accept(dataset, image, "too_small", "the only profile we have", by=None)
    assert verdict(dataset) == Verdict.FIT
    image.refresh_from_db()
    assert image.accepted["too_small"]["reason"] == "the only profile we have"


def test_nothing_is_fit_before_it_was_inspected() -> None:
    assert make_actor(images=15).dataset.verdict == Verdict.NOT_INSPECTED


# The task


def test_the_task_makes_thumbnails_without_metadata_and_measures_once() -> None:
    dataset = make_actor(images=0).dataset
    exif = Image.Exif()
    exif[0x8825] = {1: "N"}
    image = ingest.take_in(dataset, as_file(astronaut(), "JPEG", exif=exif.tobytes()), "a.jpg")
    assert (image.thumbnail_link(), dataset.images.get().inspected_at) == ("", None)
    tasks.inspect(dataset.pk)
    tasks.inspect(dataset.pk)
    image.refresh_from_db()
    assert "thumbs/" in image.thumbnail_link()
    with storage.opened(storage.own(image.thumbnail_key).s3, 10**6) as file, Image.open(file) as small:
        assert (small.format, max(small.size), dict(small.getexif())) == ("WEBP", 480, {})


def test_a_caption_written_while_the_file_is_read_survives() -> None:
    dataset = make_actor(images=0).dataset
    image = ingest.take_in(dataset, as_file(portrait()), "a.png")
    stale = TrainingImage.objects.select_related("dataset__actor").get(pk=image.pk)
    edits.change(dataset, {image.pk: {"caption": "written meanwhile"}}, "caption")
    measure_images([stale])
    image.refresh_from_db()
    assert image.caption == "written meanwhile"
    assert image.inspected_at
