"""What a rollout brought, as rows: for the tables behind its pictures and for files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.reports.comparison import METRICS, Interval
from service.reports.report import Report
from service.stores.lift_points import LiftPoint

METRIC_NAMES = {
    "click_through": "Click-through",
    "add_to_cart": "Add to cart",
    "conversion": "Conversion",
    "revenue_per_unit": "Revenue per unit",
    "capped_revenue_per_unit": "Revenue, capped",
    "average_order_value": "Order value",
    "return_rate": "Came back",
    "visits_per_unit": "Visits per unit",
    "dwell_per_visit": "Dwell per visit",
    "retention_7": "Seen on days 1 to 7",
    "retention_14": "Seen on days 7 to 14",
    "retention_28": "Seen on days 14 to 28",
}
LIFT_COLUMNS = ["Epoch", "From (UTC)", "Until (UTC)", "Variant", "Lift", "Low", "High"]
TIME_COLUMNS = ["At (UTC)", "Variant", "Lift", "Low", "High"]
METRIC_COLUMNS = ["Metric", "Variant", "Lift", "Low", "High", "One look: low", "One look: high"]


def lift_rows(report: Report, metric: str) -> list[list[Any]]:
    """List the lift of a metric by epoch, with the interval that holds at every look."""
    rows: list[list[Any]] = []
    for place, epoch in enumerate(report.epochs):
        following = report.epochs[place + 1 : place + 2]
        until_ms = following[0].opened_at_ms if following else report.at_ms
        for one in epoch.comparisons:
            lift = one.always_valid_relative
            if one.metric == metric and lift is not None and epoch.opened_at_ms is not None:
                rows.append([epoch.epoch, epoch.opened_at_ms, until_ms, one.variant, *_of(lift)])
    return rows


def metric_rows(report: Report) -> list[list[Any]]:
    """List the lift of every metric over all epochs."""
    rows: list[list[Any]] = []
    for metric in METRICS:
        for one in report.comparisons:
            if one.metric == metric and one.always_valid_relative is not None:
                fixed = one.relative or one.always_valid_relative
                rows.append(
                    [
                        METRIC_NAMES[metric],
                        one.variant,
                        *_of(one.always_valid_relative),
                        *_of(fixed)[1:],
                    ]
                )
    return rows


def known_lift(report: Report, metric: str, points: Sequence[LiftPoint]) -> list[list[Any]]:
    """List the lift over all epochs as it was known from time to time, and as it is now."""
    rows: list[list[Any]] = [
        [one.at_ms, one.variant, one.value, one.low, one.high] for one in points
    ]
    last_ms = points[-1].at_ms if points else 0
    if report.at_ms > last_ms:
        rows += [
            [report.at_ms, one.variant, *_of(one.always_valid_relative)]
            for one in report.comparisons
            if one.metric == metric and one.always_valid_relative is not None
        ]
    return rows


def _of(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]
