"""The dashboard's pictures: proportions, scales that hold their values, and words for who can't see them."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from training import figure_charts
from training.analytics import Part
from training.figures import Figures
from training.library import Choice
from training.selection import Selection
from training.spans import Span

DAY = date(2026, 3, 1)


def parts(*figures: Figures) -> list[Part]:
    """One day each."""
    days = [DAY + timedelta(days=number) for number in range(len(figures))]
    return [Part(Span(day, day), each, Selection()) for day, each in zip(days, figures, strict=True)]


def rects(svg: str) -> list[dict[str, str]]:
    return [each.attrib for each in ET.fromstring(svg).iter("rect")]


def test_states_lie_side_by_side_in_proportion() -> None:
    states = [
        Choice("fit", "Fit", 30, False),
        Choice("none", "No images", 0, False),
        Choice("good", "Good", 70, False),
    ]
    svg = figure_charts.flow(states)
    assert [(each["class"], float(each["x"])) for each in rects(svg)] == [("at-fit", 0), ("at-good", 300)]
    assert "Actors by state: 30 fit, 70 good." in svg


def test_a_bar_is_as_high_as_its_trainings_and_parted_by_how_they_ended() -> None:
    svg = figure_charts.outcomes(
        parts(Figures(trainings=8, completed=6, good=2, failed=2), Figures(trainings=4, active=4))
    )
    drawn = [(each["class"], float(each["height"])) for each in rects(svg)]
    assert [name for name, _ in drawn] == ["good", "done", "failed", "run"]
    high = {name: height + 1 for name, height in drawn}  # with the gap of paper
    assert high["done"] == pytest.approx(2 * high["good"], abs=0.2)
    assert high["run"] == pytest.approx(high["good"] + high["failed"], abs=0.2)
    assert "12 trainings; the most, 8, from 1 Mar 2026." in svg


@pytest.mark.parametrize("most", [1, 3, 7, 99, 100, 101, 49_999])
def test_no_bar_is_higher_than_the_chart(most: int) -> None:
    svg = figure_charts.outcomes(parts(Figures(trainings=most, completed=most)))
    assert all(float(each["y"]) >= figure_charts.TOP for each in rects(svg))
    levels = [float(text) for text in re.findall(r'class="end"[^>]*>([\d.e+]+)<', svg)]
    assert levels[0] == 0
    assert levels[-1] >= most
    assert len(levels) <= 9


def test_the_running_cost_ends_at_the_figure_of_all_days() -> None:
    days = (
        Figures(cost=Decimal(2)),
        Figures(cost=Decimal(4), paid_good=2),
        Figures(),
        Figures(cost=Decimal(3), paid_good=1),
    )
    svg = figure_charts.cost_per_good(parts(*days))
    assert ">$3.00</text>" in svg
    line = re.search(r'class="line" d="M([^"]+)"', svg)
    assert line is not None
    assert len(line[1].split("L")) == 3  # nothing is known before the first good version


def test_without_anything_there_is_no_picture() -> None:
    assert figure_charts.flow([Choice("fit", "Fit", 0, False)]) == ""
    assert figure_charts.outcomes(parts(Figures())) == ""
    assert figure_charts.cost_per_good(parts(Figures(cost=Decimal(1)))) == ""


@pytest.mark.parametrize("days", [1, 7, 31, 120])
def test_dates_below_never_crowd(days: int) -> None:
    svg = figure_charts.outcomes(parts(*[Figures(trainings=1, completed=1)] * days))
    dates = re.findall(r'y="212"', svg)
    assert 1 <= len(dates) <= figure_charts.MOST_DATES
