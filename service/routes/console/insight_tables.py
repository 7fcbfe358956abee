"""Insights as tables: what stands behind the pictures, and in the files."""

from __future__ import annotations

from service.console.formatting import utc_minute
from service.console.tables import Table, rounded
from service.insights.figures import Insights
from service.insights.shares import ratio

STAGE_NAMES = {
    "served": "Served",
    "rendered": "Drawn",
    "viewable": "Seen",
    "click": "Clicked",
    "add_to_cart": "In the cart",
    "purchase": "Bought",
}


def tables_of(found: Insights) -> dict[str, Table]:
    """Write everything on the page as tables, by the names of their files."""
    return {
        "days": _days(found),
        "funnel": _funnel(found),
        "placements": _placements(found),
        "channels": _channels(found),
        "readiness": _readiness(found),
        "segments": _segments(found),
    }


def _days(found: Insights) -> Table:
    return Table(
        [
            *("Day", "Exposures", "Exposures clicked", "Product views", "Orders", "Value"),
            *("Average order value", "Items per order"),
        ],
        [
            (
                *(day.date.isoformat(), day.served, day.clicked, day.views, day.orders),
                *map(rounded, (day.value, day.average_order_value, day.items_per_order)),
            )
            for day in found.days
        ],
    )


def _funnel(found: Insights) -> Table:
    return Table(
        ["Stage", "Exposures", "Share of served", "Lost since the stage before"],
        [
            (
                STAGE_NAMES.get(step.stage, step.stage),
                step.exposures,
                rounded(ratio(step.exposures, found.funnel[0].exposures)),
                rounded(step.drop_off),
            )
            for step in found.funnel
        ],
    )


def _placements(found: Insights) -> Table:
    stages = [step.stage for step in found.funnel]
    return Table(
        ["Placement", *(STAGE_NAMES.get(stage, stage) for stage in stages)],
        [(one.placement_id, *(step.exposures for step in one.steps)) for one in found.placements],
    )


def _channels(found: Insights) -> Table:
    return Table(
        ["Channel", "Interactions", "Share", "Orders", "Value", "Average order value"],
        [
            (
                *(one.channel or "not named", one.interactions, rounded(one.share)),
                *(one.orders, rounded(one.value), rounded(one.average_order_value)),
            )
            for one in found.channels
        ],
    )


def _readiness(found: Insights) -> Table:
    return Table(
        [
            *("Seven days from", "Slates", "Sampled", "With an id"),
            *("Could be personal", "Were personal"),
        ],
        [
            (
                *(week.first_day.isoformat(), week.slates, week.sampled),
                *map(rounded, (week.with_id, week.could_be_personal, week.were_personal)),
            )
            for week in found.readiness.weeks
        ],
    )


def _segments(found: Insights) -> Table:
    return Table(
        ["Version", "Trained at (UTC)", "Segment", "Users", "Share of users"],
        [
            (one.version, utc_minute(one.trained_at_ms), one.segment, one.users, rounded(one.share))
            for one in found.segments
        ],
    )
