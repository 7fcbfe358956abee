"""The command that brings the past in: `endcap events import`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console

from models.handed import Handed
from service.cli.options import as_json_option, setting_option
from service.home_key import load_home_key
from service.settings import read_home_settings
from service.stores.event_database import open_event_database


@click.command(name="import")
@click.argument("file")
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file: the file's columns and rules, as for endcap train.",
)
@setting_option("home")
@as_json_option
@click.pass_obj
def import_file(
    handed: Handed, file: str, mapping: Path | None, home: str | None, as_json: bool
) -> None:
    """Store the interactions of FILE as events; once, however often it is imported.

    FILE is CSV or Parquet with the columns of endcap train, or JSON Lines as POST /v1/events takes
    them; with --mapping JSON Lines have columns, too. A server may run meanwhile. Exit code 1 if
    every row was rejected.
    """
    from service.intake.importing import ImportTools, import_events  # noqa: PLC0415  # loads PyArrow

    settings = read_home_settings(home)
    folder = settings.home
    events = open_event_database(folder, settings.events_address)
    console = Console(stderr=True)
    with console.status(f"reading {file}") as status:
        done = import_events(
            folder,
            events,
            file,
            mapping,
            read_past=handed.read_past,
            pseudonymiser=load_home_key(folder, events),
            tools=ImportTools(
                now_ms=lambda: time.time_ns() // 1_000_000,
                tell=lambda n_rows: status.update(f"{n_rows:,} rows of {file}"),
            ),
        )
    if as_json:
        click.echo(msgspec.json.encode(done).decode())
    else:
        for name in ("received", "accepted", "duplicate", "rejected"):
            click.echo(f"{getattr(done, name):>12,}  {name}")
        for rule, n_rows in done.dropped.items():
            click.echo(f"{n_rows:>12,}  dropped: {rule}")
        if done.rejects_file is not None:
            click.echo(f"the rejected rows and why: {done.rejects_file}", err=True)
        for step in done.next_steps:
            click.echo(f"  {step}", err=True)
    sys.exit(1 if done.rejected and done.rejected == done.received else 0)
