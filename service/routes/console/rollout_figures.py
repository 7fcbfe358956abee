"""What a rollout brought, as pictures: the lift of each epoch over time, and of every metric."""

from __future__ import annotations

from typing import Any

from models.plural import plural
from service.console.figure import SERIES, Figure, make_figure
from service.console.formatting import percent, signed_percent, utc_minute
from service.console.plotter import Plotter
from service.console.specs import legend_of
from service.reports.report import Report
from service.routes.console.rollout_rows import (
    LIFT_COLUMNS,
    METRIC_COLUMNS,
    METRIC_NAMES,
    TIME_COLUMNS,
    lift_rows,
    metric_rows,
)

_WIDEST = 2.0
"""Where a picture ends that no lift reaches: an interval without data would flatten the rest."""
_LEAST = 0.05
_MAX_MARKS = 20


def draw_known_lift(
    plotter: Plotter, report: Report, metric: str, rows: list[list[Any]], shares: dict[int, float]
) -> Figure:
    """Draw how the lift and its interval became what they are; `shares` are those of epochs."""
    values = [dict(zip(("at", "variant", "lift", "low", "high"), row, strict=True)) for row in rows]
    first_ms = rows[0][0]
    marks = [
        {
            "at": max(epoch.opened_at_ms, first_ms),
            "label": f"{percent(shares[epoch.epoch], 4)}" if epoch.epoch in shares else "",
        }
        for epoch in report.epochs
        if epoch.opened_at_ms is not None
    ][-_MAX_MARKS:]
    x = _time_axis("at")
    y = _lift_axis([["", "", *row[2:]] for row in rows[len(rows) // 4 :]], "y", "low", (3, 4))
    color = _color(report)
    spec = {
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [4, 4]}, "encoding": {"y": {"datum": 0}}},
            {
                "mark": {"type": "area", "fillOpacity": 0.16, "clip": True},
                "encoding": {"x": x, "y": y, "y2": {"field": "high"}, "color": color},
            },
            {
                "mark": {"type": "line", "clip": True},
                "encoding": {
                    **{"x": x, "y": {"field": "lift", "type": "quantitative"}, "color": color}
                },
            },
            {
                "data": {"values": marks},
                "mark": {"type": "rule", "strokeDash": [2, 3], "opacity": 0.7},
                "encoding": {"x": x},
            },
            {
                "data": {"values": marks},
                "mark": {"type": "text", "align": "left", "dx": 4, "dy": 8, "fontSize": 11},
                "encoding": {"x": x, "y": {"value": 0}, "text": {"field": "label"}},
            },
        ],
    }
    shown = [[utc_minute(row[0]), row[1], *map(signed_percent, row[2:])] for row in rows]
    name = METRIC_NAMES.get(metric, metric)
    return make_figure(
        plotter,
        spec,
        title=f"Lift of {name.lower()} over time",
        note="over all epochs so far; the band holds at every look, a dotted line begins an "
        "epoch; UTC",
        description=f"{plural(len(rows), 'point')}; at last {shown[-1][2]} "
        f"({shown[-1][3]} to {shown[-1][4]}).",
        columns=TIME_COLUMNS,
        rows=shown,
        height=260,
    )


def draw_lift(plotter: Plotter, report: Report, metric: str) -> Figure:
    """Draw the lift of each epoch over the time it lasted."""
    rows = lift_rows(report, metric)
    values = [
        dict(zip(("epoch", "from", "until", "variant", "lift", "low", "high"), row, strict=True))
        for row in rows
    ]
    x = _time_axis("from")
    y = _lift_axis(rows, "y", "low", (5, 6))
    color = _color(report)
    spec = {
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [4, 4]}, "encoding": {"y": {"datum": 0}}},
            {
                "mark": {"type": "rect", "opacity": 0.18, "clip": True},
                "encoding": {
                    "x": x,
                    "x2": {"field": "until"},
                    "y": y,
                    "y2": {"field": "high"},
                    "color": color,
                },
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2.5, "clip": True},
                "encoding": {
                    "x": x,
                    "x2": {"field": "until"},
                    "y": {"field": "lift", "type": "quantitative"},
                    "color": color,
                },
            },
            {
                "transform": [{"filter": "datum.epoch > 1"}],
                "mark": {"type": "rule", "strokeDash": [2, 3], "opacity": 0.7},
                "encoding": {"x": x},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "dy": 12, "fontSize": 11},
                "encoding": {"x": x, "y": {"value": 0}, "text": {"field": "label"}},
            },
        ],
    }
    for value in values:
        value["label"] = f"epoch {value['epoch']}"
    name = METRIC_NAMES.get(metric, metric)
    return make_figure(
        plotter,
        spec,
        title=f"Lift of {name.lower()} by epoch",
        note="relative to control; the band holds at every look; UTC",
        description=_in_words(rows),
        columns=LIFT_COLUMNS,
        rows=map(_readable, rows),
        height=260,
    )


