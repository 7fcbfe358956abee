"""The usual kinds of pictures, drawn for real."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from xml.etree import ElementTree

import pytest

from service.console.figure import NARROW, make_figure
from service.console.plotter import Plotter, Spec
from service.console.specs import (
    bars_by_day,
    bars_by_name,
    intervals_by_name,
    line_by_day,
    lines_by_version,
)

DAYS = [(date(2026, 1, 1) + timedelta(days=day), float(day)) for day in range(28)]


@pytest.fixture(scope="module")
def plotter() -> Iterator[Plotter]:
    """Start a plotter and end it."""
    made = Plotter()
    yield made
    made.close()


def drawn(plotter: Plotter, spec: Spec) -> str:
    """Draw a specification for a telephone."""
    figure = make_figure(plotter, spec, title="T", description="D", columns=["C"], rows=[[1]])
    assert "<svg" in figure.narrow, figure.narrow
    return str(figure.narrow)


def test_every_day_has_a_bar(plotter: Plotter) -> None:
    """Twenty-eight days, twenty-eight bars."""
    assert drawn(plotter, bars_by_day(DAYS)).count('class="mark-rect') == 28


@pytest.mark.parametrize("n_days", [90, 365])
def test_days_of_any_period_are_seen(plotter: Plotter, n_days: int) -> None:
    """They cover a third of a column of the page at least: a bar in 365 would have no width."""
    days = [(date(2026, 1, 1) + timedelta(days=day), 5.0) for day in range(n_days)]
    figure = make_figure(
        plotter, bars_by_day(days), title="T", description="D", columns=["C"], rows=[[1]], width=500
    )
    for svg, width in ((str(figure.wide), 500), (str(figure.narrow), NARROW)):
        bars = [float(one) for one in re.findall(r'd="M0,0h([\d.]+)v[^"]*" fill="var', svg)]
        ground = re.findall(r'class="mark-area[^>]*>\s*<path[^>]* d="([^"]*)"', svg)
        points = [float(x) for x in re.findall(r"([\d.]+),[\d.]+", "".join(ground))]
        assert sum(bars) + max(points, default=0.0) > width / 3


@pytest.mark.parametrize(
    ("largest", "labels"),
    [
        (0.8, {"0", "0.2", "0.8"}),
        (2e4, {"0", "10k", "20k"}),
        (2e9, {"0", "1B", "2B"}),
    ],
)
def test_numbers_beside_a_picture_are_written_as_people_do(
    plotter: Plotter, largest: float, labels: set[str]
) -> None:
    """Of small amounts, and of a shop that counts in rupiah: not 200m, nor 0k, nor 2G."""
    svg = drawn(plotter, bars_by_day([(DAYS[0][0], largest)]))
    assert labels <= set(re.findall(r">([^<>]+)</text>", svg))


def test_days_of_nothing_lie_on_the_ground(plotter: Plotter) -> None:
    """As the clicks of a shop that opened today: nought is below, and not in the middle."""
    svg = drawn(plotter, line_by_day([(DAYS[0][0], None), (DAYS[1][0], 0.0)], ".0%"))
    assert {"0%", "100%"} <= set(re.findall(r">([^<>]+)</text>", svg))


def test_day_without_a_number_breaks_the_line(plotter: Plotter) -> None:
    """Of three days the one in the middle has none: two moves and no line between them."""
    gap: list[tuple[date, float | None]] = [
        (DAYS[0][0], 1.0),
        (DAYS[1][0], None),
        (DAYS[2][0], 2.0),
    ]
    svg = drawn(plotter, line_by_day(gap))
    (line,) = re.findall(r'class="mark-line[^>]*>\s*<path[^>]* d="([^"]*)"', svg)
    assert line.count("M") == 2


def test_labels_have_room_behind_the_longest_bar(plotter: Plotter) -> None:
    """On a telephone too a label begins where its bar ends and ends inside of the picture."""
    label = "7,784 · 100.0 %"
    svg = drawn(plotter, bars_by_name([("Served", 7784.0, label), ("Bought", 1.0, "1")]))
    assert label in svg
    (bar,) = re.findall(r'class="mark-rect[^>]*>.*?d="M0?,?[^"]*?h?H?(\d+\.?\d*)', svg, re.DOTALL)[
        :1
    ]
    assert float(bar) + 8 * len(label) < NARROW


def test_names_and_bounds_are_in_the_picture(plotter: Plotter) -> None:
    """Versions at the bottom, names in the legend; an interval has its two ends."""
    svg = drawn(plotter, lines_by_version([("a", "vip", 1.0), ("b", "vip", 2.0)]))
    assert all(f">{word}<" in svg for word in ("a", "b", "vip"))
    svg = drawn(plotter, intervals_by_name([("hybrid", 0.01, 0.005, 0.015)]))
    assert ">hybrid<" in svg


@pytest.mark.parametrize("length", [10, 16, 40])
def test_legend_stands_inside_of_a_telephone(plotter: Plotter, length: int) -> None:
    """Six names, beside and below each other."""
    names = [f"{number}:".ljust(length, "n") for number in range(6)]
    points = [(version, name, 1.0) for version in ("a", "b") for name in names]
    svg = drawn(plotter, lines_by_version(points))
    ends = [end for x, label in _texts(svg) if ":" in label for end in [x + 6 * len(label)]]
    assert len(ends) == 6
    assert max(ends) < NARROW


def _texts(svg: str) -> Iterator[tuple[float, str]]:
    """Find where each text begins, through the groups that it stands in."""

    def walk(element: ElementTree.Element, x: float) -> Iterator[tuple[float, str]]:
        moved = re.match(r"translate\(([-\d.]+)", element.get("transform", ""))
        x += float(moved[1]) if moved else 0.0
        if element.tag.endswith("text"):
            yield x, element.text or ""
        for inner in element:
            yield from walk(inner, x)

    yield from walk(ElementTree.fromstring(svg), 0.0)


@pytest.mark.parametrize(
    "spec", [bars_by_day([]), line_by_day([]), bars_by_name([]), intervals_by_name([])]
)
def test_nothing_is_drawn_as_nothing(plotter: Plotter, spec: Spec) -> None:
    """No days and no names are no error."""
    assert drawn(plotter, spec)
