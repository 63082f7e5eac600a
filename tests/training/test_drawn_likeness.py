"""The scorer of drawn actors: it knows people it has never seen again, and computes what torch computes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.drawn_likeness import WEIGHTS, Network, network
from training.likeness import Yardstick, area_under_curve
from worker.portraits import MARKS, Portrait, paint, random_portrait, random_scene

DRAWINGS = Path(__file__).with_name("drawings")
TILE = 64


@pytest.fixture(scope="module")
def scorer() -> Network:
    return network()


def person(seed: int) -> Portrait:
    """Somebody the scorer's making did not paint; every other one has a mark."""
    rng = random.Random(f"held out {seed}")
    marks = (rng.choice(MARKS),) if seed % 2 else ()
    colour = (rng.randint(0, 255), rng.randint(0, 255), rng.randint(0, 255))
    return Portrait(**(vars(random_portrait(rng)) | {"marks": marks, "mark_colour": colour}))


def pictures(face: Portrait, count: int, seed: str, size: int = 64) -> list[Image.Image]:
    rng = random.Random(seed)
    return [paint(random_scene(face, rng), size, 2) for _ in range(count)]


def test_people_are_known_again_in_other_scenes(scorer: Network) -> None:
    people = [person(seed) for seed in range(12)]
    rulers = [
        Yardstick.of(scorer.embed(pictures(face, 10, f"images {seed}")), scorer.far)
        for seed, face in enumerate(people)
    ]
    drawn = [scorer.embed(pictures(face, 4, f"samples {seed}")) for seed, face in enumerate(people)]
    table = [[ruler.likeness(points).value for points in drawn] for ruler in rulers]
    own = [table[index][index] for index in range(12)]
    others = [table[row][column] for row in range(12) for column in range(12) if row != column]
    assert area_under_curve(own, others) >= 0.99
    assert min(own) > 0.85


@pytest.mark.parametrize("mark", MARKS)
def test_somebody_without_the_mark_is_less_alike(scorer: Network, mark: str) -> None:
    face = Portrait(sex="man", hair="short", skin="tan", marks=(mark,), mark_colour=(230, 120, 20))
    ruler = Yardstick.of(scorer.embed(pictures(face, 10, "images")), scorer.far)
    plain = Portrait(**(vars(face) | {"marks": ()}))
    with_mark = ruler.likeness(scorer.embed(pictures(face, 6, "samples")))
    without = ruler.likeness(scorer.embed(pictures(plain, 6, "samples")))
    assert with_mark.low is not None
    assert with_mark.low > without.value


def test_the_size_of_a_picture_does_not_matter(scorer: Network) -> None:
    face = person(1)
    ruler = Yardstick.of(scorer.embed(pictures(face, 8, "images", size=256)), scorer.far)
    assert ruler.likeness(scorer.embed(pictures(face, 4, "samples"))).value > 0.85


def test_real_drawings_of_a_full_training_beat_a_short_one_and_another_actors(scorer: Network) -> None:
    """Each sheet holds six training images, four samples of a full training and four after 20 steps."""
    sheets = []
    for file in sorted(DRAWINGS.glob("*.png")):
        with Image.open(file) as sheet:
            tiles = [sheet.convert("RGB").crop((x, 0, x + TILE, TILE)) for x in range(0, sheet.width, TILE)]
        points = scorer.embed(tiles)
        sheets.append((Yardstick.of(points[:6], scorer.far), points[6:10], points[10:14]))
    assert len(sheets) == 3
    full = [ruler.likeness(drawn).value for ruler, drawn, _ in sheets]
    short = [ruler.likeness(early).value for ruler, _, early in sheets]
    others = [
        ruler.likeness(drawn).value
        for index, (ruler, _, _) in enumerate(sheets)
        for other, (_, drawn, _) in enumerate(sheets)
        if index != other
    ]
    assert area_under_curve(full, short + others) == 1


def test_numpy_computes_what_torch_does(scorer: Network) -> None:
    import torch
    from safetensors.torch import load_file

    images = pictures(person(3), 5, "any")
    weights = {name: weight.float() for name, weight in load_file(WEIGHTS).items()}
    values = (
        torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2) / 127.5 - 1
    )
    for index in range(4):
        convolved = torch.nn.functional.conv2d(
            values, weights[f"conv{index}.weight"], weights[f"conv{index}.bias"], stride=2, padding=1
        )
        values = convolved.relu()
    out = values.flatten(1) @ weights["out.weight"].T + weights["out.bias"]
    assert np.allclose(torch.nn.functional.normalize(out).numpy(), scorer.embed(images), atol=1e-5)


def test_no_pictures_have_no_embeddings(scorer: Network) -> None:
    assert scorer.embed([]).shape == (0, 64)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"{" * 40])
def test_broken_weights_are_an_error_that_callers_know(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "scorer.safetensors"
    file.write_bytes(content)
    with pytest.raises((OSError, ValueError, KeyError)):
        network(file)
