"""The commands around the audit trail. Each calls one function and prints."""

from __future__ import annotations

import sys

import msgspec
import rich_click as click

from models.plural import plural
from service.cli.options import as_json_option, open_store, setting_option
from service.control.trail import check_trail
from service.settings import read_home_settings


@click.group()
def audit() -> None:
    """Check the audit trail."""


@audit.command()
@setting_option("home")
@as_json_option
def verify(home: str | None, as_json: bool) -> None:
    """Check that no row of the trail, and no document, was altered behind its back.

    Prints the newest hash, to be kept elsewhere; exit code 1 names the first row that is broken.
    """
    with open_store(read_home_settings(home)) as store:
        found = check_trail(store)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    elif found.broken is None:
        are_whole = f"{plural(found.n_rows, 'row')} {'is' if found.n_rows == 1 else 'are'} whole"
        click.echo(f"{are_whole}; revision {found.revision} has {found.hash}")
    else:
        click.echo(f"broken at revision {found.broken.revision}: {found.broken.reason}")
    sys.exit(0 if found.is_whole else 1)
