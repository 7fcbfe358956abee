"""The trainer's commands: train and evaluate. Nothing here computes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console

from models.errors import ConfigError, GateError
from models.handed import Handed
from models.heaps import share_heaps
from models.terminal import print_table
from training.mapping import Mapping, load_mapping
from training.options import FILE, home_option, json_option, print_json
from training.progress import Progress

_seed = click.option("--seed", type=int, default=1, show_default=True, help="Of all random draws.")
_tune_seconds = click.option(
    "--tune-seconds",
    type=click.FloatRange(min=0),
    default=180,
    show_default=True,
    help="Time for choosing the weights on a slice of the data; 0 takes the shipped ones.",
)
_catalog = click.option(
    "--catalog", multiple=True, help="Path, glob or URI of the items' titles, prices, attributes."
)
_mapping = click.option(
    "--mapping",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file that names the columns and the rules; see docs/guides/training.md.",
)


@click.command()
@click.option(
    "--interactions",
    required=True,
    multiple=True,
    help="Path, glob or URI; Parquet, CSV or JSON Lines; may be given more than once.",
)
@_catalog
@_mapping
@home_option
@_seed
@_tune_seconds
@click.option("--force", is_flag=True, help="Go live even if the gate refuses; it is recorded.")
@click.option(
    "--max-reject-share",
    type=click.FloatRange(0, 1),
    help="Share of bad rows that stops the run, 0 to 1; else that of the mapping (0.05).",
)
@click.option("--report", type=FILE, help="Page of pictures; by default next to the version.")
@json_option
@click.pass_obj
def train(
    handed: Handed,
    *,
    interactions: tuple[str, ...],
    catalog: tuple[str, ...],
    mapping: Path | None,
    home: Path,
    seed: int,
    tune_seconds: float,
    force: bool,
    max_reject_share: float | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Clean, fit, evaluate, gate and publish a model version."""
    if report is not None and not report.parent.is_dir():
        raise ConfigError(
            f"--report {report}: {str(report.parent)!r} is no folder; make it or name another"
        )
    # Before all that begins threads when it is loaded.
    share_heaps()
    from models.recommenders.settings import Settings  # noqa: PLC0415  # fast --help
    from training.order import TrainOrder, in_home, load_order  # noqa: PLC0415  # as above

    order = TrainOrder(
        interactions=interactions,
        catalog=catalog,
        mapping=_read_mapping(mapping, max_reject_share),
        home=home,
        seed=seed,
        is_forced=force,
        settings=Settings(),
        report=report,
        tune_seconds=tune_seconds,
    )
    with in_home(home) as erased, ThreadPoolExecutor(max_workers=1) as pool:
        reading = pool.submit(load_order, order, handed.load_key, _now_ms())
        # Loading the trainer takes as long as reading a million rows.
        from training.train import train as run  # noqa: PLC0415  # as above

        done = run(order, reading.result, _progress(), _now_ms, erased)
    if as_json:
        print_json(done)
    if done.gate.verdict == "refused":
        raise GateError(
            f"version {done.version} does not go live: {done.gate.reason}; it is kept: "
            f"see 'endcap models show {done.version}', or train with --force"
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
@_tune_seconds
@click.option("--k", "ks", default="10,20", show_default=True, help="Lengths of the lists.")
@click.option(
    "--candidates",
    type=click.Choice(["all", "new"]),
    default="all",
    show_default=True,
    help="Rank all items, or those without any interaction in the training file.",
)
@click.option("--report", type=FILE, help="Page of pictures to write.")
@json_option
def evaluate(
    *,
    train_files: tuple[str, ...],
    test_files: tuple[str, ...],
    catalog: tuple[str, ...],
    mapping: Path | None,
    seed: int,
    tune_seconds: float,
    ks: str,
    candidates: str,
    report: Path | None,
    as_json: bool,
) -> None:
    """Measure every recommender on a given split, ranking all items for every test user."""
    share_heaps()
    from training.compare import compare, show_comparison  # noqa: PLC0415  # fast --help

    progress = _progress()
    with progress.shown():
        comparison = compare(
            train_files,
            test_files,
            catalog,
            mapping=_read_mapping(mapping, None),
            ks=_parse_lengths(ks),
            progress=progress,
            seed=seed,
            only_new=candidates == "new",
            report=report,
            tune_seconds=tune_seconds,
        )
    if as_json:
        print_json(comparison)
    else:
        print_table(show_comparison(comparison), Console())


def _now_ms() -> int:
    return int(time.time() * 1000)


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