def draw_metrics(plotter: Plotter, report: Report) -> Figure:
    """Draw every metric over all epochs; the bar is for one look, the line for all."""
    rows = metric_rows(report)
    names = ("metric", "variant", "lift", "low", "high", "fixed_low", "fixed_high")
    x = _lift_axis(rows, "x", "low", (3, 4))
    y = {
        "field": "metric",
        "type": "nominal",
        "title": None,
        "sort": None,
        "axis": {"ticks": False},
    }
    offset = {"field": "variant"}
    color = _color(report)
    spec = {
        "data": {"values": [dict(zip(names, row, strict=True)) for row in rows]},
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [4, 4]}, "encoding": {"x": {"datum": 0}}},
            {
                "mark": {"type": "rule", "strokeWidth": 2, "clip": True},
                "encoding": {
                    **{"x": x, "x2": {"field": "high"}, "y": y, "yOffset": offset},
                    "color": color,
                },
            },
            {
                "mark": {"type": "rule", "strokeWidth": 8, "opacity": 0.3, "clip": True},
                "encoding": {
                    "x": {"field": "fixed_low", "type": "quantitative"},
                    "x2": {"field": "fixed_high"},
                    **{"y": y, "yOffset": offset, "color": color},
                },
            },
            {
                "mark": {"type": "point", "size": 70, "clip": True},
                "encoding": {
                    "x": {"field": "lift", "type": "quantitative"},
                    **{"y": y, "yOffset": offset, "color": color},
                },
            },
        ],
    }
    shown = [[row[0], row[1], *map(signed_percent, row[2:])] for row in rows]
    return make_figure(
        plotter,
        spec,
        title="Lift of every metric",
        note="over all epochs; line: holds at every look, bar: for one look at a fixed date",
        description="; ".join(f"{row[0]} {signed_percent(row[2])}" for row in rows),
        columns=METRIC_COLUMNS,
        rows=shown,
        height=60 + 34 * len(rows),
    )


def _time_axis(field: str) -> dict[str, Any]:
    """Write times in UTC with 24 hours, and a day where one begins."""
    clock, day = "%H:%M", "%-d %b"
    forms = {
        **{"milliseconds": "%H:%M:%S", "seconds": "%H:%M:%S", "minutes": clock, "hours": clock},
        **{"day": day, "date": day, "week": day, "month": "%b", "quarter": "%b", "year": "%Y"},
    }
    return {
        "field": field,
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc"},
        "axis": {"format": forms, "tickCount": {"expr": "clamp(floor(width / 80), 2, 10)"}},
    }


def _lift_axis(
    rows: list[list[Any]], channel: str, field: str, places: tuple[int, int]
) -> dict[str, Any]:
    """Make room for the intervals, but not for those that say nothing."""
    below = _room([-row[places[0]] for row in rows], [-row[places[0] - 1] for row in rows])
    above = _room([row[places[1]] for row in rows], [row[places[0] - 1] for row in rows])
    form = "+.0%" if below + above > 0.2 else "+.1%"
    label = f"replace(format(datum.value, '{form}'), '%', ' %')"
    axis: dict[str, Any] = {"labelExpr": label, "grid": True}
    if channel == "x":
        # As many as stand beside each other, on a telephone too.
        axis["tickCount"] = {"expr": "clamp(floor(width / 80), 2, 6)"}
    return {
        "field": field,
        "type": "quantitative",
        "title": None,
        "axis": axis,
        "scale": {"domain": [-below, above], "nice": False, "clamp": True},
    }


def _room(ends: list[float], lifts: list[float]) -> float:
    """Say how far from zero a picture goes on one side."""
    reach = min(1.1 * max(ends, default=0.0), _WIDEST)
    return max(reach, 1.3 * max(lifts, default=0.0), _LEAST)


def _color(report: Report) -> dict[str, Any]:
    names = sorted({one.variant for one in report.comparisons})
    return {
        "field": "variant",
        "type": "nominal",
        "scale": {"domain": names, "range": SERIES[: max(len(names), 1)]},
        "legend": legend_of(names) if len(names) > 1 else None,
    }


def _readable(row: list[Any]) -> list[Any]:
    epoch, from_ms, until_ms, variant, *lift = row
    return [epoch, utc_minute(from_ms), utc_minute(until_ms), variant, *map(signed_percent, lift)]


def _in_words(rows: list[list[Any]]) -> str:
    told = [
        f"epoch {row[0]}, {row[3]}: {signed_percent(row[4])} "
        f"({signed_percent(row[5])} to {signed_percent(row[6])})"
        for row in rows[-6:]
    ]
    return "; ".join(told)
