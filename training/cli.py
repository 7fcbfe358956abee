"""The trainer's commands: train, evaluate, and models. Nothing here computes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Literal

import msgspec
import rich_click as click
from rich.console import Console

from models.artifact import ArtifactStore
from models.errors import ConfigError, GateError
from training.mapping import Mapping, load_mapping
from training.progress import Progress

DEFAULT_HOME = "./.endcap"

_home = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ENDCAP_HOME",
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder of models, databases and logs.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no text.")
_seed = click.option("--seed", type=int, default=1, show_default=True, help="Of all random draws.")
_catalog = click.option(
    "--catalog", multiple=True, help="Path, glob or URI of the items' titles, prices, attributes."
)
_mapping = click.option(
    "--mapping",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file that names the columns and the rules; see docs/guides/training.md.",
)


_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--interactions",
    required=True,
    multiple=True,
    help="Path, glob or URI; Parquet, CSV or JSON Lines; may be given more than once.",
)
@_catalog
@_mapping
@_home
@_seed
@click.option("--force", is_flag=True, help="Go live even if the gate refuses; it is recorded.")
@click.option(
    "--max-reject-share",
    type=click.FloatRange(0, 1),
    help="Share of bad rows that stops the run, 0 to 1; else that of the mapping (0.05).",
)
@_json
def train(
    *,
    interactions: tuple[str, ...],
    catalog: tuple[str, ...],
    mapping: Path | None,
    home: Path,
    seed: int,
    force: bool,
    max_reject_share: float | None,
    as_json: bool,
) -> None:
    """Clean, fit, evaluate, gate and publish a model version."""
    from models.recommenders.settings import Settings  # noqa: PLC0415  # fast --help
    from training.train import TrainOrder  # noqa: PLC0415  # as above
    from training.train import train as run  # noqa: PLC0415  # as above

    order = TrainOrder(
        interactions=interactions,
        catalog=catalog,
        mapping=_read_mapping(mapping, max_reject_share),
        home=home,
        seed=seed,
        is_forced=force,
        settings=Settings(),
    )
    report = run(order, _progress(), lambda: int(time.time() * 1000))
    if as_json:
        _print_json(report)
    if report.gate.verdict == "refused":
        raise GateError(
            f"version {report.version} does not go live: {report.gate.reason}; it is kept: "
            f"see 'endcap models show {report.version}', or train with --force"
        )


@click.command()
@click.option(
    "--train", "train_files", required=True, multiple=True, help="Interactions to learn from."
)
@click.option(
    "--test", "test_files", required=True, multiple=True, help="Interactions that came after."
)
@_catalog
@_mapping
@_seed
@click.option("--k", "ks", default="10,20", show_default=True, help="Lengths of the lists.")
@click.option(
    "--candidates",
    type=click.Choice(["all", "new"]),
    default="all",
    show_default=True,
    help="Rank all items, or those without any interaction in the training file.",
)
@_json
def evaluate(
    *,
    train_files: tuple[str, ...],
    test_files: tuple[str, ...],
    catalog: tuple[str, ...],
    mapping: Path | None,
    seed: int,
    ks: str,
    candidates: str,
    as_json: bool,
) -> None:
    """Measure every recommender on a given split, ranking all items for every test user."""
    from training.compare import compare, show_comparison  # noqa: PLC0415  # fast --help

    comparison = compare(
        train_files,
        test_files,
        catalog,
        mapping=_read_mapping(mapping, None),
        ks=_parse_lengths(ks),
        progress=_progress(),
        seed=seed,
        only_new=candidates == "new",
    )
    if as_json:
        _print_json(comparison)
    else:
        Console().print(show_comparison(comparison))


@click.command()
@click.argument("version", required=False)
@_home
@_json
def segments(version: str | None, home: Path, as_json: bool) -> None:
    """Count the segments of users in VERSION, or in the live one, and say how each buys."""
    from training.segment_tables import show_segments  # noqa: PLC0415  # fast --help

    store = ArtifactStore(home)
    manifest = store.manifest(_version_or_live(store, version))
    if as_json:
        _print_json({"version": manifest.version, "segments": manifest.segments})
    else:
        Console().print(show_segments(manifest.version, manifest.segments))


@click.group()
def models() -> None:
    """List, show, promote and roll back model versions."""


@models.command("list")
@_home
@_json
def list_versions(home: Path, as_json: bool) -> None:
    """List all versions, the newest first."""
    from training.versions import list_of_versions, show_versions  # noqa: PLC0415  # fast --help

    listed = list_of_versions(ArtifactStore(home))
    if as_json:
        _print_json(listed)
    else:
        Console().print(show_versions(listed))


@models.command()
@click.argument("version", required=False)
@_home
@_json
def show(version: str | None, home: Path, as_json: bool) -> None:
    """Show the manifest of VERSION, or of the live one."""
    store = ArtifactStore(home)
    manifest = store.manifest(_version_or_live(store, version))
    if as_json:
        _print_json(manifest)
    else:
        print(msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode())


@models.command()
@click.argument("version")
@click.option("--force", is_flag=True, help="Even if the gate refused it; it is recorded.")
@_home
@_json
def promote(version: str, force: bool, home: Path, as_json: bool) -> None:
    """Make VERSION live."""
    store = ArtifactStore(home)
    before = store.live_version()
    store.promote(version, is_forced=force)
    _print_move(before, version, as_json)


@models.command()
@_home
@_json
def rollback(home: Path, as_json: bool) -> None:
    """Make the version live that was live before."""
    store = ArtifactStore(home)
    before = store.live_version()
    _print_move(before, store.rollback(), as_json)


@models.command()
@click.argument("version", required=False)
@click.option("--items", type=_FILE, help="File for the embeddings of items, with their ids.")
@click.option("--users", type=_FILE, help="File for those of users, with their pseudonyms.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "arrow"]),
    default="parquet",
    show_default=True,
)
@_home
@_json
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
        _print_json({"version": snapshot.version, **counts})
    else:
        print(*(f"{n} {name}" for name, n in counts.items()), f"of version {snapshot.version}")


def _version_or_live(store: ArtifactStore, version: str | None) -> str:
    found = version or store.live_version()
    if found is None:
        raise ConfigError("no version is live; name one, see 'endcap models list'")
    return found


def _print_move(before: str | None, live: str, as_json: bool) -> None:
    if as_json:
        _print_json({"live": live, "before": before})
    else:
        print(f"live is {live}, before it was {before}")


def _read_mapping(path: Path | None, max_reject_share: float | None) -> Mapping:
    mapping = load_mapping(path)
    if max_reject_share is None:
        return mapping
    return msgspec.structs.replace(mapping, max_reject_share=max_reject_share)


def _parse_lengths(text: str) -> tuple[int, ...]:
    try:
        lengths = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        lengths = ()
    if not lengths or lengths[0] < 1:
        raise ConfigError(f"--k {text!r} is no list of lengths; write for example --k 10,20")
    return lengths


def _progress() -> Progress:
    return Progress(Console(stderr=True), time.perf_counter)


def _print_json(value: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()
