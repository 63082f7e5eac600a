"""Loss charts: numbers in, SVG out."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as ET

import pytest

from training import charts


def falling(count: int) -> list[tuple[int, float]]:
    return [(step, 1 / (1 + step / 50) + (0.1 if step % 2 else 0)) for step in range(1, count + 1)]


def paths(svg: str) -> dict[str, str]:
    return {path.get("class") or "": path.get("d") or "" for path in ET.fromstring(svg).iter("path")}


def test_without_points_there_is_no_chart() -> None:
    assert charts.loss_chart([], 400) == ""


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_chart_is_well_formed_and_has_no_inline_style(logarithmic: bool) -> None:
    svg = charts.loss_chart(falling(300), 400, logarithmic=logarithmic)
    assert set(paths(svg)) == {"raw", "line"}
    assert "style=" not in svg


def test_all_points_stay_inside_the_frame_even_with_a_spike() -> None:
    svg = charts.loss_chart([*falling(299), (300, 90.0)], 300)
    heights = [float(place.split()[1]) for place in paths(svg)["raw"].removeprefix("M").split("L")]
    assert min(heights) >= charts.TOP
    assert max(heights) <= charts.BOTTOM
    assert max(heights) - min(heights) > 100


def test_what_is_not_finite_is_left_out_and_the_order_does_not_matter() -> None:
    points = [(3, 0.5), (1, float("nan")), (2, float("inf")), (1, 0.9)]
    assert charts.clean(points, logarithmic=False) == [(1, 0.9), (3, 0.5)]
    assert charts.clean([(1, 0.0), (2, 0.5)], logarithmic=True) == [(2, 0.5)]


def test_thinning_keeps_the_ends_and_the_extremes() -> None:
    points = falling(5000)
    points[2500] = (2501, 9.0)
    thin = charts.thin(points)
    assert len(thin) <= charts.MOST_POINTS
    assert thin[0] == points[0]
    assert thin[-1] == points[-1]
    assert (2501, 9.0) in thin


def test_smoothing_a_constant_changes_nothing() -> None:
    values = [value for _, value in charts.smooth([(step, 0.25) for step in range(50)])]
    assert values == pytest.approx([0.25] * 50)


def test_one_point_and_a_flat_line_can_be_drawn() -> None:
    assert "line" in paths(charts.loss_chart([(1, 0.5)], 400))
    assert "line" in paths(charts.loss_chart([(1, 0.5), (2, 0.5)], 2, logarithmic=True))
    assert "line" in paths(charts.loss_chart([(0, 0.0), (1, 0.0)], 0))


def test_ten_times_the_points_take_about_ten_times_as_long() -> None:
    def seconds(count: int) -> float:
        points = falling(count)
        start = time.perf_counter()
        charts.loss_chart(points, count)
        return time.perf_counter() - start

    seconds(1000)
    assert seconds(100_000) < 40 * max(seconds(10_000), 1e-3)


def test_other_versions_are_drawn_dashed_each_in_its_own_way() -> None:
    chart = charts.loss_chart(
        falling(100), 200, others=[falling(200), [], falling(50)], names=["V4", "V1", "V<2>", "V3"]
    )
    assert [name for name in paths(chart) if name.startswith("old")] == ["old old-1", "old old-3"]
    named = json.loads(ET.fromstring(chart).get("data-named") or "")
    assert [(name, len(values)) for name, values in named] == [
        ("V4", 0),
        ("V1", 200),
        ("V<2>", 0),
        ("V3", 50),
    ]
