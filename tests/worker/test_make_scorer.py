"""The making of the scorer: its painted families, and a file that the site can read."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from worker.identities import look_alike, paint_family, random_identity


def test_a_family_is_the_same_for_the_same_seed_and_its_members_differ() -> None:
    first, again = paint_family(3, 3, 2), paint_family(3, 3, 2)
    assert first.shape == (3, 2, 64, 64, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("seed", range(20))
def test_a_look_alike_is_somebody_else(seed: int) -> None:
    rng = random.Random(seed)
    person = random_identity(rng)
    assert look_alike(person, rng) != person


@pytest.mark.slow
def test_a_few_seconds_make_weights_that_the_site_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.drawn_likeness import network
    from worker import make_scorer

    file = tmp_path / "scorer.safetensors"
    options = ["--minutes", "0.02", "--families", "14", "--output", str(file)]
    monkeypatch.setattr("sys.argv", ["make_scorer", *options])
    make_scorer.main()
    made = network(file)
    assert made.far > 0
    assert made.embed([Image.new("RGB", (90, 120))]).shape == (1, 64)
    assert file.stat().st_size < 1_000_000
