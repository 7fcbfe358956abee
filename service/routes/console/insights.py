"""Insights: what the shop as a whole does, over a period and beside the one before."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Controller, Response, get
from litestar.params import FromPath, FromQuery

from service.console.figure import Figure, make_figure
from service.console.plotter import Plotter, Spec
from service.console.specs import bars_by_day, bars_by_name, line_by_day, lines_by_version
from service.console.tables import Table
from service.insights.figures import Insights
from service.routes.console.downloads import csv_file, find_table, table_name
from service.routes.console.frame import ConsoleRequest, Page, page
from service.routes.console.gate import section
from service.routes.console.insight_tables import STAGE_NAMES, tables_of
from service.services import services_of

PERIODS = (7, 28, 90, 365)
DEFAULT_DAYS = 28
HALF = 500
"""Width of a picture in one of two columns, in px."""
MAX_LINES = 6
MANY_WAITING = 1_000
"""Rows that make figures too low; fewer have come in since they were read."""


class InsightPages(Controller):
    """The market, the funnel, the channels, the catalogue and the segments."""

    path = "/insights"
    opt = section("insights")

    @get(sync_to_thread=True)
    def show(self, request: ConsoleRequest, days: FromQuery[int] = DEFAULT_DAYS) -> Page:
        """Show a period."""
        days = period(days)
        services = services_of(request)
        found = services.insights.read(days)
        tables = tables_of(found)
        return page(
            request,
            "insights/show.html",
            title="Insights",
            days=days,
            periods=PERIODS,
            found=found,
            tables=tables,
            figures=draw(services.console.plotter, found, tables),
            stage_names=STAGE_NAMES,
            many_waiting=MANY_WAITING,
            is_empty=not (found.orders.orders or found.funnel[0].exposures or found.channels),
        )

    @get("/{file:str}", sync_to_thread=True)
    def download(
        self, request: ConsoleRequest, file: FromPath[str], days: FromQuery[int] = DEFAULT_DAYS
    ) -> Response[str]:
        """Give a table away."""
        days, name = period(days), table_name(file)
        table = find_table(tables_of(services_of(request).insights.read(days)), name)
        return csv_file(f"{name}-{days}-days", table)


def period(days: int) -> int:
    """Return one of the periods that the page offers."""
    return days if days in PERIODS else DEFAULT_DAYS


def draw(plotter: Plotter, found: Insights, tables: dict[str, Table]) -> dict[str, Figure]:
    """Draw every picture of the page."""
    days = tables["days"]

    def by_day(spec: Spec, title: str, description: str, *columns: int) -> Figure:
        return make_figure(
            plotter,
            spec,
            title=title,
            description=description,
            columns=[days.columns[place] for place in (0, *columns)],
            rows=[[row[place] for place in (0, *columns)] for row in days.rows],
            note="the last day is not over",
            height=200,
            width=HALF,
        )

    figures = {
        "value": by_day(
            bars_by_day([(day.date, day.value) for day in found.days]),
            "Value of orders",
            f"A bar for each day; {found.orders.value:,.0f} over the period.",
            *(4, 5),
        ),
        "average": by_day(
            line_by_day([(day.date, day.average_order_value) for day in found.days]),
            "Average order value",
            "A line over the days; a day without orders has no point.",
            *(4, 6),
        ),
        "items": by_day(
            line_by_day([(day.date, day.items_per_order) for day in found.days], ".1f"),
            "Items per order",
            "A line over the days; a day without orders has no point.",
            *(4, 7),
        ),
        "clicks": by_day(
            line_by_day(
                [
                    (day.date, day.clicked / day.served if day.served else None)
                    for day in found.days
                ],
                ".1~%",
            ),
            "Exposures that were clicked",
            "The share of each day's exposures that was clicked, whenever the click came.",
            *(1, 2),
        ),
        "funnel": make_figure(
            plotter,
            _funnel(found),
            title="From served to bought",
            description="A bar for each stage; its label says how many and what share of served.",
            columns=tables["funnel"].columns,
            rows=tables["funnel"].rows if found.funnel[0].exposures else [],
            height=230,
        ),
    }
    if len({one.version for one in found.segments}) > 1:
        figures["segments"] = _draw_segments(plotter, found, tables["segments"])
    return figures


def _draw_segments(plotter: Plotter, found: Insights, table: Table) -> Figure:
    """Draw the largest segments; the table has them all."""
    newest = [one for one in found.segments if one.version == found.segments[-1].version]
    largest = sorted(newest, key=lambda one: -one.users)[:MAX_LINES]
    lines = [one.segment for one in largest]
    points = [
        (f"{_moment(one.trained_at_ms)} · {one.version[:4]}", one.segment, float(one.users))
        for one in found.segments
        if one.segment in lines
    ]
    return make_figure(
        plotter,
        lines_by_version(points),
        title="Segments from version to version",
        note=f"the {len(lines)} largest; the table has all",
        description="A line for each segment: its users in every model version.",
        columns=table.columns,
        rows=table.rows,
        height=260,
    )


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%-d %b %H:%M")


def _funnel(found: Insights) -> Spec:
    served = found.funnel[0].exposures
    return bars_by_name(
        [
            (
                STAGE_NAMES.get(step.stage, step.stage),
                float(step.exposures),
                f"{step.exposures:,}"
                + (f" · {step.exposures / served:.1%}" if served and step.exposures else ""),
            )
            for step in found.funnel
        ]
    )
