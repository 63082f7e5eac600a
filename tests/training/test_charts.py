"""Numbers as SVG."""

from __future__ import annotations

import math

from training.charts import HEIGHT, MOST_POINTS, WIDTH, loss_chart, nice_step, smooth


def test_there_is_no_chart_of_less_than_two_points() -> None:
    assert loss_chart([], 100) is None
    assert loss_chart([[1, 0.5]], 100) is None


def test_all_of_the_chart_lies_in_its_box() -> None:
    chart = loss_chart([[step, 1 / step] for step in range(1, 401)], 400)
    assert chart is not None
    numbers = [float(text) for text in chart.raw.replace("M", " ").replace("L", " ").split()]
    assert all(0 <= x <= WIDTH for x in numbers[::2])
    assert all(0 <= y <= HEIGHT for y in numbers[1::2])


def test_a_long_run_is_thinned_and_keeps_its_ends() -> None:
    chart = loss_chart([[step, math.sin(step) + 2] for step in range(5000)], 5000)
    assert chart is not None
    assert len(chart.rows) == MOST_POINTS
    assert (chart.rows[0][0], chart.rows[-1][0]) == (0, 4999)


def test_the_unfinished_part_of_the_run_stays_free() -> None:
    chart = loss_chart([[1, 1.0], [50, 0.5]], 100)
    assert chart is not None
    assert chart.last[0] < WIDTH * 0.6


def test_a_constant_loss_and_a_zero_on_a_log_scale_are_drawn() -> None:
    assert loss_chart([[1, 0.5], [2, 0.5]], None) is not None
    chart = loss_chart([[1, 0.5], [2, 0.0], [3, 0.1]], None, log=True)
    assert chart is not None
    assert len(chart.rows) == 2


def test_smoothing_keeps_a_constant_and_follows_slowly() -> None:
    assert [loss for _, loss in smooth([(1, 2.0), (2, 2.0)])] == [2.0, 2.0]
    course = smooth([(step, 1.0 if step < 50 else 0.0) for step in range(100)])
    assert 0.0 < course[55][1] < 1.0


def test_steps_of_scales_are_round() -> None:
    assert [nice_step(value) for value in (0.03, 0.7, 1, 34)] == [0.05, 1, 1, 50]
