"""The command that makes lists for a file of users: recommend."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

import msgspec
import rich_click as click

from models.errors import ConfigError
from models.plural import plural
from service.cli.options import as_json_option, setting_option
from service.serve.request import MAX_COUNT
from service.settings import read_settings

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--users", required=True, type=_FILE, help="Parquet, CSV or JSON Lines: user_id, ...")
@click.option("--placement", required=True, help="The placement whose rules and rollout apply.")
@click.option(
    "--output", required=True, type=_FILE, help="Parquet file to write, or CSV if it ends in .csv."
)
@click.option("--at", help="Moment to decide for, ISO 8601 with an offset; by default now.")
@click.option("--count", type=click.IntRange(1, MAX_COUNT), help="Else what the placement says.")
@click.option("--country", help="Of users whose row does not say it.")
@click.option("--channel", default="email", show_default=True, help="As --country.")
@click.option(
    "--log-exposures",
    is_flag=True,
    help="Store each list as an assigned exposure, for reports; give its id with the clicks.",
)
@setting_option("home")
@as_json_option
def recommend(
    *,
    users: Path,
    placement: str,
    output: Path,
    at: str | None,
    count: int | None,
    country: str | None,
    channel: str,
    log_exposures: bool,
    home: str | None,
    as_json: bool,
) -> None:
    """Write the list of every user of a file, as the service would show it at one moment."""
    from service.batch.lists import BatchOrder  # noqa: PLC0415  # loads PyArrow
    from service.batch.lists import recommend as run  # noqa: PLC0415  # as above

    now_ms = time.time_ns() // 1_000_000
    at_ms = now_ms if at is None else _parse_moment(at)
    settings = read_settings(os.environ, {"home": home})
    order = BatchOrder(
        home=settings.home,
        control=settings.control_place,
        events_address=settings.events_address,
        users=users,
        placement=placement,
        output=output,
        at_ms=at_ms,
        is_past=at_ms < now_ms,
        count=count,
        defaults={"channel": channel, **({} if country is None else {"country": country})},
        logs_exposures=log_exposures,
    )
    report = run(order)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    written = f"{plural(report.rows, 'row')} for {plural(report.users, 'user')}"
    click.echo(f"{written} written to {output}", err=True)
    for reason, n in report.rejected.items():
        click.echo(f"  {plural(n, 'row')} of {users} left out: {reason}", err=True)
    tiers = ", ".join(f"{tier} {n}" for tier, n in report.tiers.items())
    click.echo(f"  model {report.model_version}; tiers: {tiers or 'none'}", err=True)


def _parse_moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(
            f"--at {text!r} is no moment; write ISO 8601 with an offset: 2026-01-15T09:00:00Z"
        )
    return int(moment.timestamp() * 1000)
