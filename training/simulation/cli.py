"""`endcap demo`: reads the options, runs the demo, prints what came of it."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console

from models.errors import ConfigError
from training.simulation.config import WorldConfig
from training.simulation.demo import run_demo
from training.simulation.display import tell
from training.simulation.preparing import DemoPlan
from training.simulation.result import DemoResult
from training.simulation.traffic import Pace

_ROWS_PER_SHOPPER = 40
_CALLS_FAILED = 1
_STOPPED_EARLY = 130


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".endcap/demo"),
    show_default=True,
    help="Folder of the simulated shop, its models and its databases; a shop found there goes on.",
)
@click.option("--seconds", type=click.FloatRange(min=1), help="End by itself; else Ctrl-C ends it.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=7,
    show_default=True,
    help="Equal seeds make equal shops and shoppers.",
)
@click.option(
    "--items",
    type=click.IntRange(12, 1_000_000),
    default=2_000,
    show_default=True,
    help="Size of the catalogue.",
)
@click.option(
    "--shoppers",
    type=click.IntRange(10, 1_000_000),
    default=5_000,
    show_default=True,
    help="How many people may come.",
)
@click.option(
    "--interactions",
    type=click.IntRange(min=100),
    help=f"Length of the shop's log, else {_ROWS_PER_SHOPPER} a shopper.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8080,
    show_default=True,
    help="Where to serve; a free port if it is taken, or for 0.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Worker processes of the server.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=40.0,
    show_default=True,
    help="Visits that begin per second; 0 is as fast as it goes.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of the shoppers whose home page is chosen for them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def demo(
    *,
    home: Path,
    seconds: float | None,
    seed: int,
    items: int,
    shoppers: int,
    interactions: int | None,
    port: int,
    workers: int,
    rate: float,
    share: float,
    as_json: bool,
) -> None:
    """Run a simulated shop: make data, train, serve, and let shoppers in over HTTP.

    The shoppers' tastes are known, so that what Endcap measures stands beside what is true.
    """
    if as_json and seconds is None:
        raise ConfigError("--json needs an end; add --seconds, e.g. --seconds 30")
    plan = DemoPlan(
        home=home,
        world=WorldConfig(
            now_ms=time.time_ns() // 1_000_000,
            seed=seed,
            n_items=items,
            n_shoppers=shoppers,
            n_interactions=interactions or shoppers * _ROWS_PER_SHOPPER,
        ),
        port=port,
        n_workers=workers,
        share=share,
        pace=Pace(visits_per_s=rate),
        seconds=seconds,
    )
    console = Console(stderr=as_json, highlight=False)
    try:
        result = asyncio.run(run_demo(plan, console))
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.print("stopped before the first visitor came; nothing runs any more")
        sys.exit(_STOPPED_EARLY)
    if as_json:
        click.echo(_encode(result))
    else:
        console.print(tell(result))
    if result.errors.n:
        sys.exit(_CALLS_FAILED)


def _encode(result: DemoResult) -> str:
    return msgspec.json.encode(result).decode()
