"""Shows a report on a terminal."""

from __future__ import annotations

from html import escape
from io import StringIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from service.reports.arms import Arm
from service.reports.comparison import Comparison, Interval, MetricName
from service.reports.epochs import Epoch
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

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 16px; font-family: sans-serif; }}
h1 {{ font-size: 1.4rem; overflow-wrap: anywhere; }}
pre {{ overflow-x: auto; font-family: Menlo, "DejaVu Sans Mono", Consolas, monospace; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<pre tabindex="0"><code>{code}</code></pre>
</main>
</body>
</html>
"""


def print_report(report: Report, console: Console) -> None:
    """Print the arms, their differences, each epoch and the notes."""
    parts: list[Table | Text] = [
        Text(report.verdict.sentence, style="bold"),
        _arms(f"{report.rollout}: all epochs", report.arms),
    ]
    if report.comparisons:
        parts.append(_comparisons(report.comparisons))
    parts += [_acts(report), _shown(report), _stays(report)]
    parts.append(_funnels([funnel for funnel in report.funnels if funnel.by == "all"]))
    if len(report.epochs) > 1:
        parts += [_arms(f"epoch {epoch.epoch}", epoch.arms) for epoch in report.epochs]
    parts += [_sample_ratio(epoch) for epoch in report.epochs]
    parts += [Text(f"! {note}") for note in report.notes]
    console.print(Group(*parts))


def report_page(report: Report) -> str:
    """Write the report as an HTML page that needs nothing else."""
    console = Console(record=True, width=100, file=StringIO())
    print_report(report, console)
    code = console.export_html(inline_styles=True, code_format="{code}")
    return _PAGE.format(title=escape(f"{report.rollout}: report"), code=code)


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
    for name in ("named", "joined", "baskets", "orders", "order value", "crossed", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for arm in report.arms:
        value = arm.average_order_value
        table.add_row(
            Text(arm.variant),
            f"{arm.clicks_named:,}",
            f"{arm.clicks_joined:,}",
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
