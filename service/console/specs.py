"""The usual kinds of pictures as Vega-Lite specifications: by day, by name, by version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from service.console.plotter import Spec

_LABEL_PX = 150
_LEGEND_PX, _SYMBOL_PX = 240, 30
"""Of a name in a legend, and of the point before it."""
_MAX_BARS = 120
"""A bar that is less than a pixel wide is not drawn, with a gap beside it."""
SHORT = "~s"
_SHORT_LABEL = "abs(datum.value) < 1 ? format(datum.value, '~g') : replace(datum.label, 'G', 'B')"
"""The library counts what is below one in thousandths, 200m, and a billion as 1G, as of bytes."""
_DAYS: Spec = {
    "field": "day",
    "type": "temporal",
    "timeUnit": "utcyearmonthdate",
    "axis": {"title": None, "format": "%-d %b", "tickCount": 6},
}


def bars_by_day(days: Sequence[tuple[date, float | None]], number_format: str = SHORT) -> Spec:
    """Draw a bar a day; steps over a ground for more days than there is room for bars."""
    bar: Spec = {"type": "bar", "width": {"band": 0.75}}
    steps: Spec = {"type": "area", "interpolate": "step"}
    return _by_day(days, bar if len(days) <= _MAX_BARS else steps, number_format)


def line_by_day(days: Sequence[tuple[date, float | None]], number_format: str = SHORT) -> Spec:
    """Draw a line with a point a day; a day without a number breaks it."""
    return _by_day(days, {"type": "line", "point": True}, number_format)


def bars_by_name(
    bars: Sequence[tuple[str, float, str]], *, domain_max: float | None = None
) -> Spec:
    """Draw named bars below each other, each with its own label at its end."""
    values = [{"name": name, "value": value, "label": label} for name, value, label in bars]
    longest = max((value for _, value, _ in bars), default=0.0) or 1
    domain = [0, longest if domain_max is None else domain_max]
    # Room for the labels behind the bars, whatever the width.
    room_px = 10 + 8 * max((len(label) for *_, label in bars), default=0)
    by_name = _names(name for name, *_ in bars)
    by_value: Spec = {
        "field": "value",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": domain, "range": [0, {"expr": f"width - {room_px}"}]},
    }
    return {
        "data": {"values": values},
        "encoding": {"y": by_name, "x": by_value},
        "layer": [
            {"mark": {"type": "bar", "height": {"band": 0.62}}},
            {
                "mark": {"type": "text", "align": "left", "dx": 5},
                "encoding": {"text": {"field": "label"}},
            },
        ],
    }


def lines_by_version(points: Sequence[tuple[str, str, float]], number_format: str = SHORT) -> Spec:
    """Draw a line a name over versions, in the order given: version, name, value."""
    values = [{"at": at, "name": name, "value": value} for at, name, value in points]
    return {
        "data": {"values": values},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {
                "field": "at",
                "type": "ordinal",
                "sort": None,
                "axis": {"title": None, "labelAngle": 0, "labelOverlap": True},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "axis": number_axis(number_format),
                "scale": {"zero": True},
            },
            "color": {
                "field": "name",
                "type": "nominal",
                "sort": None,
                "legend": legend_of({name for _, name, _ in points}),
            },
        },
    }


def number_axis(number_format: str = SHORT) -> Spec:
    """Write the numbers beside a picture; `SHORT` as people do: 0.5, 20k, 3M, 1B."""
    axis: Spec = {"title": None, "format": number_format}
    return axis | ({"labelExpr": _SHORT_LABEL} if number_format == SHORT else {})


def legend_of(names: Iterable[str]) -> Spec:
    """Put names above a picture, beside each other as far as they stand inside of it."""
    longest = max(map(len, names), default=0)
    room_px = _SYMBOL_PX + min(8 * longest, _LEGEND_PX)
    return {
        "columns": {"expr": f"clamp(floor(width / {room_px}), 1, 3)"},
        "labelLimit": _LEGEND_PX,
    }


def intervals_by_name(rows: Sequence[tuple[str, float, float, float]]) -> Spec:
    """Draw a value with its interval a name, and the line of no difference."""
    values = [
        {"name": name, "value": value, "low": low, "high": high} for name, value, low, high in rows
    ]
    by_name = _names(name for name, *_ in rows)
    x: Spec = {
        "type": "quantitative",
        "axis": {"title": None, "format": "+.3f", "grid": True, "tickCount": 5},
    }
    return {
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [3, 3]}, "encoding": {"x": {"datum": 0}}},
            {
                "mark": {"type": "rule", "strokeWidth": 3, "color": "var(--series-1)"},
                "encoding": {
                    "y": by_name,
                    "x": {"field": "low", **x},
                    "x2": {"field": "high"},
                },
            },
            {
                "mark": {"type": "point", "size": 110},
                "encoding": {"y": by_name, "x": {"field": "value", **x}},
            },
        ],
    }


def _names(names: Iterable[str]) -> Spec:
    """Put names at the left; the page may write them in a wider font than the library measures."""
    longest = max(map(len, names), default=0)
    return {
        "field": "name",
        "type": "nominal",
        "sort": None,
        "axis": {
            "title": None,
            "labelLimit": _LABEL_PX,
            "minExtent": min(_LABEL_PX, 8 * longest),
            "domain": False,
        },
    }


def _by_day(days: Sequence[tuple[date, float | None]], mark: Spec, number_format: str) -> Spec:
    # Without anything above it the library puts nought in the middle.
    has_any = any(value for _, value in days)
    return {
        "data": {"values": [{"day": day.isoformat(), "value": value} for day, value in days]},
        "mark": mark,
        "encoding": {
            "x": _DAYS,
            "y": {
                "field": "value",
                "type": "quantitative",
                "axis": number_axis(number_format),
                "scale": {"zero": True} if has_any else {"domain": [0, 1]},
            },
        },
    }
