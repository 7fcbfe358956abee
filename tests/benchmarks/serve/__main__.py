"""Measures pages against an empty handler: ``python -m tests.benchmarks.serve --help``."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import rich_click as click

from models.errors import EndcapError
from tests.benchmarks.serve.closed_loop import check_wrk
from tests.benchmarks.serve.measure import Sizes, measure
from tests.benchmarks.serve.scale import measure_scale

DEFAULT_ROOT = Path(tempfile.gettempdir()) / "endcap-benchmarks"


def _cores(_context: click.Context, _option: click.Parameter, given: str) -> tuple[int, ...]:
    return tuple(int(core) for core in given.split(",")) if given else ()


@click.command()
@click.option("--items", default=50_000, show_default=True, help="Items of the shop.")
@click.option("--users", default=100_000, show_default=True, help="Shoppers the model knows.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each measurement.")
@click.option("--rounds", default=2, show_default=True, help="Turns that each takes.")
@click.option("--workers", default=1, show_default=True, help="Worker processes.")
@click.option("--rate", default=None, type=float, help="Pages a second instead of 50 %.")
@click.option("--swaps", default=0, help="Swap the model under load so often, too.")
@click.option(
    "--soak", "soak_s", default=0.0, metavar="SECONDS", help="Watch memory and p99 at 50 %."
)
@click.option("--grow", is_flag=True, help="Then measure 10 k, 50 k, 200 k and 1 M items.")
@click.option("--scale", default=None, type=int, help="Measure so many workers against one only.")
@click.option("--profile", default=None, type=Path, help="Write a flame graph (SVG; py-spy).")
@click.option("--server-cores", default="", callback=_cores, help="Such as 3, or 0,1.")
@click.option("--generator-cores", default="", callback=_cores, help="Such as 2.")
@click.option(
    "--folder", default=DEFAULT_ROOT, type=Path, show_default=True, help="Where shops are kept."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(folder: Path, grow: bool, scale: int | None, as_json: bool, **given: Any) -> None:
    """Measure what a page costs."""
    check_wrk()
    sizes = Sizes(**given)
    results = [measure_scale(folder, sizes, scale) if scale else measure(folder, sizes)]
    if grow:
        results += [measure(folder, sizes.grown(n)) for n in (10_000, 50_000, 200_000, 1_000_000)]
    written = json.dumps(results if grow else results[0], indent=None if as_json else 2)
    click.echo(written)


if __name__ == "__main__":
    try:
        main()
    except EndcapError as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(2)
