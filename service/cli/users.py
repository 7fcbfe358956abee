"""The commands for people who ask what is kept of them: users export, users erase."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import msgspec
import rich_click as click

from service.cli.options import as_json_option, open_store, setting_option
from service.settings import Settings, read_home_settings

if TYPE_CHECKING:
    from service.rollouts.bucketing import UnitKind

kind_option = click.option(
    "--kind",
    type=click.Choice(["user_id", "anonymous_id"]),
    default="user_id",
    help="Whose id it is.",
)


@click.group()
def users() -> None:
    """Copy or erase what is kept of one person."""


@users.command()
@click.argument("external_id", metavar="ID")
@kind_option
@setting_option("home")
def export(external_id: str, kind: UnitKind, home: str | None) -> None:
    """Print all that is kept of the person ID, as one JSON object."""
    from service.home_key import load_home_key  # noqa: PLC0415  # each command its own
    from service.privacy.export import export_person  # noqa: PLC0415  # as above

    settings = _settings(home)
    pseudonymiser = load_home_key(settings.home, settings.event_log)
    with open_store(settings) as control:
        found = export_person(
            settings.home,
            control,
            pseudonymiser,
            kind,
            external_id,
            events=settings.event_log,
        )
    click.echo(msgspec.json.encode(found).decode())


@users.command()
@click.argument("external_id", metavar="ID")
@kind_option
@setting_option("home")
@as_json_option
def erase(external_id: str, kind: UnitKind, home: str | None, as_json: bool) -> None:
    """Erase the person ID and print a receipt; exit code 1 if something was found afterwards."""
    from service.home_key import load_home_key  # noqa: PLC0415  # as above
    from service.privacy.control_erasure import open_control  # noqa: PLC0415  # as above
    from service.privacy.erase import erase_person  # noqa: PLC0415  # as above

    settings = _settings(home)
    pseudonymiser = load_home_key(settings.home, settings.event_log)
    with open_control(
        settings, pseudonymiser, actor="endcap users erase", now_ms=_now_ms
    ) as control:
        receipt = erase_person(
            settings.home,
            pseudonymiser,
            kind,
            external_id,
            control=control,
            events=settings.event_log,
        )
    if as_json:
        click.echo(msgspec.json.encode(receipt).decode())
    else:
        for each in receipt.erased:
            click.echo(f"{each.rows:>8}  {each.place}")
        found = ", ".join(receipt.found_in) or "nothing"
        click.echo(f"found afterwards: {found}\nleft to you:")
        for left in receipt.left_to_you:
            click.echo(f"  - {left}")
    sys.exit(0 if receipt.is_verified else 1)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _settings(given: str | None) -> Settings:
    from service.stores.event_database import open_event_database  # noqa: PLC0415  # as above

    settings = read_home_settings(given)
    open_event_database(settings.home, settings.events_address)
    return settings
