"""The benchmark of training still runs; how fast is not asked here."""

from pathlib import Path

import polars as pl

from tests.benchmarks.train import measure
from tests.unit.models.small_dataset import checkerboard


def test_benchmark_measures_both_sides(tmp_path: Path) -> None:
    """Seconds, memory and their ratio are there for a tiny log."""
    rows = checkerboard().interactions
    log = tmp_path / "log.parquet"
    pl.DataFrame(
        {
            "user_id": [f"u{user}" for user in rows.user_rows],
            "item_id": [f"i{item}" for item in rows.item_rows],
            "event": ["purchase"] * len(rows),
            "timestamp": rows.at_ms + 1_600_000_000_000,
        }
    ).write_parquet(log)
    found = measure(log, rounds=1)
    assert found["raw"]["factors"] > 0
    assert found["raw"]["seconds"] > 0
    assert found["whole"]["peak_gb"] > 0
    assert found["ratio"] > 0
