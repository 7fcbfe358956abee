"""The commands around events, and the report of a rollout. Each calls one function and prints."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from models.errors import ConfigError, EndcapError
from models.plural import plural
from models.terminal import print_table, wide_console
from models.vocabulary import Vocabulary
from service.cli.event_import import import_file
from service.cli.options import as_json_option, setting_option
from service.home_key import load_home_key
from service.output_names import check_output
from service.settings import read_home_settings
from service.stores.event_database import open_event_database
from service.stores.event_ledger import Reconciliation
from service.stores.event_ledger import reconcile as reconcile_store
from service.stores.event_log import EventLog, event_log


@click.group()
def events() -> None:
    """Import, export, archive, compact and reconcile the stored events."""


events.add_command(import_file)


@events.command()
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Parquet file to write.",
)
@setting_option("home")
@as_json_option
def export(output: Path, home: str | None, as_json: bool) -> None:
    """Write the stored interactions as a Parquet file that `endcap train` reads."""
    from service.stores.event_export import export_interactions  # noqa: PLC0415  # loads PyArrow

    check_output(output, ".parquet")
    n_rows = export_interactions(_open_log(home), output)
    if as_json:
        _print_json({"output": str(output), "rows": n_rows})
    else:
        click.echo(f"{plural(n_rows, 'interaction')} written to {output}", err=True)


@events.command()
@setting_option("home")
@as_json_option
def reconcile(home: str | None, as_json: bool) -> None:
    """Check that every event and exposure is accounted for; exit code 1 if one is not."""
    found = reconcile_store(_open_log(home))
    if as_json:
        _print_json(found)
    else:
        _print_ledger(found)
    sys.exit(0 if found.is_balanced else 1)


@events.command()
@click.option(
    "--keep",
    "kept",
    multiple=True,
    required=True,
    metavar="KIND=DAYS",
    help="How long rows of a kind are kept (view, click, ..., exposure); once for each kind.",
)
@setting_option("home")
@as_json_option
def expire(kept: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Delete old events and exposures by kind; for a daily job."""
    from service.stores.retention import expire_rows, read_limits  # noqa: PLC0415  # own command

    deleted = expire_rows(_open_log(home), read_limits(kept), now_ms=time.time_ns() // 1_000_000)
    if as_json:
        _print_json({"deleted": deleted})
    else:
        for kind, n_rows in deleted.items():
            click.echo(f"{n_rows:>10,}  {kind}")


@events.command()
@click.option(
    "--older-than",
    "days",
    required=True,
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="Days that ended so many days ago move, 8 or more.",
)
@setting_option("home")
@as_json_option
def archive(days: int, home: str | None, as_json: bool) -> None:
    """Move old days of events and exposures to Parquet files in the archive of the home."""
    from service.stores.archiving import archive_old_days  # noqa: PLC0415  # loads PyArrow

    moved = archive_old_days(_open_log(home), days, now_ms=time.time_ns() // 1_000_000)
    if as_json:
        _print_json({"archived": moved})
    else:
        for table, n_rows in moved.items():
            click.echo(f"{n_rows:>10,}  {table}")


@events.command(name="compact")
@setting_option("home")
@as_json_option
def compact_(home: str | None, as_json: bool) -> None:
    """Rewrite events.sqlite and the sums of it, so that nothing deleted is left in their bytes.

    A server may run: pages are answered, events wait or get 503 and are sent again. It takes some
    seconds a gigabyte, and twice the room of the largest file for as long.
    """
    from service.stores.compaction import compact  # noqa: PLC0415  # own command

    log = _open_log(home)
    with Console(stderr=True).status("waiting for whoever moves or erases rows") as status:
        done = compact(log, tell=lambda what: status.update(f"writing {what} anew"))
    if as_json:
        _print_json({"compacted": done})
        return
    for one in done:
        sizes = f"{one.before_bytes / 1e6:,.1f} MB to {one.after_bytes / 1e6:,.1f} MB"
        click.echo(f"{one.file}: {sizes} in {one.seconds:,.1f} s")


@events.command()
@setting_option("home")
@as_json_option
def move(home: str | None, as_json: bool) -> None:
    """Copy events.sqlite and the archive of a home into the database of ENDCAP_EVENTS_URL.

    No server may run on the home, and the database may hold no other log. Run it again if it was
    cut off: it goes on where it was.
    """
    settings = read_home_settings(home)
    target = settings.event_log
    if isinstance(target, Path):
        raise ConfigError("set ENDCAP_EVENTS_URL to the database to move to")
    from service.stores.event_move import describe, move_events  # noqa: PLC0415  # the driver

    open_event_database(settings.home, target.url)
    load_home_key(settings.home, event_log(settings.home))
    load_home_key(settings.home, target)
    with Console(stderr=True).status("counting") as status:
        moved = move_events(
            settings.home,
            target,
            tell=lambda table, n_rows: status.update(f"{n_rows:,} {table}"),
        )
    if as_json:
        _print_json(moved)
    else:
        click.echo(describe(moved, settings.home), err=True)


@click.command()
@click.argument("rollout")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page, too."
)
@setting_option("home")
@as_json_option
def report(rollout: str, html: Path | None, home: str | None, as_json: bool) -> None:
    """Print what ROLLOUT did by variant, how far variants differ, and whether one may act on it.

    Whatever is stored when it is asked is counted: it waits at most ten seconds for the newest.
    """
    from service.reports.gather import report_rollout  # noqa: PLC0415  # loads SciPy
    from service.reports.report_page import report_page  # noqa: PLC0415  # as above
    from service.reports.table import print_report  # noqa: PLC0415  # as above
    from service.stores.caught_up import catch_up  # noqa: PLC0415  # as above
    from service.stores.control import ControlStore  # noqa: PLC0415  # loads SQLAlchemy

    settings = read_home_settings(home)
    control = ControlStore(settings.control_place)
    try:
        path = _open_log(home)
        is_whole = catch_up(path)
        found = report_rollout(
            path,
            control,
            rollout,
            at_ms=time.time_ns() // 1_000_000,
            catalogue=_live_catalogue(settings.home),
            is_caught_up=is_whole,
        )
    finally:
        control.close()
    if html is not None:
        try:
            html.write_text(report_page(found), encoding="utf-8")
        except OSError as error:
            raise click.BadParameter(f"{html}: {error.strerror}", param_hint="--html") from error
    if as_json:
        _print_json(found)
    else:
        print_report(found, wide_console())


def _live_catalogue(home: Path) -> Vocabulary | None:
    """Read the items of the live model; nothing, and a word on why, where it cannot be read."""
    from models.artifact import ArtifactStore  # noqa: PLC0415  # loads LanceDB

    artifacts = ArtifactStore(home)
    try:
        version = artifacts.live_version()
        return None if version is None else artifacts.open(version).items.ids
    except EndcapError as error:
        click.echo(f"catalogue coverage is left out: {error.message}", err=True)
        return None


def _open_log(home: str | None) -> EventLog:
    settings = read_home_settings(home)
    return open_event_database(settings.home, settings.events_address)


def _print_json(value: object) -> None:
    click.echo(msgspec.json.encode(value).decode())


def _print_ledger(found: Reconciliation) -> None:
    table = Table("events", "n", "exposures", "n")
    rows = (
        ("received", "served"),
        ("accepted", "assigned"),
        ("duplicate", "stored"),
        ("rejected", "dropped"),
        ("event_rows", "exposure_rows"),
        ("archived_events", "archived_exposures"),
        ("erased_events", "erased_exposures"),
    )
    for left, right in rows:
        table.add_row(
            left.replace("_", " "),
            f"{getattr(found, left):,}",
            right.replace("_", " "),
            f"{getattr(found, right):,}",
        )
    console = Console()
    print_table(table, console)
    if found.unclosed_writers:
        console.print(
            f"writers that run, or were killed before they drained: {found.unclosed_writers}"
        )
    console.print("all accounted for" if found.is_balanced else "\n".join(found.differences))
