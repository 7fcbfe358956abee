"""Figures: a picture for those who look, a table for those who read, a file for those who compute.

The specifications are Vega-Lite's. Colours are the custom properties of console.css, so that one
picture is right in light and in dark; a narrow one is drawn too, for a telephone.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from markupsafe import Markup, escape

from service.console.plotter import Plotter, Spec

WIDE, NARROW = 960, 330
SERIES = [f"var(--series-{number})" for number in range(1, 7)]
_numbers = count(1)
_SVG = re.compile(r"^<svg[^>]*viewBox=\"([^\"]*)\"[^>]*>")
_TAG = re.compile(r"<[^>]*>")
_ROLE = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
_LONG_NUMBER = re.compile(r"\d+\.\d{3,}")
_FORMULA = re.compile(r"""^(?=[=+\-@\t\r\n])|(?<=;)(?="*[=+\-@\t\r\n])""")
"""Where a formula may begin: also behind a semicolon, at which Excel in German and other languages
divides a file, whatever is quoted there."""
_ID = re.compile(r'(\bid="|url\(#|href="#)')

CONFIG: Spec = {
    "background": None,
    "aria": False,
    "font": "sans-serif",
    "padding": 4,
    "view": {"stroke": None},
    "range": {"category": SERIES},
    "axis": {
        "gridColor": "var(--chart-grid)",
        "domainColor": "var(--chart-grid)",
        "tickColor": "var(--chart-grid)",
        "labelColor": "var(--chart-axis)",
        "titleColor": "var(--chart-axis)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelPadding": 6,
        "labelLimit": 260,
        "ticks": False,
    },
    "axisX": {"grid": False, "labelFlush": True, "labelOverlap": True, "tickCount": 6},
    "axisY": {"domain": False, "tickCount": 5},
    "legend": {
        "labelColor": "var(--chart-axis)",
        "titleColor": "var(--chart-axis)",
        "labelFontSize": 12,
        "orient": "top",
        "title": None,
        "symbolType": "circle",
        "labelLimit": 240,
    },
    "line": {"strokeWidth": 2.5, "strokeCap": "round", "color": SERIES[0]},
    "area": {"color": SERIES[0]},
    "bar": {"color": SERIES[0], "cornerRadiusEnd": 3},
    "rule": {"color": "var(--chart-axis)"},
    "point": {"color": SERIES[0], "filled": True, "size": 55},
    "text": {"color": "var(--chart-axis)", "fontSize": 12},
}


@dataclass(frozen=True, slots=True)
class Figure:
    """What the macro `chart` of parts.html shows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    wide: Markup = field(default_factory=Markup)
    narrow: Markup = field(default_factory=Markup)


def make_figure(
    plotter: Plotter,
    spec: Spec,
    *,
    title: str,
    description: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    note: str = "",
    height: int = 240,
    width: int = WIDE,
) -> Figure:
    """Draw a specification in both widths.

    Parameters
    ----------
    spec
        A Vega-Lite specification without size and configuration.
    description
        What the picture shows, in a sentence, for those who cannot see it.
    columns, rows
        The table behind the picture.
    width
        Of the wide one, in px as it will stand there: `WIDE` for a whole page, less in a column.
    """
    table = [list(row) for row in rows]
    if not table:
        return Figure(title, columns, table, note)
    wide, narrow = (
        _accessible(plotter.draw(_sized(spec, each, height)), title, description)
        for each in (width, NARROW)
    )
    return Figure(title, columns, table, note, wide, narrow)


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table as CSV; an apostrophe stops text that a spreadsheet would run as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_harmless(column) for column in columns])
    writer.writerows([[_harmless(cell) for cell in row] for row in rows])
    return out.getvalue()


def _harmless(cell: Any) -> Any:
    return _FORMULA.sub("'", cell) if isinstance(cell, str) else cell


def _sized(spec: Spec, width: int, height: int) -> Spec:
    return {
        **spec,
        "width": width,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "config": {**CONFIG, **spec.get("config", {})},
    }


def _accessible(svg: str, title: str, description: str) -> Markup:
    """Give a picture a name, and ids of its own: several of them stand on one page."""
    if not svg:
        return Markup('<p class="quiet">The picture cannot be drawn; the table is below.</p>')
    number = next(_numbers)
    head = Markup(
        '<svg viewBox="{box}" role="img" aria-labelledby="c{n}-t c{n}-d">'
        '<title id="c{n}-t">{title}</title><desc id="c{n}-d">{description}</desc>'
    )
    found = _SVG.match(svg)
    box = found[1] if found else f"0 0 {WIDE} 240"
    body = _TAG.sub(lambda tag: _plain(tag[0], number), svg[found.end() if found else 0 :])
    opened = head.format(box=box, n=number, title=title, description=description)
    return opened + Markup(body)  # drawn by the library, which escapes its texts


def _plain(tag: str, number: int) -> str:
    """Write a tag with an id of its own and short numbers; texts between tags may hold anything."""
    # The picture is one image to a screen reader, and the table says the rest.
    tag = _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}", _ROLE.sub("", tag))
    return _ID.sub(rf"\1c{number}-", tag)


def share_bar(parts: Sequence[tuple[str, float]]) -> Markup:
    """Draw shares of one whole as a bar; the legend says which is which."""
    total = sum(share for _, share in parts) or 1
    at, drawn = 0.0, []
    for tone, (_, share) in enumerate(parts, 1):
        width = 100 * share / total
        drawn.append(
            Markup('<rect class="tone-{}" x="{:.3f}" width="{:.3f}" height="10"/>').format(
                tone, at, width
            )
        )
        at += width
    label = escape(", ".join(f"{name} {share / total:.0%}" for name, share in parts))
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>'
    ).format(label, Markup("").join(drawn))
