"""Measures intake and reports: ``make bench-events``, or ``python -m tests.benchmarks.events``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from service.stores.event_database import open_event_database
from tests.benchmarks.events.intake import measure_intake
from tests.benchmarks.events.large_log import fill
from tests.benchmarks.events.logging_cost import measure_logging


@click.command()
@click.option("--events", default=200_000, show_default=True, help="Events to send.")
@click.option("--exposures", default=1_000_000, show_default=True, help="Length of the log.")
def main(events: int, exposures: int) -> None:
    """Measure intake beside plain sqlite3, what logging costs pages, and reports of a long log."""
    with tempfile.TemporaryDirectory(prefix="endcap-bench-") as name:
        folder = Path(name)
        _show("intake", msgspec.to_builtins(measure_intake(folder / "intake", events)))
        cost = measure_logging(folder, rate=100, seconds=5, turns=6)
        _show("what logging adds to pages", msgspec.to_builtins(cost))
        home = folder / "log"
        home.mkdir()
        path = open_event_database(home)
        fill(path, exposures)
        for title in ("first report (makes the running sums)", "report"):
            command = [sys.executable, "-m", "tests.benchmarks.events.report", str(path)]
            done = subprocess.run(command, check=True, capture_output=True)
            _show(title, msgspec.json.decode(done.stdout))


def _show(title: str, values: dict[str, Any]) -> None:
    shown = ", ".join(f"{name} {value:,.2f}" for name, value in values.items())
    click.echo(f"{title}: {shown}")


if __name__ == "__main__":
    main()
