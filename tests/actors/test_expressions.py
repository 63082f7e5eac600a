"""Expressions measured on real photographs: as they are, and with mouth and brows pulled elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from PIL import Image

from actors import expressions, faces, inspection, variety
from actors.models import TrainingDataset, TrainingImage
from tests.actors.pictures import (
    ADMIRALS_FACE,
    ASTRONAUTS_FACE,
    Face,
    admiral,
    astronaut,
    calling,
    coffee,
    copies,
    smiling,
    surprised,
)

DRAWN, PHOTOGRAPHS = TrainingDataset.Kind.DRAWN, TrainingDataset.Kind.PHOTOGRAPHS
pytestmark = pytest.mark.xdist_group("expressions")  # they share what they measured
Change = Callable[[Image.Image, Face], Image.Image]


def measured(picture: Image.Image) -> dict[str, float]:
    found: dict[str, float] = faces.find(picture)[0]["expression"]
    return found


def inspected(pictures: Iterable[Image.Image], caption: str = "") -> list[TrainingImage]:
    return [
        TrainingImage(
            caption=caption,
            inspected_at="2026-01-01T00:00:00Z",
            measures={"faces": faces.find(picture)},
        )
        for picture in pictures
    ]


def findings(images: list[TrainingImage], kind: str = PHOTOGRAPHS) -> dict[str, str]:
    found = inspection.set_findings(images, TrainingDataset(kind=kind))
    return {each["code"]: each["message"] for each in found if each["level"] == "warning"}


def tiny() -> Image.Image:
    return admiral().resize((87, 102))


# One face


def test_one_photograph_in_other_framing_light_and_size_shows_the_same() -> None:
    assert expressions.available()
    for picture in (astronaut(), admiral()):
        seen = [measured(picture), *map(measured, copies(picture, 5))]
        assert expressions.most_alike(seen) == 6


@pytest.mark.parametrize(
    ("change", "number"), [(smiling, "wide"), (smiling, "corners"), (calling, "open"), (surprised, "brows")]
)
def test_a_pulled_mouth_or_brow_is_another_expression(change: Change, number: str) -> None:
    before, after = measured(admiral()), measured(change(admiral(), ADMIRALS_FACE))
    assert after[number] - before[number] > expressions.ALIKE[number]
    assert expressions.most_alike([before, after]) == 1


def test_a_smile_that_is_taken_back_is_another_expression() -> None:
    serious = smiling(astronaut(), ASTRONAUTS_FACE, -1.0)
    assert expressions.most_alike([measured(astronaut()), measured(serious)]) == 1


def test_what_the_mouth_does_changes_nothing_about_the_brows() -> None:
    before, after = measured(admiral()), measured(calling(admiral(), ADMIRALS_FACE))
    assert abs(after["brows"] - before["brows"]) < expressions.ALIKE["brows"]


def test_a_hint_of_a_smile_is_not_yet_another_expression() -> None:
    """The limit: no more is told than what copies of one photograph never show."""
    hint = smiling(admiral(), ADMIRALS_FACE, 0.2)
    assert expressions.most_alike([measured(admiral()), measured(hint)]) == 2


def test_a_face_of_a_few_pixels_is_not_measured_rather_than_guessed() -> None:
    (face,) = faces.find(tiny())
    assert face["expression"] is None


def test_without_a_face_there_is_nothing_to_measure() -> None:
    assert faces.find(coffee().resize((600, 400))) == []


def test_folds_that_one_detector_takes_for_a_face_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the astronaut's suit lies one as large as a head: it would have stopped every training."""
    turned = astronaut().rotate(8, Image.Resampling.BICUBIC)
    suit = turned.crop((60, 160, 412, 512)).resize((640, 640), Image.Resampling.LANCZOS)
    assert faces.find(suit) == []
    monkeypatch.setattr(expressions, "weights", lambda: None)
    assert len(faces.find(suit)) == 1, "else this picture proves nothing"


# A set


@pytest.fixture(scope="module")
def one_expression() -> list[TrainingImage]:
    return inspected(copies(admiral(), 12), caption="")


@pytest.fixture(scope="module")
def several_expressions() -> list[TrainingImage]:
    made = [admiral(), *(change(admiral(), ADMIRALS_FACE) for change in (smiling, calling, surprised))]
    return inspected(copy for number, each in enumerate(made) for copy in copies(each, 3, number))


def test_a_set_of_one_expression_is_a_warning_that_says_what_it_was_measured_on(
    one_expression: list[TrainingImage],
) -> None:
    assert findings(one_expression)["one_expression"] == (
        "12 of 12 images have the same expression, measured on eyes, brows and mouths: "
        "the LoRA will know no other."
    )


def test_a_set_of_several_expressions_is_no_finding(several_expressions: list[TrainingImage]) -> None:
    assert len(variety.measured_expressions(several_expressions, TrainingDataset(kind=PHOTOGRAPHS))) == 12
    assert "one_expression" not in findings(several_expressions)


def test_what_is_seen_counts_more_than_what_captions_say(several_expressions: list[TrainingImage]) -> None:
    for image in several_expressions:
        image.caption = "portrait, smiling"
    assert "one_expression" not in findings(several_expressions)
    assert "by their captions (smiling)" in findings(several_expressions, DRAWN)["one_expression"]


def test_two_other_expressions_among_twelve_are_enough(one_expression: list[TrainingImage]) -> None:
    others = inspected(change(admiral(), ADMIRALS_FACE) for change in (smiling, calling))
    assert "one_expression" not in findings([*one_expression[:10], *others])


# What can't be measured is told


def note(images: list[TrainingImage], kind: str = PHOTOGRAPHS) -> str:
    return "".join(inspection.notes(TrainingDataset(kind=kind), images))


def test_a_measured_set_needs_no_note(one_expression: list[TrainingImage]) -> None:
    assert note(one_expression) == ""
    assert note([TrainingImage() for _ in range(12)]) == "", "nobody has looked yet"


def test_faces_too_small_to_measure_are_told_with_their_number(one_expression: list[TrainingImage]) -> None:
    small = inspected([tiny()]) * 9
    assert note([*one_expression[:3], *small]).startswith("Expressions could be measured on 3 of 12 images")


def test_images_inspected_before_there_was_a_measure_are_told(one_expression: list[TrainingImage]) -> None:
    face = one_expression[0].measures["faces"][0]
    older = {name: value for name, value in face.items() if name not in ("expression", "eyes")}
    images = [TrainingImage(inspected_at="2026-01-01T00:00:00Z", measures={"faces": [older]})] * 12
    assert "press Inspect again" in note(images)


def test_without_this_part_of_the_extra_captions_are_read_and_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expressions, "weights", lambda: None)
    images = inspected([admiral()], caption="portrait, serious") * 12
    assert "expression" not in images[0].measures["faces"][0]
    assert "install requirements/faces.txt" in note(images)
    assert "by their captions (serious)" in findings(images)["one_expression"]
