"""The scale of the likeness: its two ends, its spread, and when there is no number."""

from __future__ import annotations

import numpy as np
import pytest

from training.likeness import CannotMeasure, Points, Yardstick, area_under_curve

FAR = 1.4


def around(centre: list[float], count: int, spread: float, seed: int = 0) -> Points:
    """Points near one place, of unit length like every embedding."""
    points = np.array(centre) + np.random.default_rng(seed).normal(0, spread, (count, len(centre)))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float32)


ACTOR, STRANGER = [1.0, 0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0]


def test_pictures_like_the_training_images_score_a_whole_and_strangers_nothing() -> None:
    ruler = Yardstick.of(around(ACTOR, 40, 0.05), FAR)
    same = ruler.likeness(around(ACTOR, 40, 0.05, seed=1))
    assert same.value == pytest.approx(1, abs=0.03)
    assert same.low is not None
    assert same.high is not None
    assert same.low < 1 < same.high
    stranger = ruler.likeness(around(STRANGER, 40, 0.05, seed=2))
    assert stranger.value == pytest.approx(0, abs=0.03)


def test_half_way_lies_in_the_middle() -> None:
    ruler = Yardstick.of(around(ACTOR, 40, 0.05), FAR)
    half = ruler.likeness(around([1.0, 0.8, 0, 0, 0, 0], 40, 0.05, seed=1))
    assert 0.4 < half.value < 0.7


def test_the_training_images_are_measured_without_themselves() -> None:
    points = around(ACTOR, 3, 0.1)
    pairs = [float(np.linalg.norm(points[one] - points[two])) for one, two in ((0, 1), (0, 2), (1, 2))]
    assert Yardstick.of(points, FAR).own == pytest.approx(sum(pairs) / 3, rel=1e-5)


def test_the_interval_holds_the_mean_19_times_of_20() -> None:
    ruler = Yardstick.of(around(ACTOR, 40, 0.05), FAR)
    truth = ruler.likeness(around(ACTOR, 4000, 0.3, seed=9)).value
    trials = [ruler.likeness(around(ACTOR, 5, 0.3, seed=seed)) for seed in range(400)]
    held = sum((trial.low or 0) <= truth <= (trial.high or 0) for trial in trials) / len(trials)
    assert 0.91 < held < 0.98


def test_bleed_is_the_way_from_the_base_towards_the_actor() -> None:
    ruler = Yardstick.of(around(ACTOR, 40, 0.01), FAR)
    base = around(STRANGER, 6, 0.01, seed=1)
    assert ruler.bleed(base, base).value == 0
    assert ruler.bleed(around(ACTOR, 6, 0.01, seed=2), base).value == pytest.approx(1, abs=0.05)
    away = ruler.bleed(base, around(ACTOR, 6, 0.01, seed=2))
    assert away.value == pytest.approx(-1, abs=0.05)


def test_too_few_or_too_different_images_are_no_yardstick() -> None:
    with pytest.raises(CannotMeasure, match="Only 1 training image can be compared"):
        Yardstick.of(around(ACTOR, 1, 0.1), FAR)
    crowd = np.eye(6, dtype=np.float32)
    with pytest.raises(CannotMeasure, match="different people"):
        Yardstick.of(crowd, FAR)


def test_one_picture_has_no_score_and_two_have_no_spread() -> None:
    ruler = Yardstick.of(around(ACTOR, 5, 0.1), FAR)
    both = ruler.likeness(around(ACTOR, 2, 0.1))
    assert (both.low, both.high) == (None, None)
    with pytest.raises(CannotMeasure, match="Only 1 picture can"):
        ruler.likeness(around(ACTOR, 1, 0.1))


def test_the_area_counts_pairs_in_order_and_ties_half() -> None:
    assert area_under_curve([3, 4], [1, 2]) == 1
    assert area_under_curve([1], [1]) == 0.5
    assert area_under_curve([2, 0], [1, 1]) == 0.5
