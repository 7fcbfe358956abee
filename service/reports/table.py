"""Shows a report on a terminal; `report_page` makes a page of the same tables."""

from __future__ import annotations

import msgspec
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from service.reports.arms import Arm
from service.reports.comparison import Comparison, Interval, MetricName
from service.reports.epochs import Epoch
from service.reports.exposure_ratio import show_exposures
from service.reports.funnel import Funnel
from service.reports.report import Report
from service.stores.rollout_sums import STAGES
from service.stores.rollup_visits import WINDOWS_DAYS

_TITLES: dict[MetricName, str] = {
    "click_through": "click-through",
    "conversion": "conversion",
    "add_to_cart": "add to cart",
    "revenue_per_unit": "revenue/unit",
    "capped_revenue_per_unit": "  capped",
    "average_order_value": "order value",
    "return_rate": "came back",
    "visits_per_unit": "visits/unit",
    "dwell_per_visit": "dwell/visit",
    "retention_7": "seen day 1-7",
    "retention_14": "  day 7-14",
    "retention_28": "  day 14-28",
}


def print_report(report: Report, console: Console) -> None:
    """Print the arms, their differences, each epoch and the notes."""
    verdict, *parts = report_parts(report)
    verdict.stylize("bold")
    console.print(Group(verdict, *parts))


def report_parts(report: Report) -> tuple[Text, *tuple[Table | Text, ...]]:
    """List what a report shows, in its order; the verdict comes first."""
    parts: list[Table | Text] = [_arms(f"{report.rollout}: all epochs", _over_all(report))]
    if report.comparisons:
        parts.append(_comparisons(report.comparisons))
    parts += [_acts(report), _shown(report), _stays(report)]
    parts.append(_funnels([funnel for funnel in report.funnels if funnel.by == "all"]))
    if len(report.epochs) > 1:
        parts += [_arms(f"epoch {epoch.epoch}", epoch.arms) for epoch in report.epochs]
    parts += [_sample_ratio(epoch) for epoch in report.epochs]
    parts += [Text(show_exposures(each)) for each in report.exposures_per_unit]
    parts += [Text(f"! {note}") for note in report.notes]
    return Text(report.verdict.sentence), *parts


def _over_all(report: Report) -> list[Arm]:
    """Return the arms over all epochs, with their shares where these are of one epoch only."""
    if len(report.epochs) != 1:
        return report.arms
    shares = {arm.variant: arm.declared_share for arm in report.epochs[0].arms}
    return [
        msgspec.structs.replace(arm, declared_share=shares.get(arm.variant)) for arm in report.arms
    ]


def _table(title: str) -> Table:
    """Make a table that fits on a terminal of 80 columns; names in it are `Text`, not markup."""
    return Table(
        title=Text(title, "table.title"), title_justify="left", box=None, padding=(0, 1, 0, 0)
    )


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
            Text(arm.variant),
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
    table = _table("beside control, with 95 % intervals")
    table.add_column("variant")
    table.add_column("metric", no_wrap=True)
    table.add_column("for one look", justify="right", no_wrap=True)
    table.add_column("for every look", justify="right", no_wrap=True)
    for each in comparisons:
        table.add_row(
            Text(each.variant),
            _TITLES[each.metric],
            _interval(each.relative),
            _interval(each.always_valid_relative),
        )
    return table


def _acts(report: Report) -> Table:
    table = _table("clicks, baskets, orders, and units that met two variants")
    table.add_column("variant", no_wrap=True)
    for name in ("named", "joined", "baskets", "rate", "orders", "order value", "crossed", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for arm in report.arms:
        value = arm.average_order_value
        table.add_row(
            Text(arm.variant),
            f"{arm.clicks_named:,}",
            f"{arm.clicks_joined:,}",
            f"{arm.carters:,}",
            _percent(arm.add_to_cart, 2),
            f"{arm.orders:,}",
            "" if value is None else f"{value:,.2f}",
            f"{arm.crossed_units:,}",
            _percent(arm.crossed_share, 2),
        )
    return table


def _shown(report: Report) -> Table:
    table = _table("what was shown")
    table.add_column("variant", no_wrap=True)
    for name in ("items", "carry 90 %", "of the catalogue", "coverage"):
        table.add_column(name, justify="right", no_wrap=True)
    for arm in report.arms:
        known = arm.catalogue_items_shown
        table.add_row(
            Text(arm.variant),
            f"{arm.items_shown or 0:,}",
            f"{arm.effective_items or 0:,}",
            "" if known is None else f"{known:,} of {report.catalogue_items:,}",
            _percent(arm.catalogue_coverage, 1),
        )
    return table


def _stays(report: Report) -> Table:
    table = _table("who came back, in the 28 days after the first exposure")
    table.add_column("variant", no_wrap=True)
    for name in ("visits", "a unit", "dwell", "came back"):
        table.add_column(name, justify="right", no_wrap=True)
    for from_day, until_day in WINDOWS_DAYS:
        table.add_column(f"day {from_day}-{until_day}", justify="right", no_wrap=True)
    for arm in report.arms:
        stay = arm.stay
        table.add_row(
            Text(arm.variant),
            f"{stay.visits:,}",
            "" if stay.visits_per_unit is None else f"{stay.visits_per_unit:.2f}",
            "" if stay.dwell_per_visit_s is None else f"{stay.dwell_per_visit_s:,.0f} s",
            _percent(stay.return_rate, 2),
            *(_percent(point.share, 2) or "too young" for point in stay.retention),
        )
    return table


def _funnels(funnels: list[Funnel]) -> Table:
    table = _table("exposures that got so far")
    table.add_column("variant", no_wrap=True)
    for name in STAGES.values():
        table.add_column(name.replace("_", " "), justify="right")
    for funnel in funnels:
        table.add_row(Text(funnel.variant), *(f"{step.exposures:,}" for step in funnel.steps))
    return table


def _sample_ratio(epoch: Epoch) -> Text:
    p_value = epoch.sample_ratio.always_valid_p
    if p_value is None:
        return Text(f"epoch {epoch.epoch}: sample ratio not tested (one arm, or no unit)")
    verdict = "BROKEN, do not act" if epoch.sample_ratio.is_alarm else "as declared"
    return Text(f"epoch {epoch.epoch}: sample ratio {verdict} (p = {p_value:.3g})")


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "too little data"
    value, low, high = (part * 100 for part in (interval.value, interval.low, interval.high))
    return f"{value:+.2f} % [{low:+.2f}, {high:+.2f}]"


def _percent(share: float | None, digits: int) -> str:
    return "" if share is None else f"{share * 100:.{digits}f} %"
