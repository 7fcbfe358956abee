"""Charts as numbers for the template: places in percent, ticks, labels. No library draws them.

Two kinds are all a report needs, a dot with its interval and a line; a chart library would bring
scripts into a page that has to work from a mail attachment.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.manifest import Interval

WIDTH, HEIGHT = 560.0, 240.0
"""Size of the plane of a line chart, in the units of its view box."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, in percent or units of the view box, and its number."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A figure with its interval on a scale, all in percent of the width."""

    name: str
    colour: int
    at: float
    low: float
    high: float
    text: str
    interval: str


@dataclass(frozen=True, slots=True)
class DotChart:
    """One figure of every recommender, below each other."""

    title: str
    note: str
    dots: list[Dot]
    ticks: list[Tick]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: the points of an SVG polyline, and where its name stands."""

    name: str
    colour: int
    points: str
    end_text: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """Curves over the lengths of the lists."""

    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def dot_chart(
    title: str,
    note: str,
    figures: Mapping[str, Interval],
    colours: Mapping[str, int],
    top: float | None = None,
) -> DotChart:
    """Place the figures on a scale from 0 to `top`, by default the largest upper end."""
    if top is None:
        top = max((found.high for found in figures.values()), default=0.0)
    end, ticks = scale(top)
    dots = [
        Dot(
            name=name,
            colour=colours[name],
            at=_percent(found.value, end),
            low=_percent(found.low, end),
            high=_percent(found.high, end),
            text=f"{found.value:.4f}",
            interval=f"{found.low:.4f} to {found.high:.4f}",
        )
        for name, found in figures.items()
    ]
    return DotChart(title, note, dots, [Tick(_percent(tick, end), _number(tick)) for tick in ticks])


def line_chart(curves: Mapping[str, Sequence[float]], colours: Mapping[str, int]) -> LineChart:
    """Draw shares, given for the lengths 1, 2, ... of the lists."""
    longest = max((len(curve) for curve in curves.values()), default=1)
    end, ticks = scale(max((max(curve, default=0.0) for curve in curves.values()), default=0.0))

    def x_of(k: int) -> float:
        return WIDTH * (k - 1) / max(longest - 1, 1)

    def y_of(value: float) -> float:
        return HEIGHT * (1 - value / end)

    lines = [
        Line(
            name=name,
            colour=colours[name],
            points=" ".join(f"{x_of(k):.1f},{y_of(value):.1f}" for k, value in enumerate(curve, 1)),
            end_text=f"{curve[-1]:.0%}" if curve else "",
        )
        for name, curve in curves.items()
    ]
    lengths = sorted({1, *range(5, longest + 1, 5), longest})
    return LineChart(
        lines,
        [Tick(x_of(k), str(k)) for k in lengths],
        [Tick(y_of(tick), f"{tick:.0%}" if end >= 0.05 else f"{tick:.1%}") for tick in ticks],
    )


def scale(largest: float) -> tuple[float, list[float]]:
    """Return the end of a scale from 0 that holds `largest`, and three to six round ticks."""
    if not largest > 0 or not math.isfinite(largest):
        return 1.0, [0.0, 0.5, 1.0]
    magnitude = 10.0 ** math.floor(math.log10(largest))
    step = next(s * magnitude for s in (0.2, 0.5, 1.0, 2.0) if largest / (s * magnitude) <= 5.0)
    n = math.ceil(largest / step - 1e-9)
    return n * step, [number * step for number in range(n + 1)]


def _percent(value: float, end: float) -> float:
    return round(100.0 * min(max(value / end, 0.0), 1.0), 2)


def _number(value: float) -> str:
    return f"{value:.6g}"
