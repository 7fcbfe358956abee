"""Shows a report on a terminal."""

from __future__ import annotations

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from service.reports.report import Arm, Comparison, Epoch, Interval, MetricName, Report

_TITLES: dict[MetricName, str] = {
    "click_through": "click-through",
    "conversion": "conversion",
    "revenue_per_unit": "revenue/unit",
}


def print_report(report: Report, console: Console) -> None:
    """Print the arms, their differences, each epoch and the notes."""
    parts: list[Table | Text] = [_arms(f"{report.rollout}: all epochs", report.arms)]
    if report.comparisons:
        parts.append(_comparisons(report.comparisons))
    if len(report.epochs) > 1:
        parts += [_arms(f"epoch {epoch.epoch}", epoch.arms) for epoch in report.epochs]
    parts += [_sample_ratio(epoch) for epoch in report.epochs]
    parts += [Text(f"! {note}") for note in report.notes]
    console.print(Group(*parts))


def _table(title: str) -> Table:
    """Make a table that fits on a terminal of 80 columns."""
    return Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))


def _arms(title: str, arms: list[Arm]) -> Table:
    table = _table(title)
    table.add_column("variant", no_wrap=True)
    for name in (
        "share",
        "units",
        "exposures",
        "clicked",
        "rate",
        "buyers",
        "revenue",
        "per unit",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for arm in arms:
        table.add_row(
            arm.variant,
            _percent(arm.declared_share, 1),
            f"{arm.units:,}",
            f"{arm.exposures:,}",
            f"{arm.clicked_exposures:,}",
            _percent(arm.click_through, 2),
            f"{arm.buyers:,}",
            f"{arm.revenue:,.2f}",
            "" if arm.revenue_per_unit is None else f"{arm.revenue_per_unit:,.4f}",
        )
    return table


def _comparisons(comparisons: list[Comparison]) -> Table:
    table = _table("against control, with 95 % intervals")
    table.add_column("variant")
    table.add_column("metric")
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("relative", justify="right", no_wrap=True)
    for each in comparisons:
        shares = each.metric != "revenue_per_unit"
        table.add_row(
            each.variant,
            _TITLES[each.metric],
            _interval(each.absolute, 100 if shares else 1, " pp" if shares else ""),
            _interval(each.relative, 100, " %"),
        )
    return table


def _sample_ratio(epoch: Epoch) -> Text:
    p_value = epoch.sample_ratio.p_value
    if p_value is None:
        return Text(f"epoch {epoch.epoch}: sample ratio not tested (one arm, or no unit)")
    verdict = "BROKEN, do not act" if epoch.sample_ratio.is_alarm else "as declared"
    return Text(f"epoch {epoch.epoch}: sample ratio {verdict} (p = {p_value:.3g})")


def _interval(interval: Interval | None, factor: float, unit: str) -> str:
    if interval is None:
        return "too little data"
    value, low, high = (part * factor for part in (interval.value, interval.low, interval.high))
    return f"{value:+.2f}{unit} [{low:+.2f}, {high:+.2f}]"


def _percent(share: float | None, digits: int) -> str:
    return "" if share is None else f"{share * 100:.{digits}f} %"
