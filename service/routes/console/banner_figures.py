"""Pictures of how a banner does."""

from __future__ import annotations

from models.plural import plural
from service.console.figure import Figure, make_figure
from service.console.plotter import Plotter
from service.learning.performance import BannerPerformance


def clicks_by_day(plotter: Plotter, performance: BannerPerformance) -> Figure:
    """Draw how many clicks came from a hundred showings, day by day."""
    rows = [
        [one.day, one.assigned, one.clicks, round(100 * one.clicks / one.assigned, 2)]
        for one in performance.days
        if one.assigned
    ]
    spec = {
        "data": {"values": [{"day": row[0], "rate": row[3]} for row in rows]},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "day", "type": "temporal", "title": None},
            "y": {
                "field": "rate",
                "type": "quantitative",
                "title": "clicks of 100 showings",
                "scale": {"zero": True},
            },
        },
    }
    return make_figure(
        plotter,
        spec,
        title="Clicks by day",
        description=f"Clicks of a hundred showings on {plural(len(rows), 'day')}.",
        columns=["Day", "Served", "Clicks", "Clicks of 100"],
        rows=rows,
        height=200,
    )
