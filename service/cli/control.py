"""The command that moves a control plane. It calls one function and prints."""

from __future__ import annotations

import msgspec
import rich_click as click

from service.cli.options import as_json_option, setting_option
from service.control.move import describe, move_control
from service.home_key import load_home_key
from service.settings import read_home_settings


@click.group()
def control() -> None:
    """Move the control plane to where several machines share it."""


@control.command()
@setting_option("home")
@as_json_option
def move(home: str | None, as_json: bool) -> None:
    """Copy control.sqlite, its lists and its pictures into the database of ENDCAP_CONTROL_URL.

    The database has to be empty, and no server may change the home's control plane meanwhile.
    """
    settings = read_home_settings(home)
    moved = move_control(settings, load_home_key(settings.home, settings.event_log))
    if as_json:
        click.echo(msgspec.json.encode(moved).decode())
    else:
        click.echo(describe(moved, settings.home), err=True)
