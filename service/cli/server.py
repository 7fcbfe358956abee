"""The commands of a server: serve, keys. Each reads its options, calls one function and prints."""

from __future__ import annotations

import os
import time
from typing import Any, get_args

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.pseudonym import rotate_key
from models.terminal import print_table, visible
from service.cli.options import all_settings, as_json_option, open_store, setting_option
from service.control.fleet import check_fleet, replace_fleet_key
from service.control.keys import (
    COMMAND_LINE,
    KeyInfo,
    NewKey,
    Scope,
    create_first_keys,
    create_key,
    list_keys,
    revoke_key,
)
from service.settings import read_home_settings, read_settings


@click.command()
@all_settings
@as_json_option
def serve(as_json: bool, **given: Any) -> None:
    """Answer requests over HTTP until SIGTERM or Ctrl-C, then finish what is in flight and exit.

    On the first start an admin and a publishable key are made and shown once.
    """
    from service.home_key import load_home_key  # noqa: PLC0415  # seconds to import; not for --help
    from service.run import run  # noqa: PLC0415  # as above
    from service.stores.event_database import open_event_database  # noqa: PLC0415  # as above
    from service.telemetry.logs import configure_logs  # noqa: PLC0415  # as above

    settings = read_settings(os.environ, given)
    settings.check()
    configure_logs(settings.log_level)

    def announce(address: str) -> None:
        # What a worker could not open either is one line here, and not a traceback of each.
        log = open_event_database(settings.home, settings.events_address)
        pseudonymiser = load_home_key(settings.home, log)
        # Not before the port is ours: keys made by a start that then fails would never be seen.
        with open_store(settings) as store:
            check_fleet(store, pseudonymiser, settings.home)
            keys = create_first_keys(store, _now_ms())
        if as_json:
            _print_json({"address": address, "pid": os.getpid(), "keys": keys})
            return
        for made in keys:
            click.echo(f"{made.info.scope} key, shown only now: {made.key}", err=True)
        click.echo(f"Endcap is listening on {address}", err=True)

    run(settings, announce)


@click.group()
def keys() -> None:
    """Create, list and revoke the keys of the HTTP interface."""


@keys.command()
@click.option("--scope", required=True, type=click.Choice(get_args(Scope)), help="What it may do.")
@click.option("--name", default="", help="For people; by default the scope.")
@setting_option("home")
@as_json_option
def create(scope: Scope, name: str, home: str | None, as_json: bool) -> None:
    """Make a key and show it once."""
    with open_store(read_settings(os.environ, {"home": home})) as store:
        made = create_key(
            store, scope=scope, name=name or scope, actor=COMMAND_LINE, now_ms=_now_ms()
        )
    if as_json:
        _print_json(made)
    else:
        click.echo(made.key)
        click.echo(f"{made.info.id}: shown only now, the server keeps its digest", err=True)


@keys.command(name="list")
@setting_option("home")
@as_json_option
def list_(home: str | None, as_json: bool) -> None:
    """List keys, without their secrets."""
    with open_store(read_home_settings(home)) as store:
        found = list_keys(store)
    if as_json:
        _print_json({"keys": found})
    else:
        print_table(_key_table(found), Console())


@keys.command()
@setting_option("home")
@click.confirmation_option(
    prompt="Everybody becomes a stranger: histories and models no longer fit their owners, and "
    "every rollout is dealt anew. Go on?"
)
def rotate_pseudonym(home: str | None) -> None:
    """Replace the key of pseudonyms; what is stored can then be put down to nobody."""
    from service.home_key import note_new_key  # noqa: PLC0415  # as above

    settings = read_home_settings(home)
    rotate_key(settings.home)
    pseudonymiser = note_new_key(settings.home, settings.event_log)
    with open_store(settings) as store:
        replace_fleet_key(store, pseudonymiser)
    click.echo(
        "a new pseudonym key is in place; restart servers, open a new phase of each running "
        "rollout, and train again",
        err=True,
    )


@keys.command()
@click.argument("key_id")
@setting_option("home")
@as_json_option
def revoke(key_id: str, home: str | None, as_json: bool) -> None:
    """Revoke a key for good, by its id; running servers refuse it within a second."""
    with open_store(read_home_settings(home)) as store:
        revoked = revoke_key(store, key_id, actor=COMMAND_LINE, now_ms=_now_ms())
    if as_json:
        _print_json(revoked)
    else:
        click.echo(f"{revoked.id} is revoked", err=True)


def _key_table(found: list[KeyInfo]) -> Table:
    table = Table()
    for heading in ("id", "scope", "name", "made", "revoked"):
        table.add_column(heading, no_wrap=heading in {"id", "scope"}, overflow="fold")
    for key in found:
        days = _day(key.created_at_ms), _day(key.revoked_at_ms)
        table.add_row(key.id, key.scope, Text(visible(key.name)), *days)
    return table


def _day(at_ms: int | None) -> str:
    return "" if at_ms is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(at_ms / 1000))


def _print_json(value: dict[str, Any] | NewKey | KeyInfo) -> None:
    click.echo(msgspec.json.encode(value).decode())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
