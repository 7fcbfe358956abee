"""The commands about model versions: models and segments. Nothing here computes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import rich_click as click
from rich.console import Console

from models.artifact import ArtifactStore
from models.errors import ConfigError
from models.plural import plural
from models.pruning import prune_versions
from models.terminal import print_table
from training.options import FILE, home_option, json_option, print_json


@click.command()
@click.argument("version", required=False)
@home_option
@json_option
def segments(version: str | None, home: Path, as_json: bool) -> None:
    """Count the segments of users in VERSION, or in the live one, and say how each buys."""
    from training.segment_tables import show_segments  # noqa: PLC0415  # fast --help

    store = ArtifactStore(home)
    manifest = store.manifest(_version_or_live(store, version))
    if as_json:
        print_json({"version": manifest.version, "segments": manifest.segments})
    else:
        print_table(show_segments(manifest.version, manifest.segments), Console())


@click.group()
def models() -> None:
    """List, show, promote, roll back and prune model versions."""


@models.command("list")
@home_option
@json_option
def list_versions(home: Path, as_json: bool) -> None:
    """List all versions, the newest first."""
    from training.versions import list_of_versions, print_versions  # noqa: PLC0415  # fast --help

    listed = list_of_versions(ArtifactStore(home))
    if as_json:
        print_json(listed)
    else:
        print_versions(listed, Console())


@models.command()
@click.argument("version", required=False)
@home_option
@json_option
def show(version: str | None, home: Path, as_json: bool) -> None:
    """Show the manifest of VERSION, or of the live one."""
    store = ArtifactStore(home)
    manifest = store.manifest(_version_or_live(store, version))
    if as_json:
        print_json(manifest)
    else:
        print(msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode())


@models.command()
@click.argument("version")
@click.option("--force", is_flag=True, help="Even if the gate refused it; it is recorded.")
@home_option
@json_option
def promote(version: str, force: bool, home: Path, as_json: bool) -> None:
    """Make VERSION live."""
    store = ArtifactStore(home)
    before = store.live_version()
    store.promote(version, is_forced=force)
    _print_move(before, version, as_json)


@models.command()
@home_option
@json_option
def rollback(home: Path, as_json: bool) -> None:
    """Make the version live that was live before."""
    store = ArtifactStore(home)
    before = store.live_version()
    _print_move(before, store.rollback(), as_json)


@models.command()
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="How many of the newest to keep, beside the live one and the one before it.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@home_option
@json_option
def prune(keep: int, dry_run: bool, home: Path, as_json: bool) -> None:
    """Remove old versions, which take room on disk and are searched by every erasure."""
    done = prune_versions(ArtifactStore(home), keep, is_dry=dry_run)
    if as_json:
        print_json(done)
        return
    would = "would be removed" if dry_run else "removed"
    for version in done.removed:
        print(f"{version} {would}")
    freed = f"{done.freed_bytes / 1_000_000:,.1f} MB"
    print(f"{plural(len(done.removed), 'version')} of {freed} {would}, {len(done.kept)} kept")


@models.command()
@click.argument("version", required=False)
@click.option("--items", type=FILE, help="File for the embeddings of items, with their ids.")
@click.option("--users", type=FILE, help="File for those of users, with their pseudonyms.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "arrow"]),
    default="parquet",
    show_default=True,
)
@home_option
@json_option
def export(
    *,
    version: str | None,
    items: Path | None,
    users: Path | None,
    file_format: Literal["parquet", "arrow"],
    home: Path,
    as_json: bool,
) -> None:
    """Write the embeddings of VERSION, or of the live one, as Parquet or Arrow."""
    from training.embeddings import (  # noqa: PLC0415  # fast --help
        item_embeddings,
        user_embeddings,
        write_table,
    )

    if items is None and users is None:
        raise ConfigError("nothing to export; name a file with --items, --users or both")
    store = ArtifactStore(home)
    snapshot = store.open(_version_or_live(store, version))
    counts = {}
    for name, path, make in (("items", items, item_embeddings), ("users", users, user_embeddings)):
        if path is not None:
            table = make(snapshot)
            write_table(table, path, file_format)
            counts[name] = table.num_rows
    if as_json:
        print_json({"version": snapshot.version, **counts})
    else:
        print(*(f"{n} {name}" for name, n in counts.items()), f"of version {snapshot.version}")


def _version_or_live(store: ArtifactStore, version: str | None) -> str:
    found = version or store.live_version()
    if found is None:
        raise ConfigError("no version is live; name one, see 'endcap models list'")
    return found


def _print_move(before: str | None, live: str, as_json: bool) -> None:
    if as_json:
        print_json({"live": live, "before": before})
    else:
        print(f"live is {live}, before it was {before}")
