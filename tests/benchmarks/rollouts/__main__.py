"""Measures rollouts: ``python -m tests.benchmarks.rollouts --help``."""

from __future__ import annotations

import json
import platform
import tempfile
from pathlib import Path

import rich_click as click

from tests.benchmarks.rollouts import evaluation, lists, propagation


@click.command()
@click.option("--units", default=20_000, show_default=True, help="Visitors that are evaluated.")
@click.option("--members", default=1_000_000, show_default=True, help="Ids of the uploaded list.")
@click.option("--changes", default=200, show_default=True, help="Changes that are propagated.")
@click.option("--workers", default=4, show_default=True, help="Worker processes.")
def main(units: int, members: int, changes: int, workers: int) -> None:
    """Measure evaluation, propagation and uploaded lists."""
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / name for name in ("propagation", "lists")]
        for home in homes:
            home.mkdir()
        results = {
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
            "evaluation, µs a rollout": evaluation.measure(units, members),
            "propagation": propagation.measure(homes[0], workers=workers, n_changes=changes),
            "list": lists.measure(homes[1], n_members=members, workers=2),
        }
    click.echo(json.dumps(results, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
