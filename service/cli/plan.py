"""`endcap plan`: how many units and days it takes to see a lift. Reads options, prints."""

from __future__ import annotations

import time
from typing import Any, get_args

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from models.terminal import print_table, visible
from service.cli.options import as_json_option, open_store, setting_option
from service.reports.plan import SHARES, PlanMetric, Question, RolloutPlan, make_plan
from service.reports.plan_limits import check_numbers, write_days
from service.reports.planner import POWER
from service.settings import read_home_settings
from service.stores.event_database import open_event_database

_SOURCES = {
    "rollout": "as the rollout saw it",
    "home": "of the whole home in 28 days",
    "given": "as given",
    None: "",
}


@click.command()
@click.argument("rollout")
@click.option(
    "--metric",
    type=click.Choice(get_args(PlanMetric)),
    default="conversion",
    show_default=True,
    help="What is counted.",
)
@click.option("--lift", type=float, help="One more lift to plan for; 0.05 is five percent more.")
@click.option(
    "--power",
    type=float,
    default=POWER,
    show_default=True,
    help="Share of such experiments that see the lift.",
)
@click.option("--share", type=float, help="That is treated; else the rollout's, else a half.")
@click.option("--baseline", type=float, help="The metric in control; else what was seen of it.")
@click.option("--units-per-day", type=float, help="New units a day; else as many as came.")
@setting_option("home")
@as_json_option
def plan(rollout: str, home: str | None, as_json: bool, **asked: Any) -> None:
    """Tell how many units and days it takes to see a lift of ROLLOUT; nothing is changed."""
    from service.reports.traffic import read_traffic  # noqa: PLC0415  # loads SQLAlchemy

    settings = read_home_settings(home)
    question = check_numbers(Question(**asked))
    with open_store(settings) as control:
        traffic = read_traffic(
            open_event_database(settings.home, settings.events_address),
            control,
            rollout,
            at_ms=time.time_ns() // 1_000_000,
        )
    found = make_plan(rollout, question, traffic)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        _print(found, Console(markup=False, emoji=False))


def _print(found: RolloutPlan, console: Console) -> None:
    console.print(
        f"{visible(found.rollout)}: {found.metric.replace('_', ' ')}, {found.share:.0%} treated; "
        f"seen in {found.power:.0%} of such experiments, one look at the end"
    )
    if found.baseline is not None:
        is_share = found.metric in SHARES
        shown = f"{100 * found.baseline:.4g}%" if is_share else f"{found.baseline:.4g}"
        console.print(f"control: {shown} {_SOURCES[found.baseline_from]}")
    if found.units_per_day is not None:
        console.print(f"units a day: {found.units_per_day:,.0f} {_SOURCES[found.units_from]}")
    table = Table(box=None)
    for name in ("lift", "units", "control", "treated", "days"):
        table.add_column(name, justify="right")
    for line in found.lines:
        table.add_row(
            f"{100 * line.lift:+.4g}%",
            *(_count(n) for n in (line.units, line.units_control, line.units_treated)),
            write_days(line.days),
        )
    print_table(table, console)
    for note in found.notes:
        console.print(f"! {note}")


def _count(n: int | None) -> str:
    return "?" if n is None else f"{n:,}"
